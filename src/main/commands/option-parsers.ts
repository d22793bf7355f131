import { InvalidArgumentError } from "commander";

const MAX_PORT = 65535;
const MIN_BLOCK_BYTES = 512;
const MAX_BLOCK_BYTES = 131072;

/** For commander's `option`: accepts any text but the empty one. */
export function notEmpty(value: string): string {
  if (value === "") throw new InvalidArgumentError("must not be empty");
  return value;
}

/** For commander's `option`: a TCP port, or 0 for any free one. */
export function parsePort(value: string): number {
  if (/^\d{1,5}$/.test(value) && Number(value) <= MAX_PORT) return Number(value);
  throw new InvalidArgumentError(`must be a number from 0 to ${MAX_PORT}`);
}

/** For commander's `option`: a volblocksize in bytes. Source for the limits: zfsprops(7). */
export function parseBlockBytes(value: string): number {
  const bytes = /^\d+$/.test(value) ? Number(value) : 0;
  if (bytes >= MIN_BLOCK_BYTES && bytes <= MAX_BLOCK_BYTES && Number.isInteger(Math.log2(bytes)))
    return bytes;
  throw new InvalidArgumentError(`must be a power of two from ${MIN_BLOCK_BYTES} to ${MAX_BLOCK_BYTES}`);
}
