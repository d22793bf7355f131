import { resolve } from "node:path";
import { createRangeList, type DataRange } from "./data-ranges.js";
import { parseQemuJson } from "./qemu-json.js";

/**
 * Prints the map of a disk as JSON. `format`: as qemu-img names it, so that it does not guess.
 * `shared`: also while another process has the disk open for writing.
 * Source: qemu-img(1).
 */
export function qemuMapCommand(path: string, format: string, shared: boolean): readonly string[] {
  const share = shared ? ["--force-share"] : [];
  // A relative path with a colon would be taken for the name of a protocol.
  return ["qemu-img", "map", "--output=json", ...share, "-f", format, resolve(path)];
}

/** A part of a disk. */
interface Extent {
  readonly start: number;
  readonly length: number;
  /** It reads as zeros. */
  readonly zero: boolean;
  /** Where its data begins in the file. Undefined: nowhere, or not as it is. */
  readonly offset?: number;
}

function isExtent(value: unknown): value is Extent {
  if (typeof value !== "object" || value === null) return false;
  if (!("start" in value && "length" in value && "zero" in value)) return false;
  const offset = "offset" in value ? value.offset : 0;
  return [value.start, value.length, offset].every(Number.isSafeInteger) && typeof value.zero === "boolean";
}

/** The extents that qemuMapCommand prints, which follow one another without a gap. Undefined: it is something else. */
function parseExtents(text: string): readonly Extent[] | undefined {
  const extents = parseQemuJson(text);
  if (!Array.isArray(extents) || !extents.every(isExtent)) return undefined;
  let at = 0;
  for (const { start, length } of extents) {
    if (start !== at) return undefined;
    at += length;
  }
  return extents;
}

/**
 * Where there is data, by what qemuMapCommand prints of a disk of so many bytes. Undefined: that is
 * something else, or has not all of the disk.
 */
export function parseQemuMap(text: string, bytes: number): readonly DataRange[] | undefined {
  const extents = parseExtents(text);
  const last = extents?.at(-1);
  if (!extents || !last || last.start + last.length < bytes) return undefined;
  const list = createRangeList();
  for (const { start, length, zero } of extents) if (!zero) list.add(start, start + length);
  return list.ranges;
}

/** How long a file has to be for the data that qemuMapCommand prints. Undefined: that is something else. */
export function neededFileBytes(text: string): number | undefined {
  const ends = parseExtents(text)?.map(({ zero, offset, length }) =>
    zero || offset === undefined ? 0 : offset + length,
  );
  return ends?.reduce((most, end) => Math.max(most, end), 0);
}
