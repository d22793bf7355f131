const GZIP_MAGIC = Buffer.from([0x1f, 0x8b]);

/** How many first bytes show whether something is gzip. */
export const GZIP_HEAD_BYTES = GZIP_MAGIC.length;

/** Whether something that begins so is gzip. */
export function isGzip(head: Buffer): boolean {
  return head.subarray(0, GZIP_MAGIC.length).equals(GZIP_MAGIC);
}

/**
 * Reads ahead until the first two bytes, which show whether `bytes` is gzip.
 * @returns the answer, and the whole input again with those bytes; `bytes` itself must not be used any more.
 */
export async function detectGzip(
  bytes: AsyncIterable<Buffer>,
): Promise<{ readonly gzipped: boolean; readonly whole: AsyncGenerator<Buffer> }> {
  const pieces = bytes[Symbol.asyncIterator]();
  let head: Buffer = Buffer.alloc(0);
  while (head.length < GZIP_MAGIC.length) {
    const next = await pieces.next();
    if (next.done) break;
    head = head.length === 0 ? next.value : Buffer.concat([head, next.value]);
  }
  async function* whole(): AsyncGenerator<Buffer> {
    try {
      if (head.length > 0) yield head;
      for (let next = await pieces.next(); !next.done; next = await pieces.next()) yield next.value;
    } finally {
      await pieces.return?.();
    }
  }
  return { gzipped: isGzip(head), whole: whole() };
}
