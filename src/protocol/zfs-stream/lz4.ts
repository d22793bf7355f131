const LENGTH_BYTES = 4;
const MIN_MATCH = 4;
/** A length of 15 in a token is continued by the bytes behind it, which are added to it. */
const LONG = 15;
/** A byte of this value is followed by one more. */
const MORE = 255;
/** Above this length a native copy is faster than a loop. Measured: see docs/decisions/zfs-stream.md. */
const LOOP_BYTES = 64;
/** The loop copies whole words: it may write so many bytes too far, where later output overwrites them. */
const OVERSHOOT = 3;

/**
 * Decodes an LZ4 block as ZFS stores it: the length of the block, 4 bytes big-endian, then the
 * block, then padding. Safe on hostile input: never reads or writes outside of the two arrays.
 * @returns whether the block is well formed and fills `output` exactly.
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

/**
 * Copies `length` bytes and up to OVERSHOOT more, word by word. Within one array, `to` must be
 * at least a word behind `at`.
 */
function copyWords(from: DataView, at: number, output: DataView, to: number, length: number): void {
  for (let done = 0; done < length; done += 4) {
    output.setInt32(to + done, from.getInt32(at + done, true), true);
  }
}

/** Writes `length` bytes at `to`, each equal to the one `distance` before it; source and result may overlap. */
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
  // The output is periodic from `start` on, so each copy can take twice as much as the one before.
  for (let done = 0; done < length; ) {
    const part = Math.min(length - done, distance + done);
    output.copyWithin(to + done, start, start + part);
    done += part;
  }
}
