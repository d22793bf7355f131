/**
 * A process of its own: takes a stream from stdin into a new folder of an embedded
 * pool, as `zfs receive` does and with its words when it can't. The pool's actor makes
 * a dataset of what lies there; whatever else is in the folder is removed by it.
 */
import { type FileHandle, mkdir, open, rename } from "node:fs/promises";
import { join } from "node:path";
import { sync } from "../../../protocol/raw-disk/file-writes.js";
import { receiveVolume } from "../../../protocol/raw-disk/receive-volume.js";
import { type PoolName, resolveName } from "../../../protocol/storage/names.js";
import { StreamFailure } from "../../../protocol/zfs-stream/stream-failure.js";
import type { StreamBegin } from "../../../protocol/zfs-stream/volume-reader.js";
import { RECEIVED_FILE, type ReceivedStream, type ReceiveOrder } from "./child-messages.js";
import { copyVolume } from "./volume-files.js";

const DISK_FILE = "disk";

class ReceiveFailure extends Error {}

const order = JSON.parse(process.argv[2] ?? "") as ReceiveOrder;

/** What zfs-receive(8) refuses by the begin of a stream. */
function refusal({ fromGuid, toName }: StreamBegin): string | undefined {
  const { target, onto, base } = order;
  if (tagIn(toName) === undefined) return "cannot receive: invalid stream (bad snapshot name)";
  if (fromGuid === 0n) {
    return onto && `cannot receive new filesystem stream: destination '${target}' exists`;
  }
  if (!onto) return `cannot receive incremental stream: destination '${target}' does not exist`;
  // What was written since the last snapshot would be lost, and nobody can tell whether something was.
  if (!onto.readonly) return `cannot receive incremental stream: destination '${target}' is not read-only`;
  if (base && BigInt(base.guid) === fromGuid) return undefined;
  return `cannot receive incremental stream: most recent snapshot of ${target} does not\nmatch incremental source`;
}

/** The snapshot's part of the name that a stream carries, if it is one of zfs(8)'s grammar. */
function tagIn(toName: string): string | undefined {
  const tag = toName.slice(toName.indexOf("@") + 1);
  const pool = order.target as string as PoolName;
  return resolveName({ pools: [], pool }, `x@${tag}`).ok && toName.includes("@") ? tag : undefined;
}

async function openTarget(begin: StreamBegin): Promise<FileHandle> {
  const refused = refusal(begin);
  if (refused !== undefined) throw new ReceiveFailure(refused);
  await mkdir(order.folder, { mode: 0o750 });
  const path = join(order.folder, DISK_FILE);
  if (begin.fromGuid === 0n || !order.base) return open(path, "wx+", 0o640);
  await copyVolume(order.base.file, path);
  return open(path, "r+");
}

/** The report is complete when it is there: it comes last and by rename. */
async function leaveReport(report: ReceivedStream): Promise<void> {
  const path = join(order.folder, RECEIVED_FILE);
  await using file = await open(`${path}.new`, "wx");
  await file.writeFile(JSON.stringify(report));
  await file.sync();
  await rename(`${path}.new`, path);
  await sync(order.folder);
}

/** In the words of OpenZFS, which failures.ts knows, with the reason behind them. */
function wordsFor(error: unknown): string {
  if (error instanceof ReceiveFailure) return error.message;
  const { message, code } = error as NodeJS.ErrnoException;
  if (code === "ENOSPC" || code === "EDQUOT") return "cannot receive new filesystem stream: out of space";
  if (!(error instanceof StreamFailure)) return `cannot receive new filesystem stream: ${message}`;
  const words = {
    truncated: "incomplete stream",
    corrupt: "checksum mismatch or incomplete stream",
    foreign: "invalid backup stream",
    unsupported: "stream has unsupported feature",
  } as const;
  return `cannot receive new filesystem stream: ${words[error.kind]}, ${message}`;
}

try {
  const received = await receiveVolume({ source: process.stdin, openTarget });
  await leaveReport({
    file: DISK_FILE,
    guid: String(received.begin.toGuid),
    tag: tagIn(received.begin.toName) ?? "",
    created: Number(received.begin.creationTime),
    volsize: String(received.volsize),
    volblocksize: received.volblocksize ?? order.base?.volblocksize ?? 0,
    properties: order.properties,
    onto: order.onto?.id,
  });
} catch (error) {
  process.stderr.write(`${wordsFor(error)}\n`);
  // Not exitCode: an input that nobody reads to its end would keep the process.
  process.exit(1);
}
