import { once } from "node:events";
import { existsSync } from "node:fs";
import { codeOf, messageOf } from "../../../protocol/storage/caught-error.js";
import { CommandFailure } from "../image/command-failure.js";
import type { Progress } from "../image/progress.js";
import { createTargetFile, type TargetFile } from "../image/target-file.js";
import { CallFailure, EXIT } from "./call-failure.js";
import type { DaemonAddress } from "./daemon-address.js";
import {
  askResult,
  type DownloadFlags,
  failureOfResult,
  openSnapshotStream,
  type SnapshotStream,
} from "./snapshot-stream.js";
import { createTransferProgress } from "./transfer-progress.js";

export interface DownloadOptions extends DownloadFlags {
  /** Where to write it; `-` is stdout. Undefined: the snapshot's last part and `.zfs`, in this folder. */
  readonly output?: string | undefined;
  /** Replaces a file that is there. */
  readonly force?: boolean | undefined;
}

/** Where a stream goes. */
type StreamTarget = Pick<TargetFile, "append" | "commit" | "close">;

const FULL: readonly string[] = ["ENOSPC", "EDQUOT"];

/** What is wrong with the target, for the user. */
function targetFailure(output: string, error: unknown): unknown {
  const code = codeOf(error);
  if (FULL.includes(code)) return new CallFailure(`${output}: ${messageOf(error)}`, EXIT.noSpace);
  if (code === "EEXIST") return new CallFailure(existsLine(output), EXIT.inTheWay);
  if (error instanceof CommandFailure) return new CallFailure(error.message, EXIT.refused);
  return code === "" ? error : new CallFailure(`${output}: ${messageOf(error)}`, EXIT.other);
}

const existsLine = (output: string) => `${output} is there already: --force replaces it`;

/** A pipe has no name to appear under, so it gets the bytes as they come. */
function openStdout(): StreamTarget {
  const { stdout } = process;
  if (stdout.isTTY) {
    throw new CallFailure("a stream is not for a terminal: name a file with --output", EXIT.refused);
  }
  return {
    append: async (piece) => {
      if (!stdout.write(piece)) await once(stdout, "drain");
    },
    commit: async () => {},
    close: async () => {},
  };
}

async function openTarget(output: string, force: boolean): Promise<StreamTarget> {
  if (output === "-") return openStdout();
  // Told before the daemon has sent all of it. The target looks once more at its end.
  if (!force && existsSync(output)) throw new CallFailure(existsLine(output), EXIT.inTheWay);
  return createTargetFile(output, [], { mayReplace: force });
}

/** What has come of a stream. */
interface Received {
  readonly bytes: number;
  /** Why the connection ended, unless it did in order. */
  readonly cut?: unknown;
}

/** Rejects only for the target. */
async function receive(
  { reply }: SnapshotStream,
  append: (piece: Buffer) => Promise<void>,
  progress: Progress,
): Promise<Received> {
  let bytes = 0;
  /** Set when the target failed: then the iterator's error is that one. */
  let hasFailed = false;
  try {
    for await (const piece of reply) {
      hasFailed = true;
      await append(piece);
      hasFailed = false;
      bytes += piece.length;
      progress.update(bytes);
    }
    return { bytes };
  } catch (cut) {
    if (hasFailed) throw cut;
    return { bytes, cut };
  }
}

/** Rejects with a CallFailure unless all of the stream has come. */
async function requireWhole(
  address: DaemonAddress,
  stream: SnapshotStream,
  { bytes, cut }: Received,
): Promise<void> {
  // Its chunks have an end of their own.
  if (cut === undefined && !stream.isBulk) return;
  const result = await askResult(address, stream.download);
  if (result?.state === "failed") throw failureOfResult(result);
  const after = `after ${bytes} bytes`;
  if (cut !== undefined) {
    const line = `the connection was cut ${after}: ${messageOf(cut)}`;
    throw new CallFailure(line, result ? EXIT.tryAgain : EXIT.unreachable);
  }
  if (!result) {
    const line = `the connection ended ${after}, and the daemon does not say that this is all`;
    throw new CallFailure(line, EXIT.unreachable);
  }
  if (result.bytes !== undefined && result.bytes !== bytes) {
    throw new CallFailure(`the connection was cut ${after} of ${result.bytes}`, EXIT.tryAgain);
  }
}

/**
 * Downloads the stream of a snapshot. A file appears in its place only when all of it is on the disk.
 * Rejects with a CallFailure.
 */
export async function downloadSnapshot(
  address: DaemonAddress,
  id: string,
  options: DownloadOptions,
): Promise<void> {
  const { output = `${id.split("/").at(-1)}.zfs`, force = false } = options;
  const ofTarget = <T>(work: Promise<T>) =>
    work.catch((error: unknown) => {
      throw targetFailure(output, error);
    });
  const target = await ofTarget(openTarget(output, force));
  let estimatedBytes: number | undefined;
  const progress = createTransferProgress(process.stderr, () => estimatedBytes);
  let reply: SnapshotStream["reply"] | undefined;
  try {
    const stream = await openSnapshotStream(address, id, {
      terms: options,
      wantsEstimate: process.stderr.isTTY,
    });
    ({ reply, estimatedBytes } = stream);
    const received = await ofTarget(receive(stream, target.append, progress));
    await requireWhole(address, stream, received);
    await ofTarget(target.commit());
  } finally {
    progress.end();
    // So that the daemon ends what it sends.
    reply?.destroy();
    await target.close();
  }
}
