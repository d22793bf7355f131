import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { StoreOrder } from "../../src/protocol/backups/store-orders.js";
import { type Outcome, succeed } from "../../src/protocol/storage/failures.js";
import { childOf, type DatasetName, type PoolName } from "../../src/protocol/storage/names.js";
import type { FetchOrder, FetchOutcome, OperationHandlers } from "../../src/protocol/storage/operations.js";
import type { NodeSettings } from "../../src/protocol/storage/pool-settings.js";
import type { CompleteImage, PulledVolume, VolumeRecord } from "../../src/protocol/storage/records.js";
import type { ActorLog, LogFields, LogLevel } from "../../src/protocol/threads/actor-log.js";
import type { Link } from "../../src/protocol/threads/link.js";
import {
  createDatasetLocks,
  type DatasetLocks,
  type LockRequest,
} from "../../src/workers/actor/dataset-locks.js";
import { createFences } from "../../src/workers/actor/fences.js";
import { createFetchQueue } from "../../src/workers/actor/fetch-queue.js";
import { createMainTransfers } from "../../src/workers/actor/main-transfers.js";
import { backupOperations } from "../../src/workers/actor/operations/backups.js";
import { bookmarkOperations } from "../../src/workers/actor/operations/bookmarks.js";
import type { ActorContext } from "../../src/workers/actor/operations/context.js";
import { dryRunOperations } from "../../src/workers/actor/operations/dry-runs.js";
import { fenceOperations } from "../../src/workers/actor/operations/fencing.js";
import { guestOperations } from "../../src/workers/actor/operations/guests.js";
import { createHolds } from "../../src/workers/actor/operations/holds.js";
import { imagePruning } from "../../src/workers/actor/operations/image-pruning.js";
import { imageOperations } from "../../src/workers/actor/operations/images.js";
import { migrationPreviews } from "../../src/workers/actor/operations/migration-previews.js";
import { migrationOperations } from "../../src/workers/actor/operations/migrations.js";
import { poolOperations } from "../../src/workers/actor/operations/pools.js";
import { pullPreviews } from "../../src/workers/actor/operations/pull-previews.js";
import { pullOperations } from "../../src/workers/actor/operations/pulls.js";
import { receiveOperations } from "../../src/workers/actor/operations/receives.js";
import { restoreOperations } from "../../src/workers/actor/operations/restores.js";
import { sendOperations } from "../../src/workers/actor/operations/sends.js";
import { snapshotOperations } from "../../src/workers/actor/operations/snapshots.js";
import { createSpaceReservations } from "../../src/workers/actor/operations/space-reservations.js";
import { storedBackupOperations } from "../../src/workers/actor/operations/stored-backups.js";
import { volumeChanges } from "../../src/workers/actor/operations/volume-changes.js";
import { volumeCopies } from "../../src/workers/actor/operations/volume-copies.js";
import { volumeOperations } from "../../src/workers/actor/operations/volumes.js";
import { type HoldRecord, openRecords, type Records } from "../../src/workers/actor/record-file.js";
import { Work } from "../../src/workers/actor/work.js";
import type { WorkBoard } from "../../src/workers/actor/work-board.js";
import { createMemoryStore, type MemoryStore, PROFILE } from "./memory-store.js";
import type { MemoryZfs } from "./memory-zfs.js";

export const POOL = "tank" as PoolName;

/** A board of work that keeps none. */
export function noBoard(): Pick<WorkBoard, "begin" | "end"> {
  return { begin: (name) => new Work(1, name, undefined, 1, 1, 1), end: () => {} };
}

export interface KeptLog extends ActorLog {
  readonly lines: { readonly level: LogLevel; readonly message: string; readonly fields: LogFields }[];
}

export function createKeptLog(): KeptLog {
  const lines: KeptLog["lines"] = [];
  const keep =
    (level: LogLevel) =>
    (message: string, fields: LogFields = {}) =>
      void lines.push({ level, message, fields });
  return { lines, debug: keep("debug"), info: keep("info"), warn: keep("warn"), error: keep("error") };
}

/** A new folder that is removed at the end of its scope. */
export function scratchFolder(): { readonly path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), "imagestore-unit-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

export async function openRecordsOrThrow(folder: string, log: ActorLog = createKeptLog()): Promise<Records> {
  const opened = await openRecords(folder, POOL, log);
  if (!opened.ok) throw new Error(opened.failure.message);
  return opened.value;
}

/** Records in memory only. */
export function createMemoryRecords(known: Iterable<CompleteImage> = []): Records {
  const images = new Map<string, CompleteImage>([...known].map((image) => [image.id, image]));
  const holds = new Map<string, Parameters<Records["putHold"]>[0]>();
  let done = false;
  let sweptBy: string | undefined;
  let lastRun: string | undefined;
  const uses = new Map([...images.keys()].map((id) => [id, Date.now()]));
  const markUsed: Records["markUsed"] = async (id) => void uses.set(id, Date.now());
  return {
    images,
    lastUse: (id) => uses.get(id),
    markUsed,
    putImage: async (image) => {
      if (!images.has(image.id)) await markUsed(image.id);
      images.set(image.id, image);
    },
    dropImage: async (id) => void images.delete(id),
    putHold: async (hold) => {
      holds.set(hold.tag, hold);
      return succeed(null);
    },
    dropHold: async ({ tag }) => void holds.delete(tag),
    holds: async () => [...holds.values()],
    holdsSweptBy: async () => sweptBy,
    markHoldsSwept: async (runId) => {
      sweptBy = runId;
    },
    lastRun: async () => lastRun,
    markRun: async (runId) => {
      lastRun = runId;
    },
    nodeId: async () => "0123456789abcdef",
    importDone: async () => done,
    markImportDone: async () => {
      done = true;
    },
    close: async () => {},
  };
}

export interface MemoryActor {
  readonly zfs: MemoryZfs;
  readonly records: Records;
  readonly locks: DatasetLocks;
  readonly trash: Set<DatasetName>;
  readonly log: KeptLog;
  readonly handlers: OperationHandlers;
  /** That of the profile `store`. */
  readonly store: MemoryStore;
  /** Holds that could not be released. */
  readonly unreleased: readonly HoldRecord[];
}

/** The arguments of MemoryZfs.receiveCommand, read back from an order. */
export function receiveOf(order: FetchOrder): { target: DatasetName; marks: Record<string, string> } {
  const [, target = "", marks = "{}"] = order.command;
  return { target: target as DatasetName, marks: JSON.parse(marks) as Record<string, string> };
}

/** A link of which only orders for a store are answered. */
function linkTo(store: MemoryStore): Pick<Link, "call" | "notify"> {
  return {
    call: async (ask) => {
      const { store: order } = ask as { readonly store: StoreOrder };
      return (await store.run(order)) as Outcome<never>;
    },
    notify: () => {},
  };
}

/** The operations of a pool in memory, combined as the actor combines them. `onLocks` sees each `with`. */
export function createMemoryActor(
  zfs: MemoryZfs,
  records: Records,
  fetch: (order: FetchOrder) => Promise<FetchOutcome>,
  around?: Parameters<typeof createDatasetLocks>[0],
  onLocks: (requests: readonly LockRequest[]) => void = () => {},
  peers: NodeSettings["peers"] = {},
): MemoryActor {
  const made = createDatasetLocks(around);
  const locks: DatasetLocks = {
    get size() {
      return made.size;
    },
    with(requests, work, watch) {
      onLocks(requests);
      return made.with(requests, work, watch);
    },
  };
  const log = createKeptLog();
  const trash = new Set<DatasetName>();
  const store = createMemoryStore();
  const transfers = createMainTransfers(() => linkTo(store));
  const context = {
    pool: POOL,
    zfs,
    locks,
    records,
    trash,
    log,
    runId: "run",
    fetch,
    store: transfers.store,
  };
  const fetches = createFetchQueue<CompleteImage>(2, 2);
  const service = {
    imageService: "127.0.0.1:1",
    imageSources: ["mirror.example"],
    dnsServers: [],
    timeouts: { dnsMs: 1 },
  };
  const unreleased: HoldRecord[] = [];
  const releaseLater = (hold: HoldRecord) => void unreleased.push(hold);
  const holds = createHolds(context, [], releaseLater);
  const pulls = createFetchQueue<PulledVolume>(2, 2);
  const sources = new Map<string, string>();
  const pulling = pullOperations(context, pulls, { peers }, sources);
  const destroyingIn = (within: ActorContext) => ({
    ...imageOperations(within, fetches, service, { holds, releaseLater }),
    ...imagePruning(within),
    ...volumeOperations(within),
    ...bookmarkOperations(within),
    ...snapshotOperations(within),
    ...guestOperations(
      within,
      fetches,
      createSpaceReservations(() => zfs.space(childOf(POOL, "guests"))),
    ),
  });
  const sends = sendOperations(context, holds);
  const turns = createFetchQueue<null>(2, 2);
  const backups = { profiles: { store: PROFILE }, turns, sends, releaseLater, running: new Set<string>() };
  const handlers: OperationHandlers = {
    ...destroyingIn(context),
    ...dryRunOperations(context, (spared) => ({
      ...destroyingIn(spared),
      ...pullPreviews(spared, { peers }),
      ...migrationPreviews(spared, { peers }),
    })),
    ...volumeChanges(context),
    ...volumeCopies(context, createFetchQueue<VolumeRecord>(2, 2)),
    ...sends,
    ...backupOperations(context, backups),
    ...storedBackupOperations(context, backups),
    ...restoreOperations(context, backups),
    ...poolOperations(context),
    ...pulling,
    ...receiveOperations(context, pulls, sources),
    ...migrationOperations(context, { peers }, pulling.PullVolume),
    ...fenceOperations(context, createFences()),
  };
  return { zfs, records, locks, trash, log, handlers, unreleased, store };
}
