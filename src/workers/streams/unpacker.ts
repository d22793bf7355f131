import { Duplex } from "node:stream";
import zlib, { createGunzip } from "node:zlib";
import { fail } from "../../protocol/storage/failures.js";
import type { ChildTable } from "../../protocol/threads/child-table.js";
import { GZIP_HEAD_BYTES, isGzip } from "../../protocol/zfs-stream/gzip.js";
import { startProcess } from "../processes/child-process.js";
import { FetchFailure } from "./fetch-failures.js";

/** Unpacks what is written to it. */
export interface Unpacker {
  readonly stream: Duplex;
  /** Resolves when what it has started has ended. Destroy the stream before. */
  readonly ended: Promise<unknown>;
}

const ZSTD_MAGIC = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);
/** How many first bytes show how something is packed. */
export const PACKED_HEAD_BYTES = Math.max(GZIP_HEAD_BYTES, ZSTD_MAGIC.length);
/** How much zlib gives at once: with its default, 16 KiB, handing it over costs more than inflating it. */
const INFLATED_BYTES = 256 * 1024;

/** For what begins so. Undefined: it is not packed. */
export function openUnpacker(head: Buffer, children: ChildTable): Unpacker | undefined {
  if (isGzip(head)) return ofNode(createGunzip({ chunkSize: INFLATED_BYTES }));
  if (!head.subarray(0, ZSTD_MAGIC.length).equals(ZSTD_MAGIC)) return undefined;
  // Since Node 22.15.
  const create: unknown = Reflect.get(zlib, "createZstdDecompress");
  return typeof create === "function"
    ? ofNode(create({ chunkSize: INFLATED_BYTES }))
    : startZstd(["zstd", "-dcq"], children);
}

const ofNode = (stream: Duplex): Unpacker => ({ stream, ended: Promise.resolve() });

const NOT_INSTALLED = fail(
  "command.missing",
  "the image is packed by zstd, which Node can unpack from 22.15 on; older ones need the program zstd (Debian: zstd)",
);

/** Unpacks by the program zstd. Its windows have at most 128 MiB, as Node's. */
export function startZstd(argv: readonly string[], children: ChildTable): Unpacker {
  const command = startProcess(argv, { stdin: true, stdout: true }, children);
  const { stdin, stdout } = command;
  const stream = new Duplex({
    // Where the program has ended early, its exit says why.
    write: (chunk, _encoding, done) => void (stdin ? stdin.write(chunk, () => done()) : done()),
    final: (done) => void (stdin && !stdin.destroyed ? stdin.end(() => done()) : done()),
    read: () => void stdout?.resume(),
    destroy: (error, done) => {
      command.kill();
      done(error);
    },
  });
  stdin?.on("error", () => {});
  stdout?.on("data", (piece: Buffer) => {
    if (!stream.push(piece)) stdout.pause();
  });
  const ended = command.exited.then((exit) => {
    if (exit.kind === "exited" && exit.code === 0) stream.push(null);
    else if (exit.kind === "not_started") stream.destroy(new FetchFailure(NOT_INSTALLED));
    else stream.destroy(failureOf(command.stderrText()));
  });
  return { stream, ended };
}

/** As node:zlib names what is wrong. */
function failureOf(stderr: string): Error {
  const code = /premature end/.test(stderr) ? "Z_BUF_ERROR" : "ZSTD_error";
  return Object.assign(new Error(stderr.trim().replace(/^.*?\*\\ ?: /, "")), { code });
}
