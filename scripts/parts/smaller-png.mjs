import { crc32, deflateSync, inflateSync } from "node:zlib";

/**
 * The same picture in fewer bytes. Pictures of a page are flat: their lines pack better as they are than as differences,
 * which is what a browser writes.
 * @param {Buffer} png of 8 bits, without palette and interlace
 */
export function smallerPng(png) {
  /** @type {{ type: string, data: Buffer }[]} */
  const chunks = [];
  for (let at = 8; at < png.length; at += 12 + png.readUInt32BE(at)) {
    const start = at + 8;
    const type = png.toString("latin1", at + 4, start);
    chunks.push({ type, data: png.subarray(start, start + png.readUInt32BE(at)) });
  }
  const header = chunks.find(({ type }) => type === "IHDR")?.data;
  if (header?.[8] !== 8 || ![2, 6].includes(header[9] ?? 0)) throw new Error("no PNG of this kind");
  const parts = chunks.filter(({ type }) => type === "IDAT").map(({ data }) => data);
  const lines = plainLines(
    inflateSync(Buffer.concat(parts)),
    header.readUInt32BE(0),
    header[9] === 6 ? 4 : 3,
  );
  return Buffer.concat([
    png.subarray(0, 8),
    chunkOf("IHDR", header),
    chunkOf("IDAT", deflateSync(lines, { level: 9, memLevel: 9 })),
    chunkOf("IEND", Buffer.alloc(0)),
  ]);
}

/** @param {string} type @param {Buffer} data */
function chunkOf(type, data) {
  const body = Buffer.concat([Buffer.from(type), data]);
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, sum]);
}

/**
 * Undoes the filter of each line, and says in its first byte that it has none.
 * Source: https://www.w3.org/TR/png-3/#9Filters
 * @param {Buffer} filtered @param {number} width @param {number} pixelBytes
 */
function plainLines(filtered, width, pixelBytes) {
  const lineBytes = width * pixelBytes + 1;
  const lines = Buffer.alloc(filtered.length);
  for (let line = 0; line < filtered.length; line += lineBytes) {
    const filter = filtered[line] ?? 0;
    for (let index = 1; index < lineBytes; index++) {
      const at = line + index;
      const left = index > pixelBytes ? (lines[at - pixelBytes] ?? 0) : 0;
      const up = line > 0 ? (lines[at - lineBytes] ?? 0) : 0;
      const corner = line > 0 && index > pixelBytes ? (lines[at - lineBytes - pixelBytes] ?? 0) : 0;
      const guess = [0, left, up, (left + up) >> 1, nearestOf(left, up, corner)][filter] ?? 0;
      lines[at] = ((filtered[at] ?? 0) + guess) & 0xff;
    }
  }
  return lines;
}

/** @param {number} left @param {number} up @param {number} corner */
function nearestOf(left, up, corner) {
  const sum = left + up - corner;
  const [ofLeft, ofUp, ofCorner] = [left, up, corner].map((each) => Math.abs(sum - each));
  if ((ofLeft ?? 0) <= (ofUp ?? 0) && (ofLeft ?? 0) <= (ofCorner ?? 0)) return left;
  return (ofUp ?? 0) <= (ofCorner ?? 0) ? up : corner;
}
