/**
 * The receive process: takes a stream from stdin into a new folder of an embedded pool, as
 * `zfs receive` does, and fails with the same messages. The pool's actor then makes a dataset
 * of the folder's content (finishReceive in transfers.ts) or removes the folder.
 */
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { sync } from "../../../protocol/raw-disk/file-writes.js";
import { receiveVolume } from "../../../protocol/raw-disk/receive-volume.js";
import { codeOf, messageOf } from "../../../protocol/storage/caught-error.js";
import { MAX_NAME_BYTES, resolveName } from "../../../protocol/storage/names.js";
import type { ResumePlace } from "../../../protocol/zfs-stream/resume-list.js";
import { StreamFailure, type StreamFailureKind } from "../../../protocol/zfs-stream/stream-failure.js";
import type { StreamBegin } from "../../../protocol/zfs-stream/volume-reader.js";
import { DISK_FILE, parseReceiveRequest, REPORT_FILE, type ReceiveReport } from "./child-messages.js";
import { createPartialKeeper } from "./partial-keeper.js";
import { createRoomGate } from "./receive-room.js";
import { createVolumeCopier } from "./volume-copy.js";
import { requireWhole } from "./whole-file.js";

/** Why a good stream can't be received here, in the words of zfs-receive(8). */
class ReceiveFailure extends Error {}

const request = parseReceiveRequest(process.argv[2]);

/** The snapshot's part of the name in a stream; undefined unless it follows the grammar of zfs(8). */
function tagIn(toName: string): string | undefined {
  if (!toName.includes("@")) return undefined;
  const { pool, target } = request;
  const tag = toName.slice(toName.indexOf("@") + 1);
  return resolveName({ pools: [pool], pool }, `${target}/x@${tag}`).ok ? tag : undefined;
}

/** What zfs-receive(8) refuses once it has read the first record of a stream. */
function findFailure({ fromGuid, toName }: StreamBegin): string | undefined {
  const { target, existing, base, originId } = request;
  const name = `${target}${toName.slice(toName.indexOf("@"))}`;
  if (name.length > MAX_NAME_BYTES) return `cannot receive '${name}': name is too long`;
  if (tagIn(toName) === undefined) return "cannot receive: invalid stream (bad snapshot name)";
  if (fromGuid === 0n) {
    return existing && `cannot receive new filesystem stream: destination '${target}' exists`;
  }
  if (!existing && originId === undefined) {
    return `cannot receive incremental stream: destination '${target}' does not exist`;
  }
  // Writes since the last snapshot would be lost, and whether there were any is not recorded.
  if (existing?.readonly === false) {
    return `cannot receive incremental stream: destination '${target}' is not read-only`;
  }
  if (base && BigInt(base.guid) === fromGuid) return undefined;
  return `cannot receive incremental stream: most recent snapshot of ${target} does not\nmatch incremental source`;
}

/** A volume may be larger than the free space, but not so large that the pool could never hold it. */
function checkSize(size: bigint): void {
  if (size <= BigInt(request.largestVolume)) return;
  throw new ReceiveFailure(
    `cannot receive new filesystem stream: out of space: a volume of at least ${size} bytes, and pool ${request.pool} takes none of more than ${request.largestVolume}`,
  );
}

const takeRoom = createRoomGate(
  request,
  (why) => new ReceiveFailure(`cannot receive new filesystem stream: out of space: ${why}`),
);

const keeper = createPartialKeeper(
  request,
  (why) => new ReceiveFailure(`cannot receive: invalid stream: ${why}`),
);

async function openTarget(begin: StreamBegin, resume: ResumePlace | undefined): Promise<FileHandle> {
  const failure = findFailure(begin);
  if (failure !== undefined) throw new ReceiveFailure(failure);
  const { folder, base } = request;
  if (resume) return keeper.openRest(begin, resume);
  await keeper.startAnew(begin);
  const path = join(folder, DISK_FILE);
  if (begin.fromGuid === 0n || !base) return open(path, "wx+", 0o600);
  const { name, file, volsize, copyBytes } = base;
  await requireWhole(name, file, BigInt(volsize));
  // Where it shares its blocks, what comes of it is looked at when all is there.
  if (copyBytes > 0) await takeRoom(copyBytes);
  await createVolumeCopier().copy(file, path);
  return open(path, "r+");
}

/** Written last, synced, and only then renamed: a report that is there is whole, and so is the data beside it. */
async function writeReport(report: ReceiveReport): Promise<void> {
  const path = join(request.folder, REPORT_FILE);
  await rm(`${path}.new`, { force: true });
  await using file = await open(`${path}.new`, "wx", 0o600);
  await file.writeFile(JSON.stringify(report));
  await file.sync();
  await rename(`${path}.new`, path);
  await sync(request.folder);
}

const STREAM_WORDS: Readonly<Record<StreamFailureKind, string>> = {
  truncated: "incomplete stream",
  corrupt: "checksum mismatch or incomplete stream",
  foreign: "invalid backup stream",
  unsupported: "stream has unsupported feature",
};

/** The message of OpenZFS, which the reader of a command's stderr knows, with the cause behind it. */
function stderrText(error: unknown): string {
  if (error instanceof ReceiveFailure) return error.message;
  const code = codeOf(error);
  if (code === "ENOSPC" || code === "EDQUOT") return "cannot receive new filesystem stream: out of space";
  const words = error instanceof StreamFailure ? `${STREAM_WORDS[error.kind]}, ` : "";
  return `cannot receive new filesystem stream: ${words}${messageOf(error)}`;
}

const { keeps, existing, base } = request;
// What has come is saved then, as at the end of the input.
for (const signal of keeps ? (["SIGTERM", "SIGINT"] as const) : []) {
  process.once(signal, () => process.stdin.destroy(new Error(`it was ended by ${signal}`)));
}
try {
  const received = await receiveVolume({
    source: process.stdin,
    openTarget,
    checkSize,
    takeRoom,
    olderBytes: base && BigInt(base.volsize),
    save: keeps ? keeper.save : undefined,
  });
  await writeReport({
    file: DISK_FILE,
    guid: String(received.begin.toGuid),
    tag: tagIn(received.begin.toName) ?? "",
    created: Number(received.begin.creationTime),
    volsize: String(received.volsize),
    volblocksize: received.volblocksize ?? base?.volblocksize ?? 0,
    properties: request.properties,
    existing: existing && { id: existing.id, file: existing.file, baseGuid: base?.guid },
    originId: request.originId,
  });
} catch (error) {
  process.stderr.write(`${stderrText(error)}\n`);
  // Not exitCode: stdin that nobody reads to its end would keep the process alive.
  process.exit(1);
}
