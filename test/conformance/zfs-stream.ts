/**
 * Edits replication streams, so that the suite can make images that hold data (the API
 * writes none into a volume) and streams that are wrong in one place only.
 * Layout: dmu_replay_record_t in OpenZFS's sys/zfs_ioctl.h, fletcher-4 in zfs_fletcher.c.
 */

const RECORD_BYTES = 312;
const CHECKSUM_BYTES = 32;
const BODY = 8;
const BEGIN = 0;
const OBJECT = 1;
const WRITE = 3;
const END = 5;
/** The object of a volume that holds its blocks, and that object's type. */
const DATA_OBJECT = 1n;
const DATA_OBJECT_TYPE = 23;
const CHECKSUM_OFF = 2;
const FROM_GUID = BODY + 40;

interface Record {
  readonly header: Buffer;
  readonly payload: Buffer;
}

function typeOf({ header }: Record): number {
  return header.readUInt32LE(0);
}

function payloadBytes(header: Buffer): number {
  const isWrite = header.readUInt32LE(0) === WRITE;
  return isWrite ? Number(header.readBigUInt64LE(BODY + 24)) : header.readUInt32LE(4);
}

function parse(stream: Buffer): Record[] {
  const records: Record[] = [];
  for (let at = 0; at < stream.length; ) {
    const header = Buffer.from(stream.subarray(at, at + RECORD_BYTES));
    // END keeps a checksum where others keep lengths.
    const length = header.readUInt32LE(0) === END ? 0 : payloadBytes(header);
    const payload = stream.subarray(at + RECORD_BYTES, at + RECORD_BYTES + length);
    records.push({ header, payload });
    at += RECORD_BYTES + length;
  }
  return records;
}

/** Four running 64-bit sums, each kept as two halves: BigInt would take seconds for some MiB. */
function createFletcher4(): { add(bytes: Buffer): void; sums(): Buffer } {
  const low = new Float64Array(4);
  const high = new Uint32Array(4);
  const HALF = 2 ** 32;
  return {
    add: (bytes) => {
      let [a0 = 0, b0 = 0, c0 = 0, d0 = 0] = low;
      let [a1 = 0, b1 = 0, c1 = 0, d1 = 0] = high;
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      for (let at = 0; at < bytes.length; at += 4) {
        a0 += view.getUint32(at, true);
        if (a0 >= HALF) {
          a0 -= HALF;
          a1 = (a1 + 1) >>> 0;
        }
        b0 += a0;
        b1 = (b1 + a1 + (b0 >= HALF ? 1 : 0)) >>> 0;
        if (b0 >= HALF) b0 -= HALF;
        c0 += b0;
        c1 = (c1 + b1 + (c0 >= HALF ? 1 : 0)) >>> 0;
        if (c0 >= HALF) c0 -= HALF;
        d0 += c0;
        d1 = (d1 + c1 + (d0 >= HALF ? 1 : 0)) >>> 0;
        if (d0 >= HALF) d0 -= HALF;
      }
      low.set([a0, b0, c0, d0]);
      high.set([a1, b1, c1, d1]);
    },
    sums: () => {
      const bytes = Buffer.alloc(CHECKSUM_BYTES);
      for (let index = 0; index < 4; index++) {
        bytes.writeUInt32LE(low[index] ?? 0, index * 8);
        bytes.writeUInt32LE(high[index] ?? 0, index * 8 + 4);
      }
      return bytes;
    },
  };
}

/** Writes records with the checksums that belong to them. */
function assemble(records: readonly Record[]): Buffer {
  const fletcher = createFletcher4();
  const parts: Buffer[] = [];
  for (const record of records) {
    const header = Buffer.from(record.header);
    if (typeOf(record) === END) fletcher.sums().copy(header, BODY);
    const checksumAt = RECORD_BYTES - CHECKSUM_BYTES;
    fletcher.add(header.subarray(0, checksumAt));
    if (typeOf(record) !== BEGIN) fletcher.sums().copy(header, checksumAt);
    fletcher.add(header.subarray(checksumAt));
    fletcher.add(record.payload);
    parts.push(header, record.payload);
  }
  return Buffer.concat(parts);
}

/** The same stream, taken apart and put together: shows that this module reads it rightly. */
export function reassembled(stream: Buffer): Buffer {
  return assemble(parse(stream));
}

/** The stream of a volume that begins with `data`, whole blocks of it. */
export function withData(stream: Buffer, data: Buffer): Buffer {
  const records = parse(stream);
  const isObject = (record: Record, matches: (id: bigint) => boolean) =>
    typeOf(record) === OBJECT && matches(record.header.readBigUInt64LE(BODY));
  const blocks = records.find((record) => isObject(record, (id) => id === DATA_OBJECT));
  const next = records.findIndex((record) => isObject(record, (id) => id > DATA_OBJECT));
  if (!blocks || next < 0) throw new Error("the stream is not a volume's");
  const blockBytes = blocks.header.readUInt32LE(BODY + 16);
  if (data.length % blockBytes !== 0) throw new Error(`data must be whole blocks of ${blockBytes} bytes`);
  const toGuid = blocks.header.readBigUInt64LE(BODY + 32);
  const writes: Record[] = [];
  for (let at = 0; at < data.length; at += blockBytes) {
    const header = Buffer.alloc(RECORD_BYTES);
    header.writeUInt32LE(WRITE, 0);
    header.writeBigUInt64LE(DATA_OBJECT, BODY);
    header.writeUInt32LE(DATA_OBJECT_TYPE, BODY + 8);
    header.writeBigUInt64LE(BigInt(at), BODY + 16);
    header.writeBigUInt64LE(BigInt(blockBytes), BODY + 24);
    header.writeBigUInt64LE(toGuid, BODY + 32);
    header.writeUInt8(CHECKSUM_OFF, BODY + 40);
    writes.push({ header, payload: data.subarray(at, at + blockBytes) });
  }
  return assemble(records.toSpliced(next, 0, ...writes));
}

/** The stream as an increment on a snapshot that no pool has. */
export function asIncrement(stream: Buffer): Buffer {
  const [begin, ...rest] = parse(stream);
  if (!begin) throw new Error("an empty stream");
  const header = Buffer.from(begin.header);
  header.writeBigUInt64LE(0x0123456789abcdefn, FROM_GUID);
  return assemble([{ header, payload: begin.payload }, ...rest]);
}

/** The stream with all its blocks said to be compressed, by a number of zio_compress. */
export function asCompressed(stream: Buffer, compression: number): Buffer {
  const records = parse(stream).map((record) => {
    if (typeOf(record) !== WRITE) return record;
    const header = Buffer.from(record.header);
    header.writeUInt8(compression, BODY + 42);
    header.writeBigUInt64LE(BigInt(record.payload.length), BODY + 88);
    return { header, payload: record.payload };
  });
  return assemble(records);
}

/** The blocks of a volume's stream, in order, without their places: those that were never written are in none. */
export function dataOf(stream: Buffer): Buffer {
  const writes = parse(stream).filter(
    (record) => typeOf(record) === WRITE && record.header.readBigUInt64LE(BODY) === DATA_OBJECT,
  );
  return Buffer.concat(writes.map(({ payload }) => payload));
}
