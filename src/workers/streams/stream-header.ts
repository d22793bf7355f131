/** A stream that must not reach the kernel. */
export class RefusedStream extends Error {}

/** The part of the first record, DRR_BEGIN, that holds magic and features. Source: zfs_ioctl.h. */
const HEADER_BYTES = 24;
const MAGIC_OFFSET = 8;
const VERSION_OFFSET = 16;
const DMU_BACKUP_MAGIC = 0x2f5bacbacn;
/** Two bits say what kind of header it is, the features are above them. */
const HEADER_TYPE_BITS = 2n;
const FEATURE_REDACTED = 1n << 21n;

/**
 * @returns why a stream with this header is refused, or undefined. OpenZFS 2.3.2
 * panics on a redacted stream without its list of redactions, and takes the pool
 * along; everything else that is wrong with a stream it refuses itself.
 */
export function headerProblem(header: Buffer): string | undefined {
  if (header.length < HEADER_BYTES) return undefined;
  const isLittle = header.readBigUInt64LE(MAGIC_OFFSET) === DMU_BACKUP_MAGIC;
  const isBig = header.readBigUInt64BE(MAGIC_OFFSET) === DMU_BACKUP_MAGIC;
  if (!isLittle && !isBig) return undefined;
  const version = isLittle ? header.readBigUInt64LE(VERSION_OFFSET) : header.readBigUInt64BE(VERSION_OFFSET);
  const isRedacted = ((version >> HEADER_TYPE_BITS) & FEATURE_REDACTED) !== 0n;
  return isRedacted ? "its stream is redacted, an image must be whole" : undefined;
}

/** The same bytes, the first of them looked at. Throws RefusedStream before any is given on. */
export async function* withCheckedHeader(stream: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let head: Buffer | undefined = Buffer.alloc(0);
  for await (const chunk of stream) {
    if (!head) {
      yield chunk;
      continue;
    }
    head = head.length === 0 ? chunk : Buffer.concat([head, chunk]);
    if (head.length < HEADER_BYTES) continue;
    const problem = headerProblem(head);
    if (problem !== undefined) throw new RefusedStream(problem);
    yield head;
    head = undefined;
  }
  if (head && head.length > 0) yield head;
}
