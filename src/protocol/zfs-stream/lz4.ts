const LENGTH_BYTES = 4;
const MIN_MATCH = 4;
/** A length of 15 in a token goes on in the bytes behind it. */
const LONG = 15;

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
  let from = 0;
  let to = 0;

  /** The rest of a long length, -1 when the input ends in it. */
  function restOfLength(): number {
    let sum = 0;
    while (from < inputEnd) {
      const byte = input[from++] as number;
      sum += byte;
      if (byte !== 255) return sum;
    }
    return -1;
  }

  while (from < inputEnd) {
    const token = input[from++] as number;

    let literals = token >> 4;
    if (literals === LONG) {
      const rest = restOfLength();
      if (rest < 0) return false;
      literals += rest;
    }
    if (literals > inputEnd - from || literals > outputEnd - to) return false;
    copyApart(input, from, output, to, literals);
    from += literals;
    to += literals;
    // Only the last sequence has no match.
    if (from === inputEnd) return to === outputEnd;

    if (inputEnd - from < 2) return false;
    const distance = (input[from] as number) | ((input[from + 1] as number) << 8);
    from += 2;
    if (distance === 0 || distance > to) return false;
    let match = (token & 15) + MIN_MATCH;
    if (match === LONG + MIN_MATCH) {
      const rest = restOfLength();
      if (rest < 0) return false;
      match += rest;
    }
    if (match > outputEnd - to) return false;
    repeat(output, to, distance, match);
    to += match;
  }
  return false;
}

/** Above this many bytes a native copy is faster than a loop. Measured: see docs/decisions/zfs-stream.md. */
const LOOP_BYTES = 32;

function copyApart(input: Uint8Array, from: number, output: Uint8Array, to: number, length: number): void {
  if (length > LOOP_BYTES) output.set(input.subarray(from, from + length), to);
  else for (let index = 0; index < length; index++) output[to + index] = input[from + index] as number;
}

/** Writes `length` bytes at `to`, each the one `distance` before it: a match may overlap what it makes. */
function repeat(output: Uint8Array, to: number, distance: number, length: number): void {
  if (length <= LOOP_BYTES) {
    for (let index = to; index < to + length; index++) output[index] = output[index - distance] as number;
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
