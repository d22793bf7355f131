import { type Outcome, succeed } from "../../protocol/storage/failures.js";
import type { ImageChange } from "../../protocol/storage/known-images.js";
import { childOf, type DatasetName } from "../../protocol/storage/names.js";
import type { OperationHandlers } from "../../protocol/storage/operations.js";
import type { PoolSettings } from "../../protocol/storage/pool-settings.js";
import type { CompleteImage, PulledVolume, VolumeRecord } from "../../protocol/storage/records.js";
import type { ActorSettings } from "../../protocol/threads/actor-contract.js";
import type { HoldReport } from "../../protocol/threads/actor-diagnosis.js";
import type { ActorLog } from "../../protocol/threads/actor-log.js";
import { type Trace, traced } from "../../protocol/threads/trace-points.js";
import type { CheckedPool, Zfs } from "../drivers/driver.js";
import type { DatasetLocks } from "./dataset-locks.js";
import { type Fences, fencedLocks, readFences } from "./fences.js";
import type { FetchQueue } from "./fetch-queue.js";

import { startImageLooks } from "./image-looks.js";
import { createLateReleases } from "./late-releases.js";
import { backupOperations } from "./operations/backups.js";
import { bookmarkOperations } from "./operations/bookmarks.js";
import type { ActorContext } from "./operations/context.js";
import { dryRunOperations } from "./operations/dry-runs.js";
import { fenceOperations } from "./operations/fencing.js";
import { guestOperations } from "./operations/guests.js";
import { createHolds, releaseHold } from "./operations/holds.js";
import { imagePruning } from "./operations/image-pruning.js";
import { imageOperations } from "./operations/images.js";
import { migrationPreviews } from "./operations/migration-previews.js";
import { migrationOperations } from "./operations/migrations.js";
import { poolOperations } from "./operations/pools.js";
import { pullPreviews } from "./operations/pull-previews.js";
import { pullOperations } from "./operations/pulls.js";
import { receiveOperations } from "./operations/receives.js";
import { restoreOperations } from "./operations/restores.js";
import { sendOperations } from "./operations/sends.js";
import { snapshotOperations } from "./operations/snapshots.js";
import { createSpaceReservations } from "./operations/space-reservations.js";
import { storedBackupOperations } from "./operations/stored-backups.js";
import { volumeChanges } from "./operations/volume-changes.js";
import { volumeCopies } from "./operations/volume-copies.js";
import { volumeOperations } from "./operations/volumes.js";
import { reconcile } from "./reconcile.js";
import { type HoldRecord, openRecords, type Records } from "./record-file.js";
import { trackedCalls, trackedContext, trackedFetches } from "./tracked-context.js";
import type { Work } from "./work.js";
import type { WorkBoard } from "./work-board.js";
import { isReadWork } from "./work-deadlines.js";

export interface OpenPoolOptions {
  readonly settings: ActorSettings;
  readonly zfs: Zfs;
  readonly locks: DatasetLocks;
  readonly board: WorkBoard;
  readonly fetches: FetchQueue<CompleteImage>;
  readonly pulls: FetchQueue<PulledVolume>;
  /** Copies of volumes, by the names that they get. */
  readonly copies: FetchQueue<VolumeRecord>;
  readonly turns: FetchQueue<null>;
  readonly log: ActorLog;
  /** Tags of holds of downloads that started before this actor did and still run. */
  readonly liveTags: readonly string[];
  /** Sees the changes of the records. */
  readonly trace?: Trace | undefined;
  /** As ActorContext has them. */
  readonly transfers: Pick<ActorContext, "fetch" | "store">;
  /** Sends a change of the images to main, which answers GetImage and ListImages from its copy. */
  announce(change: ImageChange): void;
  /** Called as soon as the records are open. The caller must close them, even if openPool then fails. */
  onRecords(records: Records): void;
}

export interface OpenedPool extends CheckedPool {
  /** Makes the handlers for one piece of work. */
  handlersFor(work: Work): OperationHandlers;
  /** The holds of the downloads that run. */
  holds(): readonly HoldReport[];
  /** Ends what runs by itself. To be called before the records are closed. */
  end(): void;
}

/**
 * Prepares a pool for operations: checks it, opens the records, claims the pool, ensures
 * POOL/images and POOL/guests, and reconciles the records with the pool. Fails as the first step that fails.
 */
export async function openPool(options: OpenPoolOptions): Promise<Outcome<OpenedPool>> {
  const { board, zfs } = options;
  const work = board.begin("open");
  try {
    return await openBy(options, trackedCalls(zfs, "driver", work));
  } finally {
    board.end(work);
  }
}

/** `zfs`: the driver, as it is watched during the start. */
async function openBy(options: OpenPoolOptions, zfs: Zfs): Promise<Outcome<OpenedPool>> {
  const { settings, log, liveTags } = options;
  const { name: pool } = settings.pool;
  const { runId } = settings;
  const { dataDir } = settings.node;
  const checked = await zfs.checkPool();
  if (!checked.ok) return checked;
  const opened = await openRecords(dataDir, pool, log);
  if (!opened.ok) return opened;
  const records = traced(options.trace, "records", opened.value);
  options.onRecords(records);
  // Before any change of the pool. The records come first: they know the run before this one.
  const earlierRunId = await records.lastRun();
  const claimed = await zfs.claim({ runId, earlierRunId, dataDir });
  if (!claimed.ok) return claimed;
  await records.markRun(runId);
  for (const name of ["images", "guests"]) {
    const ensured = await zfs.ensureFilesystem(childOf(pool, name));
    if (!ensured.ok) return ensured;
  }
  const originalDatabase = originalDatabaseOf(settings.pool);
  const late = createLateReleases({
    log,
    release: async (hold) => {
      const released = await releaseHold(options.zfs, hold);
      if (released.ok) await records.dropHold(hold);
      return released;
    },
  });
  const trash = new Set<DatasetName>();
  const reconciled = await reconcile({
    pool,
    zfs,
    records,
    log,
    originalDatabase,
    liveTags,
    trash,
    releaseLater: late.add,
    runId,
  });
  if (!reconciled.ok) {
    late.end();
    return reconciled;
  }
  const fences = await readFences(zfs);
  if (!fences.ok) {
    late.end();
    return fences;
  }
  const { handlersFor, holds } = createHandlers(options, records, trash, late.add, fences.value);
  options.announce({ all: [...records.images.values()] });
  const everyMs = settings.node.timeouts.imageLookMs;
  const announced = announcing(records, options.announce);
  const endLooks = startImageLooks({
    pool,
    zfs: options.zfs,
    records: announced,
    locks: options.locks,
    trash,
    log,
    everyMs,
    board: options.board,
  });
  const end = () => {
    endLooks();
    late.end();
  };
  return succeed({ ...checked.value, handlersFor, holds, end });
}

/** The path of the database in which mistify-agent-image has recorded the images of the pool. */
function originalDatabaseOf({ name, driver, originalDatabase }: PoolSettings): string | undefined {
  if (originalDatabase !== undefined || driver === "embedded") return originalDatabase;
  return `/${name}/images/.images.db`;
}

function createHandlers(
  options: OpenPoolOptions,
  records: Records,
  trash: Set<DatasetName>,
  releaseLater: (hold: HoldRecord) => void,
  fences: Fences,
): Pick<OpenedPool, "handlersFor" | "holds"> {
  const { settings, zfs, locks, fetches, pulls, copies, turns, log, liveTags, transfers, announce } = options;
  const { pool, node, runId } = settings;
  const context: ActorContext = {
    pool: pool.name,
    zfs,
    locks,
    records: announcing(records, announce),
    trash,
    log,
    runId,
    fetch: transfers.fetch,
    store: transfers.store,
  };
  const holds = createHolds(context, liveTags, releaseLater);
  const running = new Set<string>();
  const guestsRoot = childOf(pool.name, "guests");
  /** The sources of the pulls that run or wait, by their targets. */
  const sources = new Map<string, string>();
  const reservations = createSpaceReservations((neededBytes) => zfs.space(guestsRoot, neededBytes));
  const handlersIn = (
    unfenced: ActorContext,
    track: <T extends object>(inner: T, kind: "holds" | "space") => T,
    queue: FetchQueue<CompleteImage>,
    pullQueue: FetchQueue<PulledVolume>,
    copyQueue: FetchQueue<VolumeRecord>,
    ofTurns: FetchQueue<null>,
  ): OperationHandlers => {
    const used = { ...unfenced, locks: fencedLocks(unfenced.locks, fences) };
    const pulling = pullOperations(used, pullQueue, node, sources);
    const tracked = track(holds, "holds");
    const destroyingIn = (within: ActorContext) => ({
      ...imageOperations(within, queue, node, { holds: tracked, releaseLater }),
      ...imagePruning(within),
      ...volumeOperations(within),
      ...snapshotOperations(within),
      ...guestOperations(within, queue, track(reservations, "space")),
      // What leaves a volume as it is.
      ...bookmarkOperations({ ...within, locks: unfenced.locks }),
    });
    const sends = sendOperations(unfenced, tracked);
    const backups = { profiles: node.backups, turns: ofTurns, sends, releaseLater, running };
    return {
      ...destroyingIn(used),
      ...dryRunOperations(used, (spared) => ({
        ...destroyingIn(spared),
        ...pullPreviews(spared, node),
        ...migrationPreviews(spared, node),
      })),
      ...volumeChanges(used),
      ...poolOperations(used),
      ...storedBackupOperations(used, backups),
      ...restoreOperations(used, backups),
      ...pulling,
      ...receiveOperations(used, pullQueue, sources),
      ...migrationOperations(used, node, pulling.PullVolume),
      // What leaves a volume as it is, or is about the fence itself.
      ...sends,
      ...backupOperations(unfenced, backups),
      ...volumeCopies(unfenced, copyQueue),
      ...fenceOperations(unfenced, fences),
    };
  };
  // Reads share their handlers: they are many, and what they wait for is not noted unless they are traced.
  const forReads = handlersIn(context, (inner) => inner, fetches, pulls, copies, turns);
  const handlersFor = (work: Work) =>
    isReadWork(work.name) && !work.spans
      ? forReads
      : handlersIn(
          trackedContext(context, work),
          (inner, kind) => trackedCalls(inner, kind, work),
          trackedFetches(fetches, work, "image"),
          trackedFetches(pulls, work, "pull into"),
          trackedFetches(copies, work, "copy to"),
          trackedFetches(turns, work, "the transfer"),
        );
  return { handlersFor, holds: holds.list };
}

/** The same records, but each change is sent to main first, so that no answer overtakes it. */
function announcing(records: Records, announce: (change: ImageChange) => void): Records {
  return {
    ...records,
    putImage: (image) => {
      announce({ put: image });
      return records.putImage(image);
    },
    dropImage: (id) => {
      announce({ drop: id });
      return records.dropImage(id);
    },
  };
}
