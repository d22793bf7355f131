const LENGTH_BYTES = 4;
const MIN_MATCH = 4;
/** A length of 15 in a token goes on in the bytes behind it. */
const LONG = 15;
/** ... and so on behind each byte of this value. */
const MORE = 255;
/** Above this many bytes a native copy is faster than a loop. Measured: see docs/decisions/zfs-stream.md. */
const LOOP_BYTES = 64;
/** The loop copies by words, so it may write this much too far: only what comes next, which is not there yet. */
const OVERSHOOT = 3;

/**
 * Decodes what ZFS stores for an LZ4 block: the block's length, 4 bytes big-endian, the
 * block, and padding. Trusts nothing: never reads or writes outside of the two arrays.
 * @returns whether the block was good and filled `output` exactly.
 * Source: the LZ4 block format description; lz4_zfs.c for the length.
 */
export function decodeLz4(input: Uint8Array, output: Uint8Array): boolean {
  if (input.length < LENGTH_BYTES) return false;
  const length = new DataView(input.buffer, input.byteOffset).getUint32(0);
  if (length > input.length - LENGTH_BYTES) return false;
  return decodeBlock(input.subarray(LENGTH_BYTES, LENGTH_BYTES + length), output);
}

function decodeBlock(input: Uint8Array, output: Uint8Array): boolean {
  const inputEnd = input.length;
  const outputEnd = output.length;
  const inputView = new DataView(input.buffer, input.byteOffset, inputEnd);
  const outputView = new DataView(output.buffer, output.byteOffset, outputEnd);
  let from = 0;
  let to = 0;
  while (from < inputEnd) {
    const token = input[from++] as number;

    let literals = token >> 4;
    if (literals === LONG) {
      for (let byte = MORE; byte === MORE; literals += byte) {
        if (from === inputEnd) return false;
        byte = input[from++] as number;
      }
    }
    if (literals > inputEnd - from || literals > outputEnd - to) return false;
    const canRun = literals <= LOOP_BYTES && from + literals + OVERSHOOT <= inputEnd;
    if (canRun && to + literals + OVERSHOOT <= outputEnd) {
      copyWords(inputView, from, outputView, to, literals);
    } else {
      output.set(input.subarray(from, from + literals), to);
    }
    from += literals;
    to += literals;
    // Only the last sequence has no match.
    if (from === inputEnd) return to === outputEnd;

    if (inputEnd - from < 2) return false;
    const distance = (input[from] as number) | ((input[from + 1] as number) << 8);
    from += 2;
    if (distance === 0 || distance > to) return false;
    let match = token & LONG;
    if (match === LONG) {
      for (let byte = MORE; byte === MORE; match += byte) {
        if (from === inputEnd) return false;
        byte = input[from++] as number;
      }
    }
    match += MIN_MATCH;
    if (match > outputEnd - to) return false;
    if (distance >= 4 && match <= LOOP_BYTES && to + match + OVERSHOOT <= outputEnd) {
      copyWords(outputView, to - distance, outputView, to, match);
    } else {
      repeat(output, to, distance, match);
    }
    to += match;
  }
  return false;
}

/** Copies by words, `length` bytes and up to OVERSHOOT more; within one array to at least a word behind. */
function copyWords(from: DataView, at: number, output: DataView, to: number, length: number): void {
  for (let done = 0; done < length; done += 4) {
    output.setInt32(to + done, from.getInt32(at + done, true), true);
  }
}

/** Writes `length` bytes at `to`, each the one `distance` before it: what is repeated may overlap what it makes. */
function repeat(output: Uint8Array, to: number, distance: number, length: number): void {
  if (length <= LOOP_BYTES) {
    for (let at = to; at < to + length; at++) output[at] = output[at - distance] as number;
    return;
  }
  const start = to - distance;
  if (distance === 1) {
    output.fill(output[start] as number, to, to + length);
    return;
  }
  // What is there already doubles with each copy, for it is periodic.
  for (let done = 0; done < length; ) {
    const part = Math.min(length - done, distance + done);
    output.copyWithin(to + done, start, start + part);
    done += part;
  }
}
