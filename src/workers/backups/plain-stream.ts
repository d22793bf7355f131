import { createHash } from "node:crypto";
import type { ManifestStart } from "../../protocol/backups/store-orders.js";
import { fail } from "../../protocol/storage/failures.js";
import { readBegin, type StreamBegin } from "../../protocol/zfs-stream/stream-begin.js";
import { RECORD_BYTES } from "../../protocol/zfs-stream/stream-records.js";
import { FailedStep } from "./store-failures.js";

/** A stream as a command writes it, and what was seen of it so far. */
export interface PlainStream {
  readonly chunks: AsyncIterable<Buffer>;
  /** Undefined until its first record is there. */
  readonly begin: StreamBegin | undefined;
  readonly bytes: number;
  /** Of all, once. "" if none was wanted. */
  digest(): string;
}

/**
 * Passes a stream on, and holds its first record against what it is to be: its chunks throw a FailedStep otherwise.
 * `hashes`: whether a digest is wanted.
 */
export function watchPlain(
  source: AsyncIterable<Buffer>,
  wanted: ManifestStart,
  hashes: boolean,
): PlainStream {
  const hash = hashes ? createHash("sha256") : undefined;
  let head = Buffer.alloc(0);
  let begin: StreamBegin | undefined;
  let bytes = 0;
  async function* pass() {
    for await (const chunk of source) {
      if (!begin) {
        head = Buffer.concat([head, chunk.subarray(0, RECORD_BYTES - head.length)]);
        if (head.length === RECORD_BYTES) begin = checkBegin(head, wanted);
      }
      hash?.update(chunk);
      bytes += chunk.length;
      yield chunk;
    }
  }
  return {
    chunks: pass(),
    get begin() {
      return begin;
    },
    get bytes() {
      return bytes;
    },
    digest: () => hash?.digest("hex") ?? "",
  };
}

function checkBegin(head: Buffer, { guids }: ManifestStart): StreamBegin {
  const wrong = (what: string) => new FailedStep(fail("command.failed", `the command sends ${what}`));
  let begin: StreamBegin;
  try {
    begin = readBegin(new DataView(head.buffer, head.byteOffset, RECORD_BYTES));
  } catch (error) {
    throw wrong(`a stream that can't be kept: ${String(error)}`);
  }
  if (String(begin.toGuid) !== guids.to) throw wrong("another snapshot");
  if (String(begin.fromGuid) !== (guids.from ?? "0")) throw wrong("an increment from another snapshot");
  return begin;
}
