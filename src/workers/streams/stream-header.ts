import { FEATURE_BITS, MAGIC, PLACE } from "../../protocol/zfs-stream/stream-records.js";

/** The beginning of a stream whose header shows that it must not reach the kernel. */
export class StreamHeaderFailure extends Error {
  override readonly name = "StreamHeaderFailure";
}

/** The first bytes of BEGIN, up to the end of drr_versioninfo: magic and features are in there. */
const HEADER_BYTES = PLACE.beginVersion + 8;
/** drr_versioninfo keeps the kind of header in its two lowest bits and the features above them. */
const REDACTED = 1n << BigInt(FEATURE_BITS.redacted + 2);

/**
 * @returns why a stream with this header is refused, or undefined. OpenZFS 2.3.2 panics on a
 * redacted stream that lacks its list of redactions, and takes the pool down with it.
 * `zfs receive` itself refuses whatever else is wrong with a stream.
 */
export function headerProblem(header: Buffer): string | undefined {
  if (header.length < HEADER_BYTES) return undefined;
  const view = new DataView(header.buffer, header.byteOffset, HEADER_BYTES);
  const littleEndian = view.getBigUint64(PLACE.beginMagic, true) === MAGIC;
  if (!littleEndian && view.getBigUint64(PLACE.beginMagic, false) !== MAGIC) return undefined;
  const isRedacted = (view.getBigUint64(PLACE.beginVersion, littleEndian) & REDACTED) !== 0n;
  return isRedacted ? "its stream is redacted, an image must be whole" : undefined;
}

/**
 * Passes a stream on unchanged, after a look at its header. Throws StreamHeaderFailure
 * before the first byte is passed on.
 */
export async function* withCheckedHeader(stream: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  /** The bytes so far while they are too few for a header; undefined once it is checked. */
  let head: Buffer | undefined = Buffer.alloc(0);
  for await (const chunk of stream) {
    if (!head) {
      yield chunk;
      continue;
    }
    head = head.length === 0 ? chunk : Buffer.concat([head, chunk]);
    if (head.length < HEADER_BYTES) continue;
    const problem = headerProblem(head);
    if (problem !== undefined) throw new StreamHeaderFailure(problem);
    yield head;
    head = undefined;
  }
  if (head && head.length > 0) yield head;
}
