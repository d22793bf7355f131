import { createVolumeReader, type StreamBegin } from "../../../protocol/zfs-stream/volume-reader.js";

/** What a stream holds. Every checksum has been verified. Sizes are bytes. */
export interface Inspection {
  readonly begin: StreamBegin;
  /** Undefined when an incremental stream does not state it. */
  readonly volsize: bigint | undefined;
  readonly volblocksize: number | undefined;
  readonly recordCounts: Readonly<Record<string, number>>;
  readonly streamBytes: number;
  readonly dataBytes: number;
  /** In a full stream: what it leaves empty. In an incremental one: what it empties. */
  readonly holeBytes: number;
}

/** Counts the bytes that FREE records empty. Some records have no end: they reach to the end of the volume. */
function createFreedCount() {
  /** Bytes of the records that have an end. */
  let boundedBytes = 0;
  /** Where the first record without an end begins. Infinity: there has been none. */
  let openStart = Number.POSITIVE_INFINITY;
  return {
    add: (offset: number, length: number) => {
      if (offset + length >= Number.MAX_SAFE_INTEGER) openStart = Math.min(openStart, offset);
      else boundedBytes += length;
    },
    bytes: (volsize: bigint | undefined) => boundedBytes + Math.max(0, Number(volsize ?? 0) - openStart),
  };
}

/** Reads a stream to its end. Rejects with a StreamFailure for a bad stream, or with the error of `source`. */
export async function inspectStream(source: AsyncIterable<Uint8Array>): Promise<Inspection> {
  const reader = createVolumeReader();
  const freed = createFreedCount();
  let begin: StreamBegin | undefined;
  let volsize: bigint | undefined;
  let volblocksize: number | undefined;
  let dataBytes = 0;
  for await (const chunk of source) {
    for (const event of reader.push(chunk)) {
      if (event.kind === "begin") begin = event.begin;
      else if (event.kind === "size") volsize = event.volsize;
      else if (event.kind === "blocksize") volblocksize = event.volblocksize;
      else if (event.kind === "write") dataBytes += event.data.length;
      else if (event.kind === "free") freed.add(event.offset, event.length);
    }
  }
  reader.finish();
  if (!begin) throw new Error("the reader took a stream without a begin");
  const isFull = begin.fromGuid === 0n;
  return {
    begin,
    volsize,
    volblocksize,
    recordCounts: { ...reader.recordCounts },
    streamBytes: reader.offset,
    dataBytes,
    holeBytes: isFull ? Math.max(0, Number(volsize ?? 0) - dataBytes) : freed.bytes(volsize),
  };
}

function createdAt({ creationTime }: StreamBegin): string {
  const date = new Date(Number(creationTime) * 1000);
  return Number.isNaN(date.getTime()) ? String(creationTime) : date.toISOString();
}

/** For people: one line for each property. */
export function inspectionText(inspection: Inspection): string {
  const { begin, volsize, volblocksize, recordCounts } = inspection;
  const lines: readonly (readonly [string, string])[] = [
    ["name", begin.toName],
    ["guid", String(begin.toGuid)],
    ["from guid", begin.fromGuid === 0n ? "none, a full stream" : String(begin.fromGuid)],
    ["created", createdAt(begin)],
    ["size", volsize === undefined ? "as before" : `${volsize} bytes, ${volsize / 2n ** 20n} MiB`],
    ["block size", volblocksize === undefined ? "as before" : `${volblocksize} bytes`],
    ["features", begin.features.join(", ") || "none"],
    ["byte order", begin.byteOrder],
    [
      "records",
      Object.entries(recordCounts)
        .map(([name, count]) => `${name} ${count}`)
        .join(", "),
    ],
    ["data", `${inspection.dataBytes} bytes`],
    ["holes", `${inspection.holeBytes} bytes`],
    ["stream", `${inspection.streamBytes} bytes, all checksums right`],
  ];
  return lines.map(([name, value]) => `${name.padEnd(12)}${value}\n`).join("");
}

/** For programs: JSON. Guids are strings because a double can't hold them. */
export function inspectionJson(inspection: Inspection): string {
  const { begin, volsize, volblocksize, ...rest } = inspection;
  const value = {
    name: begin.toName,
    guid: String(begin.toGuid),
    fromGuid: begin.fromGuid === 0n ? null : String(begin.fromGuid),
    created: createdAt(begin),
    volsize: volsize === undefined ? null : Number(volsize),
    volblocksize: volblocksize ?? null,
    features: begin.features,
    byteOrder: begin.byteOrder,
    ...rest,
  };
  return `${JSON.stringify(value, null, 2)}\n`;
}
