import { createHash } from "node:crypto";

/** A part of a stream, full but for the last one. */
export interface Part {
  /** From 1 on. */
  readonly number: number;
  readonly content: Buffer;
  readonly sha256: string;
}

export interface PartCutter {
  /** Takes bytes until a part is full. @returns how many; the rest must come again once the part was taken. */
  push(chunk: Buffer): number;
  /** The part that is full, or with `isLast` what there is of one. Undefined: there is none. */
  take(isLast?: boolean): Part | undefined;
  /** Gives the memory of a part back. */
  free(part: Part): void;
  /** Bytes so far, and after the last one the digest of all. */
  readonly bytes: number;
  digest(): string;
}

/** Cuts a stream into parts of equal size, in memory that is used again. */
export function createPartCutter(partBytes: number): PartCutter {
  const whole = createHash("sha256");
  const free: Buffer[] = [];
  let slab: Buffer | undefined;
  let filled = 0;
  let bytes = 0;
  let number = 0;
  return {
    push(chunk) {
      slab ??= free.pop() ?? Buffer.allocUnsafeSlow(partBytes);
      const taken = chunk.copy(slab, filled);
      filled += taken;
      bytes += taken;
      return taken;
    },
    take(isLast = false) {
      if (!slab || (filled < partBytes && !(isLast && filled > 0))) return undefined;
      const content = slab.subarray(0, filled);
      slab = undefined;
      filled = 0;
      whole.update(content);
      return { number: ++number, content, sha256: createHash("sha256").update(content).digest("hex") };
    },
    free: ({ content }) => {
      if (content.length === partBytes) free.push(content);
    },
    get bytes() {
      return bytes;
    },
    digest: () => whole.digest("hex"),
  };
}
