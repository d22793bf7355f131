import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { messageOf } from "../../../protocol/storage/caught-error.js";
import {
  type FailedOutcome,
  fail,
  failed,
  type Outcome,
  succeed,
  tellAbout,
  withCause,
} from "../../../protocol/storage/failures.js";
import type { DatasetName, PoolName, SnapshotName } from "../../../protocol/storage/names.js";
import { withoutPaths } from "../../../protocol/storage/path-text.js";
import type { SendTerms } from "../../../protocol/storage/send-terms.js";
import { type Bytes, bytes } from "../../../protocol/storage/units.js";
import { MAX_SMALL_BLOCK_BYTES } from "../../../protocol/zfs-stream/stream-records.js";
import { roundedUp } from "../../../protocol/zfs-stream/volume-stream-options.js";
import type { Properties } from "../driver.js";
import type { ResumeToken, ZfsTransfers } from "../transfers-of-driver.js";
import type { CatalogChange, CatalogView } from "./catalog.js";
import {
  parseReceiveReport,
  REPORT_FILE,
  type ReceiveReport,
  type ReceiveRequest,
  type SendRequest,
} from "./child-messages.js";
import type { Dataset } from "./dataset.js";
import {
  DEFAULT_VOLBLOCKSIZE,
  missingParents,
  newSnapshot,
  newVolume,
  snapshotName,
  writtenSince,
} from "./dataset-rules.js";
import type { EmbeddedPool } from "./embedded-pool.js";
import type { IncomingReceives } from "./incoming-receives.js";
import { isOfEmbedded, type PartialToken, readPartialToken } from "./partial-token.js";
import { baseIn, findEmbeddedBase, findSnapshot } from "./send-base.js";
import { catchStorageErrors } from "./storage-errors.js";
import { newFileName } from "./volume-files.js";
import { requireWhole } from "./whole-file.js";

/** argv of a process whose script is beside this file. */
function scriptCommand(script: string, request: SendRequest | ReceiveRequest): readonly string[] {
  const path = fileURLToPath(new URL(`./${script}.js`, import.meta.url));
  return [process.execPath, path, JSON.stringify(request)];
}

function sendRequest(
  { catalog, files }: EmbeddedPool,
  name: SnapshotName,
  { from, resume }: SendTerms = {},
): SendRequest {
  const snapshot = catalog.find(name);
  const base = from === undefined ? undefined : baseIn(catalog, name, from);
  const older = base?.snapshot;
  // It was read before, when it was checked.
  const rest = resume === undefined ? undefined : readPartialToken(resume);
  return {
    ...(rest && { resumeAt: rest.offset }),
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
  { path, goesOn, taken }: ReturnType<IncomingReceives["begin"]>,
  keeps: boolean,
  properties: Properties,
  originName: SnapshotName | undefined,
): ReceiveRequest {
  const existing = catalog.find(target);
  const origin = originName === undefined ? undefined : findSnapshot(catalog, originName);
  const base = originName === undefined ? existing && catalog.newestSnapshotOf(target) : origin;
  return {
    pool,
    target,
    folder: path,
    keeps,
    goesOn,
    taken: String(taken),
    daemonPid: process.pid,
    properties,
    largestVolume: String(accounting.largestVolume()),
    existing: existing && { id: existing.id, readonly: existing.readonly, file: existing.file },
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

/** Whether a volume is not what the stream onto it was made for any more. */
function isChanged(
  catalog: CatalogView,
  { name, file, readonly }: Dataset,
  onto: NonNullable<ReceiveReport["existing"]>,
): boolean {
  return !readonly || file !== onto.file || catalog.newestSnapshotOf(name)?.guid !== onto.baseGuid;
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
  const { existing: onto } = report;
  if (!onto && existing) return failed.exists;
  if (onto && existing?.id !== onto.id) return failed.notFound;
  if (catalog.find(name)) return failed.exists;
  // Whoever has it received holds it, but its hold is not ours to trust.
  const origin = report.originId === undefined ? undefined : catalog.findById(report.originId);
  if (report.originId !== undefined && !origin) return failed.notFound;
  if (onto && existing && isChanged(catalog, existing, onto)) {
    return fail("dataset.diverged", `${target} was changed while a stream into it came`);
  }
  const parents = missingParents(catalog, pool, target);
  if (!parents.ok) return parents;
  const volume = existing
    ? { ...existing, ...data }
    : newVolume(catalog, target, { readonly: true, properties, origin: origin?.id, ...data });
  const written = writtenSince(allocated, (catalog.newestSnapshotOf(target) ?? origin)?.allocated);
  const snapshot = newSnapshot(catalog, name, { guid, created, allocated, written, ...data });
  return succeed({ put: [...parents.value, volume, snapshot] });
}

const refuseToken = (why: string): FailedOutcome =>
  tellAbout(fail("request.invalid", `resume: ${why}`), { field: "resume" });

/** What would be sent for a token, or why nothing can be. */
function findRest(
  catalog: CatalogView,
  { toName, toGuid, offset, streamBytes }: PartialToken,
): ResumeToken["sends"] {
  const snapshot = catalog.find(toName);
  if (snapshot?.type !== "snapshot" || snapshot.guid !== toGuid) {
    return tellAbout(
      fail("dataset.not_found", `resume: the snapshot ${toName} that the token was for is gone`),
      {
        field: "resume",
      },
    );
  }
  const { name, allocated, volsize, volblocksize } = snapshot;
  const end = roundedUp(Number(volsize), volblocksize);
  if (offset % volblocksize !== 0 || offset > end) return refuseToken(`${name} has no block at ${offset}`);
  return succeed({ name, estimatedBytes: Math.max(0, Number(allocated) - streamBytes) });
}

/** As readResumeToken of the driver. */
function readToken(catalog: CatalogView, text: string): Outcome<ResumeToken> {
  const token = readPartialToken(text);
  if (!token) {
    const foreign = "the token is not an embedded pool's: send the stream from its beginning";
    return refuseToken(isOfEmbedded(text) ? "the token is damaged, or of another version" : foreign);
  }
  const { toName, toGuid, fromGuid, streamBytes } = token;
  return succeed({
    toName,
    toGuid,
    fromGuid: fromGuid === "0" ? undefined : fromGuid,
    flags: [],
    bytes: streamBytes,
    sends: findRest(catalog, token),
  });
}

/** The processes that send and receive for an embedded pool, and what happens to what was received. */
export function embeddedTransfers(pool: EmbeddedPool): ZfsTransfers {
  const { catalog, files, accounting, receives, transactions } = pool;

  return {
    findBase: async (name, terms) => findEmbeddedBase(catalog, name, terms),
    readResumeToken: async (token) => readToken(catalog, token),
    // Its blocks are neither compressed nor encrypted, and large ones are sent whole: no flag changes anything.
    sendFeatures: async (name, _terms, token) => {
      const { volblocksize } = sendRequest(pool, name);
      const large = volblocksize > MAX_SMALL_BLOCK_BYTES ? ["large_blocks"] : [];
      return succeed(token ? [...large, "resuming"] : large);
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
    receiveCommand(target, marks, { isResumable = false, origin } = {}) {
      const begun = receives.begin(target, isResumable);
      const request = receiveRequest(pool, target, begun, isResumable, marks, origin);
      return scriptCommand("receive-process", request);
    },
    receiveToken: (target) =>
      catchStorageErrors(`what has come of a stream into '${target}' can't be told`, async () =>
        succeed(await receives.tokenOf(target)),
      ),
    abandonReceive: (target) =>
      catchStorageErrors(`cannot give up a stream into '${target}'`, async () => {
        await receives.discardOrphans();
        return (await receives.discard(target)) ? succeed(null) : failed.notFound;
      }),

    finishReceive: (target) =>
      catchStorageErrors(`cannot receive '${target}'`, async () => {
        const path = receives.pathOf(target);
        if (path === undefined) return failed.notFound;
        const report = parseReceiveReport(await readFile(join(path, REPORT_FILE), "utf8"));
        const file = newFileName();
        const allocated = await files.adopt(join(path, report.file), file);
        // From now on it counts as a new file.
        receives.adopted(target);
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
        await receives.discard(target);
        return received.ok ? succeed(null) : received;
      }),
  };
}
