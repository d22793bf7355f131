import { StreamFailure } from "./stream-failure.js";
import {
  FEATURE_BITS,
  type Feature,
  FLAG_CLONE,
  HEADER_COMPOUND,
  HEADER_SUBSTREAM,
  MAGIC,
  OBJSET_FILESYSTEM,
  OBJSET_VOLUME,
  PLACE,
  RECORD_BYTES,
} from "./stream-records.js";

/** What the first record says. */
export interface StreamBegin {
  /** "pool/volume@snapshot" on the sender's side. Not checked: it may be any bytes, decoded as UTF-8. */
  readonly toName: string;
  readonly toGuid: bigint;
  /** The guid of the snapshot that the stream builds on; 0n in a full stream. */
  readonly fromGuid: bigint;
  /** When the snapshot was created, seconds since the epoch. */
  readonly creationTime: bigint;
  /** The stream builds on a snapshot of another volume, of which the sent one is a clone. */
  readonly isClone: boolean;
  /** By the names that zfs uses: "embed_data", "large_blocks", … */
  readonly features: readonly string[];
  readonly byteOrder: "little" | "big";
  /** How long the list behind the record is that says where a resumed stream goes on; 0: there is none. */
  readonly listBytes: number;
}

/** Where the feature flags begin in drr_versioninfo, and how many bits they have. */
const FEATURES_SHIFT = 2n;
const FEATURES_BITS = 30;

/** Why a stream with one of these features is refused. The other features make no difference to a volume. */
const REFUSED_FEATURES: Partial<Record<Feature, string>> = {
  dedup: "it is deduplicated (zfs send -D); send it without",
  dedupprops: "it is deduplicated (zfs send -D); send it without",
  raw: "it is a raw, encrypted stream (zfs send -w); send it without",
  redacted: "it is redacted (zfs send --redact), an image must be whole",
  resuming: "it continues an interrupted transfer (zfs send -t); send it from the beginning",
};

const FEATURE_NAMES: ReadonlyMap<number, Feature> = new Map(
  Object.entries(FEATURE_BITS).map(([name, bit]) => [bit, name as Feature]),
);

/** Why a stream with these features in its drr_versioninfo is refused; undefined if it is not. */
export function refusedFeatureOf(version: bigint, mayBeResumed = false): string | undefined {
  for (const [bit, feature] of FEATURE_NAMES) {
    if (mayBeResumed && feature === "resuming") continue;
    const isSet = ((version >> (FEATURES_SHIFT + BigInt(bit))) & 1n) !== 0n;
    if (isSet && REFUSED_FEATURES[feature] !== undefined) return REFUSED_FEATURES[feature];
  }
  return undefined;
}

/** Whether a stream can begin with these bytes. They may be too few to be sure; then it is true. */
export function mayBeStream(start: Uint8Array): boolean {
  return [true, false].some((littleEndian) => {
    const expected = new DataView(new ArrayBuffer(PLACE.beginMagic + 8));
    expected.setBigUint64(PLACE.beginMagic, MAGIC, littleEndian);
    return start.subarray(0, expected.byteLength).every((byte, at) => {
      const isLength = at >= PLACE.payloadBytes && at < PLACE.beginMagic;
      return isLength || byte === expected.getUint8(at);
    });
  });
}

function featuresOf(version: bigint): Feature[] {
  const features: Feature[] = [];
  const flags = version >> FEATURES_SHIFT;
  if (flags >> BigInt(FEATURES_BITS) !== 0n) {
    throw new StreamFailure("unsupported", 0, "it uses reserved bits of its version");
  }
  for (let bit = 0; bit < FEATURES_BITS; bit++) {
    if (((flags >> BigInt(bit)) & 1n) === 0n) continue;
    const name = FEATURE_NAMES.get(bit);
    if (name === undefined) throw new StreamFailure("unsupported", 0, `it has the unknown feature ${bit}`);
    features.push(name);
  }
  return features;
}

/**
 * Reads the first record, the first 312 bytes of a stream. Throws StreamFailure with offset 0
 * unless they begin the stream of one snapshot of one volume, of a kind that is read here. `mayBeResumed`: one that
 * goes on where an earlier one broke is taken too, and its feature is `resuming`.
 */
export function readBegin(header: DataView, mayBeResumed = false): StreamBegin {
  const bytes = new Uint8Array(header.buffer, header.byteOffset, RECORD_BYTES);
  if (!mayBeStream(bytes)) throw new StreamFailure("foreign", 0, "it does not begin as one");
  const unsupported = (reason: string) => new StreamFailure("unsupported", 0, reason);
  const littleEndian = header.getBigUint64(PLACE.beginMagic, true) === MAGIC;
  const u64 = (at: number) => header.getBigUint64(at, littleEndian);

  const version = u64(PLACE.beginVersion);
  const headerType = Number(version & 3n);
  if (headerType === HEADER_COMPOUND) {
    throw unsupported("it is a package (zfs send -R, -I, -p, -b or -h); send one snapshot without them");
  }
  if (headerType !== HEADER_SUBSTREAM) {
    throw new StreamFailure("corrupt", 0, `a stream header of type ${headerType}`);
  }
  const features = featuresOf(version);
  const refused = refusedFeatureOf(version, mayBeResumed);
  if (refused !== undefined) throw unsupported(refused);
  const objset = header.getUint32(PLACE.beginObjsetType, littleEndian);
  if (objset === OBJSET_FILESYSTEM) throw unsupported("it is a filesystem's, not a volume's");
  if (objset !== OBJSET_VOLUME) throw unsupported(`it is of an object set of type ${objset}, not a volume's`);
  const listBytes = header.getUint32(PLACE.payloadBytes, littleEndian);
  if (!features.includes("resuming") && listBytes !== 0) {
    throw unsupported("its header carries a list, as only kinds of streams do that aren't read here");
  }

  const name = bytes.subarray(PLACE.beginToName);
  const nameEnd = name.indexOf(0);
  return {
    toName: new TextDecoder().decode(nameEnd < 0 ? name : name.subarray(0, nameEnd)),
    toGuid: u64(PLACE.beginToGuid),
    fromGuid: u64(PLACE.beginFromGuid),
    creationTime: u64(PLACE.beginCreationTime),
    isClone: (header.getUint32(PLACE.beginFlags, littleEndian) & FLAG_CLONE) !== 0,
    features,
    byteOrder: littleEndian ? "little" : "big",
    listBytes,
  };
}
