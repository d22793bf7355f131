import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { messageOf } from "../../../protocol/storage/caught-error.js";
import { fail, failed, type Outcome, succeed, withCause } from "../../../protocol/storage/failures.js";
import type { DatasetName, PoolName, SnapshotName } from "../../../protocol/storage/names.js";
import { withoutPaths } from "../../../protocol/storage/path-text.js";
import type { SendTerms } from "../../../protocol/storage/send-terms.js";
import { type Bytes, bytes } from "../../../protocol/storage/units.js";
import { MAX_SMALL_BLOCK_BYTES } from "../../../protocol/zfs-stream/stream-records.js";
import type { Properties } from "../driver.js";
import type { ZfsTransfers } from "../transfers-of-driver.js";
import type { CatalogChange, CatalogView } from "./catalog.js";
import {
  parseReceiveReport,
  REPORT_FILE,
  type ReceiveReport,
  type ReceiveRequest,
  type SendRequest,
} from "./child-messages.js";
import {
  DEFAULT_VOLBLOCKSIZE,
  missingParents,
  newSnapshot,
  newVolume,
  snapshotName,
  writtenSince,
} from "./dataset-rules.js";
import type { EmbeddedPool } from "./embedded-pool.js";
import { baseIn, findEmbeddedBase, findSnapshot } from "./send-base.js";
import { catchStorageErrors } from "./storage-errors.js";
import { newFileName } from "./volume-files.js";
import { requireWhole } from "./whole-file.js";

/** The processes that send and receive for an embedded pool, and what happens to what was received. */
interface EmbeddedTransfers extends ZfsTransfers {
  /** Removes what was received for `target` unless it is a dataset already. */
  discardReceived(target: DatasetName): Promise<void>;
}

/** argv of a process whose script is beside this file. */
function scriptCommand(script: string, request: SendRequest | ReceiveRequest): readonly string[] {
  const path = fileURLToPath(new URL(`./${script}.js`, import.meta.url));
  return [process.execPath, path, JSON.stringify(request)];
}

function sendRequest(
  { catalog, files }: EmbeddedPool,
  name: SnapshotName,
  { from }: SendTerms = {},
): SendRequest {
  const snapshot = catalog.find(name);
  const base = from === undefined ? undefined : baseIn(catalog, name, from);
  const older = base?.snapshot;
  return {
    ...(base && {
      base: {
        guid: base.guid,
        ...(older && {
          data: { name: older.name, file: files.pathOf(older.file), volsize: String(older.volsize) },
        }),
      },
    }),
    name,
    // The process finds no file at "" and says so: this call has no way to fail.
    file: snapshot ? files.pathOf(snapshot.file) : "",
    guid: snapshot?.guid ?? "0",
    created: snapshot?.created ?? 0,
    volsize: String(snapshot?.volsize ?? 0n),
    volblocksize: snapshot?.volblocksize ?? DEFAULT_VOLBLOCKSIZE,
  };
}

function receiveRequest(
  { name: pool, catalog, files, accounting }: EmbeddedPool,
  target: DatasetName,
  folder: string,
  properties: Properties,
  originName: SnapshotName | undefined,
): ReceiveRequest {
  const existing = catalog.find(target);
  const origin = originName === undefined ? undefined : findSnapshot(catalog, originName);
  const base = originName === undefined ? existing && catalog.newestSnapshotOf(target) : origin;
  return {
    pool,
    target,
    folder,
    daemonPid: process.pid,
    properties,
    largestVolume: String(accounting.largestVolume()),
    existing: existing && { id: existing.id, readonly: existing.readonly },
    originId: origin?.id,
    base: base && {
      name: base.name,
      copyBytes: files.sharesBlocks ? 0 : Number(base.allocated),
      guid: base.guid,
      file: files.pathOf(base.file),
      volsize: String(base.volsize),
      volblocksize: base.volblocksize,
    },
  };
}

/** What a received stream changes: it adds a volume with a snapshot, or updates a volume and adds a snapshot to it. */
function decideReceive(
  pool: PoolName,
  catalog: CatalogView,
  target: DatasetName,
  report: ReceiveReport,
  file: string,
  allocated: Bytes,
): Outcome<CatalogChange> {
  const { guid, tag, volblocksize, created, properties } = report;
  const data = { volsize: bytes(BigInt(report.volsize)), volblocksize, file };
  const existing = catalog.find(target);
  const name = snapshotName(target, tag);
  // The target may have been created, destroyed or replaced while the stream was received.
  if (report.existingId === undefined && existing) return failed.exists;
  if (report.existingId !== undefined && existing?.id !== report.existingId) return failed.notFound;
  if (catalog.find(name)) return failed.exists;
  // Whoever has it received holds it, but its hold is not ours to trust.
  const origin = report.originId === undefined ? undefined : catalog.findById(report.originId);
  if (report.originId !== undefined && !origin) return failed.notFound;
  const parents = missingParents(catalog, pool, target);
  if (!parents.ok) return parents;
  const volume = existing
    ? { ...existing, ...data }
    : newVolume(catalog, target, { readonly: true, properties, origin: origin?.id, ...data });
  const written = writtenSince(allocated, (catalog.newestSnapshotOf(target) ?? origin)?.allocated);
  const snapshot = newSnapshot(catalog, name, { guid, created, allocated, written, ...data });
  return succeed({ put: [...parents.value, volume, snapshot] });
}

export function embeddedTransfers(pool: EmbeddedPool): EmbeddedTransfers {
  const { catalog, files, accounting, grants, transactions } = pool;
  /** The folder in `incoming/` of each target that is being received. */
  const incomingFolders = new Map<DatasetName, string>();

  async function discardReceived(target: DatasetName): Promise<void> {
    const folder = incomingFolders.get(target);
    if (folder === undefined) return;
    grants.end(files.incomingPath(folder));
    await files.removeIncoming(folder);
    incomingFolders.delete(target);
  }

  return {
    discardReceived,
    findBase: async (name, terms) => findEmbeddedBase(catalog, name, terms),
    readResumeToken: async () =>
      fail("request.invalid", "resume: an embedded pool sends each stream from its beginning"),
    // Its blocks are neither compressed nor encrypted, and large ones are sent whole: no flag changes anything.
    sendFeatures: async (name) => {
      const { volblocksize } = sendRequest(pool, name);
      return succeed(volblocksize > MAX_SMALL_BLOCK_BYTES ? ["large_blocks"] : []);
    },
    async checkSend(name, terms) {
      try {
        const { file, volsize, base } = sendRequest(pool, name, terms);
        await requireWhole(name, file, BigInt(volsize));
        if (base?.data) await requireWhole(base.data.name, base.data.file, BigInt(base.data.volsize));
        return succeed(null);
      } catch (error) {
        // The words of the process that would have found it.
        const message = `cannot send '${name}': ${messageOf(error)}`;
        return withCause(fail("command.failed", withoutPaths(message)), message);
      }
    },
    async estimateSend(name, { from } = {}) {
      const snapshot = catalog.find(name);
      const older = from === undefined ? undefined : baseIn(catalog, name, from)?.snapshot;
      return snapshot && Number(writtenSince(snapshot.allocated, older?.allocated));
    },
    async writtenNow(volume) {
      const dataset = catalog.find(volume);
      if (dataset?.type !== "volume") return undefined;
      const newest = catalog.newestSnapshotOf(volume);
      return Number(writtenSince(files.allocatedNow(dataset.file), newest?.allocated));
    },
    sendCommand: (name, terms) => scriptCommand("send-process", sendRequest(pool, name, terms)),
    receiveCommand(target, marks, { origin } = {}) {
      const folder = newFileName();
      incomingFolders.set(target, folder);
      grants.begin(files.incomingPath(folder));
      return scriptCommand(
        "receive-process",
        receiveRequest(pool, target, files.incomingPath(folder), marks, origin),
      );
    },
    // What has come of a stream that breaks goes with its process.
    receiveToken: async () => succeed(undefined),
    abandonReceive: async (target) => {
      if (!incomingFolders.has(target)) return failed.notFound;
      await discardReceived(target);
      return succeed(null);
    },

    finishReceive: (target) =>
      catchStorageErrors(`cannot receive '${target}'`, async () => {
        const folder = incomingFolders.get(target);
        if (folder === undefined) return failed.notFound;
        const path = files.incomingPath(folder);
        const report = parseReceiveReport(await readFile(join(path, REPORT_FILE), "utf8"));
        const file = newFileName();
        const allocated = await files.adopt(join(path, report.file), file);
        // From now on it counts as a new file.
        grants.end(path);
        const fileBefore = catalog.find(target)?.file ?? "";
        const received = await transactions.run({
          messagePrefix: `cannot receive '${target}'`,
          decide: async (staged) =>
            (await accounting.isOverfullWith(allocated))
              ? failed.noSpace
              : decideReceive(pool.name, staged, target, report, file, allocated),
          newFiles: [file],
        });
        if (received.ok) {
          await files.link(target, file);
          await transactions.removeUnusedFiles([fileBefore]);
        }
        await discardReceived(target);
        return received.ok ? succeed(null) : received;
      }),
  };
}
