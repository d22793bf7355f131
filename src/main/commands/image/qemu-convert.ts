import { spawn } from "node:child_process";
import type { Socket } from "node:net";
import { resolve } from "node:path";
import type { DiskPiece, GivePieces } from "../../../protocol/raw-disk/disk-pieces.js";
import { codeOf } from "../../../protocol/storage/caught-error.js";
import { CommandFailure } from "./command-failure.js";
import type { DiskFile } from "./disk-source.js";
import { type DiskWrite, NbdFailure, receiveDisk } from "./nbd-target.js";
import { firstLine } from "./run-tool.js";
import { openSocketPair } from "./socket-pair.js";

/** More than any of its messages. */
const STDERR_BYTES = 4096;
/** The descriptor by which the child knows its socket: the first behind stdin, stdout and stderr. */
const SOCKET = 3;

/**
 * Writes the disk to the NBD server at the other end of a socket, in its order, and leaves out what is
 * zeros: holes that the format knows, and shorter runs of at least the last number. Source: qemu-img(1).
 */
function convertCommand(path: string, driver: string): readonly string[] {
  const target = ["--target-image-opts", `driver=nbd,server.type=fd,server.str=${SOCKET}`];
  return ["convert", "-n", "--target-is-zero", "-S", "64k", "-f", driver, resolve(path), ...target];
}

/** Starts qemu-img. `ended` resolves to why it failed; undefined: it succeeded. */
function startConvert(file: DiskFile, driver: string, socket: Socket) {
  const [command = "", ...args] = convertCommand(file.path, driver);
  const env = { ...process.env, LC_ALL: "C" };
  const child = spawn("qemu-img", [command, ...args], { stdio: ["ignore", "ignore", "pipe", socket], env });
  let stderr = "";
  child.stderr?.on("data", (text: Buffer) => {
    if (stderr.length < STDERR_BYTES) stderr += text;
  });
  const ended = new Promise<CommandFailure | undefined>((resolveEnd) => {
    child.once("error", (error) => {
      if (child.pid === undefined) resolveEnd(new CommandFailure(`qemu-img: ${codeOf(error)}`));
    });
    child.once("close", (status, signal) => {
      if (status === 0) return resolveEnd(undefined);
      const how = signal === null ? `qemu-img ended with ${status}` : `qemu-img was ended by ${signal}`;
      resolveEnd(new CommandFailure(`${file.name}: ${firstLine("qemu-img", stderr) || how}`));
    });
  });
  return { ended, kill: () => child.kill("SIGKILL") };
}

/** Joins writes in ascending places to pieces. What was not written of a piece is zeros. */
async function* joinWrites(
  writes: AsyncIterable<DiskWrite>,
  pieceBytes: number,
  length: number,
): AsyncGenerator<DiskPiece> {
  const piece = Buffer.alloc(pieceBytes);
  /** Where the piece begins. Negative: none has begun. */
  let start = -1;
  const whole = () => ({ offset: start, data: piece.subarray(0, Math.min(pieceBytes, length - start)) });
  for await (const { offset, data } of writes) {
    for (let taken = 0; taken < data.length; ) {
      const place = (offset + taken) % pieceBytes;
      const wanted = offset + taken - place;
      if (wanted < start) throw new NbdFailure("writes out of order");
      if (wanted > start) {
        if (start >= 0) yield whole();
        start = wanted;
        piece.fill(0);
      }
      taken += data.copy(piece, place, taken);
    }
  }
  if (start >= 0) yield whole();
}

/**
 * The pieces of the disk in a file of a format that QEMU reads, written to us by `qemu-img convert`: nothing
 * is copied to anywhere else, and no hole is sent. The iteration throws a CommandFailure with what qemu-img
 * wrote, or how it ended. It ends when qemu-img has succeeded.
 */
export function convertedPieces(file: DiskFile, driver: string, bytes: number): GivePieces {
  return async function* (pieceBytes, length) {
    const { ours, theirs, chunks } = await openSocketPair();
    const { ended, kill } = startConvert(file, driver, theirs);
    theirs.destroy();
    try {
      const writes = receiveDisk(chunks, (reply) => void ours.write(reply), bytes);
      yield* joinWrites(writes, pieceBytes, length);
      const failure = await ended;
      if (failure) throw failure;
    } catch (error) {
      if (!(error instanceof NbdFailure)) throw error;
      // One that has left is about to end, and says itself why.
      const failure = error.hasLeft ? await ended : undefined;
      throw failure ?? new CommandFailure(`${file.name}: qemu-img ${error.message}`);
    } finally {
      ours.destroy();
      kill();
      await ended;
    }
  };
}
