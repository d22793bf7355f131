import { fail, failed, type Outcome, succeed } from "../storage/failures.js";
import {
  choosePool,
  type PoolName,
  type PoolScope,
  parseComponentId,
  type ResolvedName,
  resolveName,
  type SnapshotName,
  snapshotOf,
} from "../storage/names.js";
import type { Answer, Operation, OperationName } from "../storage/operations.js";
import type {
  DiskRecord,
  GuestRecord,
  ImageRecord,
  SnapshotRecord,
  VolumeRecord,
} from "../storage/records.js";
import { bytesFromMib, MAX_VOLUME_BYTES, mib, mibFromBytes } from "../storage/units.js";
import { quote } from "./json.js";
import { arrayOf, boolean, type FieldType, optional, passThrough, string, struct, uint64 } from "./params.js";

/** An operation with the pool whose actor is to run it. */
export interface Routed {
  readonly pool: PoolName;
  readonly operation: Operation;
}

/** One method of the service: how its request is read and its answer written. */
export interface Method {
  readonly name: string;
  readonly aliases: readonly string[];
  /** The name of the request's struct, for messages. */
  readonly struct: string;
  readonly request: FieldType<unknown>;
  /** Checks a request without any process started. Fails: the contract's words for its method. */
  plan(request: unknown, pools: readonly PoolName[]): Outcome<Routed>;
  /** The JSON text of an answer. */
  encode(answer: unknown): string;
}

const imageRequest = struct({ id: string, type: string, dest: string, source: string, pool: string });
const volumeRequest = struct({ id: string, size: uint64, pool: string });
export const snapshotRequest = struct({
  id: string,
  dest: string,
  recursive: boolean,
  destroyMoreRecent: boolean,
  pool: string,
});
const disk = struct({
  bus: string,
  device: string,
  size: uint64,
  volume: string,
  image: string,
  source: string,
});

/** Members of a guest that we only hand back, around `id` and `disks` in the order of the wire. */
const BEFORE_DISKS = ["type", "image", "nics"] as const;
const AFTER_DISKS = ["state", "memory", "cpu", "vnc", "metadata"] as const;
const guest = struct({
  id: string,
  type: passThrough,
  image: passThrough,
  nics: passThrough,
  disks: arrayOf(disk),
  state: passThrough,
  memory: passThrough,
  cpu: passThrough,
  vnc: passThrough,
  metadata: passThrough,
});
const guestRequest = struct({ guest: optional(guest), action: string, pool: string });

type Wire<F> = F extends FieldType<infer T> ? T : never;
export type SnapshotRequest = Wire<typeof snapshotRequest>;
type WireGuest = Wire<typeof guest>;

const MAX_PROPERTY_CHARACTERS = 1024;

/** Control characters in a property would forge rows in what zfs lists. */
function isPropertyText(text: string): boolean {
  return text.length <= MAX_PROPERTY_CHARACTERS && !/\p{Cc}/u.test(text);
}

// --- requests -----------------------------------------------------------------

function named(pools: readonly PoolName[], pool: string, id: string): Outcome<ResolvedName> {
  const scope = choosePool(pools, pool);
  if (!scope.ok) return scope;
  const name = resolveName(scope.value, id);
  if (name.ok && pool !== "" && name.value.pool !== pool) {
    return fail(
      "name.invalid",
      "not a valid dataset",
      `the name is in pool ${name.value.pool}, not in ${pool}`,
    );
  }
  return name;
}

/** For methods where the contract leaves the words to us: say what is wrong with the name. */
function explained<T>(name: Outcome<T>): Outcome<T> {
  if (name.ok || name.failure.detail === undefined) return name;
  return fail(name.failure.code, `${name.failure.message}: ${name.failure.detail}`);
}

function routed(pool: PoolName, operation: Outcome<Operation>): Outcome<Routed> {
  return operation.ok ? succeed({ pool, operation: operation.value }) : operation;
}

/** Plans an operation on a name. Fails: the contract's words for a missing or bad one. */
function onName(
  pools: readonly PoolName[],
  request: { pool: string; id: string },
  plan: (name: ResolvedName) => Outcome<Operation>,
  refuse: (name: Outcome<ResolvedName>) => Outcome<ResolvedName> = (name) => name,
): Outcome<Routed> {
  if (request.id === "") return failed.needId;
  const name = refuse(named(pools, request.pool, request.id));
  return name.ok ? routed(name.value.pool, plan(name.value)) : name;
}

/** As onName, for methods where a refusal may say what is wrong with the name. */
function onNameExplained(
  pools: readonly PoolName[],
  request: { pool: string; id: string },
  plan: (name: ResolvedName) => Outcome<Operation>,
): Outcome<Routed> {
  return onName(pools, request, plan, explained);
}

/** Plans an operation on a snapshot. Fails: the words that the contract gives for GetSnapshot. */
function onSnapshot(
  pools: readonly PoolName[],
  request: SnapshotRequest,
  plan: (name: SnapshotName) => Operation,
): Outcome<Routed> {
  return onName(pools, request, ({ snapshot }) =>
    snapshot === undefined ? failed.notSnapshot : succeed(plan(snapshot)),
  );
}

/** Plans an operation that names no dataset, only perhaps its pool. */
function inPool(
  pools: readonly PoolName[],
  request: { pool: string },
  plan: (scope: PoolScope) => Outcome<Operation>,
): Outcome<Routed> {
  const scope = choosePool(pools, request.pool);
  return scope.ok ? routed(scope.value.pool, plan(scope.value)) : scope;
}

function guestRecord(wire: WireGuest): GuestRecord {
  const rest: Record<string, string> = {};
  for (const key of [...BEFORE_DISKS, ...AFTER_DISKS]) {
    const token = wire[key];
    if (token !== undefined) rest[key] = token;
  }
  // An image's disk gets the size of its image, whatever was asked for.
  const disks = wire.disks.map((each) => ({
    ...each,
    size: bytesFromMib(mib(each.image === "" ? each.size : 0n)),
  }));
  return { id: wire.id, disks, rest };
}

/** Checks what VerifyDisks checks before it looks at the pool. Fails: `invalid argument`. */
function checkGuest(wire: WireGuest | undefined, needDisks: boolean): Outcome<GuestRecord> {
  if (wire === undefined || wire.id === "") return failed.invalidArgument;
  const id = parseComponentId(wire.id);
  if (!id.ok) return id;
  if (!needDisks) return succeed(guestRecord(wire));
  if (wire.disks.length === 0) return failed.invalidArgument;
  if (wire.disks.some((each) => each.image === "" && each.size === 0n)) return failed.invalidArgument;
  const record = guestRecord(wire);
  // More than a volume can have is more than any pool has.
  return record.disks.some((each) => each.size > MAX_VOLUME_BYTES) ? failed.noSpace : succeed(record);
}

function onGuest(
  pools: readonly PoolName[],
  request: Wire<typeof guestRequest>,
  needDisks: boolean,
  plan: (record: GuestRecord) => Operation,
): Outcome<Routed> {
  return inPool(pools, request, () => {
    const checked = checkGuest(request.guest, needDisks);
    return checked.ok ? succeed(plan(checked.value)) : checked;
  });
}

// --- answers ------------------------------------------------------------------

/** Records are never changed, and one is asked for many times. */
const encodedImages = new WeakMap<ImageRecord, string>();

function encodeImage(image: ImageRecord): string {
  const known = encodedImages.get(image);
  if (known !== undefined) return known;
  const encoded = encodeNewImage(image);
  encodedImages.set(image, encoded);
  return encoded;
}

function encodeNewImage(image: ImageRecord): string {
  const volume = image.volume === undefined ? "" : `,"volume":${quote(image.volume)}`;
  const snapshot = image.snapshot === undefined ? "" : `,"snapshot":${quote(image.snapshot)}`;
  return `{"id":${quote(image.id)},"type":${quote(image.type)}${volume}${snapshot},"size":${mibFromBytes(image.size)},"status":${quote(image.status)}}`;
}

function encodeVolume(volume: VolumeRecord): string {
  return `{"id":${quote(volume.name)},"size":${mibFromBytes(volume.size)},"device":${quote(volume.device)}}`;
}

function encodeSnapshot(snapshot: SnapshotRecord): string {
  return `{"id":${quote(snapshot.name)},"size":${mibFromBytes(snapshot.written)}}`;
}

function encodeDisk(record: DiskRecord): string {
  return `{"bus":${quote(record.bus)},"device":${quote(record.device)},"size":${mibFromBytes(record.size)},"volume":${quote(record.volume)},"image":${quote(record.image)},"source":${quote(record.source)}}`;
}

const encodeImages = (images: readonly ImageRecord[]) =>
  // Go's nil slice: old clients see null for an empty list of images.
  `{"images":${images.length === 0 ? "null" : `[${images.map(encodeImage).join(",")}]`}}`;
const encodeVolumes = (volumes: readonly VolumeRecord[]) =>
  `{"volumes":[${volumes.map(encodeVolume).join(",")}]}`;
const encodeSnapshots = (snapshots: readonly SnapshotRecord[]) =>
  `{"snapshots":[${snapshots.map(encodeSnapshot).join(",")}]}`;

/** `disks` is omitted when empty, but for DeleteGuestsDisks, which answers `[]`. */
function encodeGuest(record: GuestRecord, keepEmptyDisks: boolean): string {
  const member = (key: string) => (key in record.rest ? `,"${key}":${record.rest[key]}` : "");
  const disks =
    record.disks.length > 0 || keepEmptyDisks ? `,"disks":[${record.disks.map(encodeDisk).join(",")}]` : "";
  return `{"guest":{"id":${quote(record.id)}${BEFORE_DISKS.map(member).join("")}${disks}${AFTER_DISKS.map(member).join("")}}}`;
}

// --- the table ----------------------------------------------------------------

interface Entry<R, K extends OperationName> {
  readonly operation: K;
  readonly aliases?: readonly string[];
  readonly struct: string;
  readonly request: FieldType<R>;
  plan(request: R, pools: readonly PoolName[]): Outcome<Routed>;
  encode(answer: Answer<K>): string;
}

/** Forgets the types of a row, once each part of it has been checked against the others. */
function method<R, K extends OperationName>(row: Entry<R, K>): Method {
  return {
    name: row.operation,
    aliases: row.aliases ?? [],
    struct: row.struct,
    request: row.request,
    plan: (request, pools) => row.plan(request as R, pools),
    encode: (answer) => row.encode(answer as Answer<K>),
  };
}

const METHODS: readonly Method[] = [
  method({
    operation: "ListImages",
    struct: "ImageRequest",
    request: imageRequest,
    plan: (request, pools) => inPool(pools, request, () => succeed({ op: "ListImages", type: request.type })),
    encode: encodeImages,
  }),
  method({
    operation: "GetImage",
    struct: "ImageRequest",
    request: imageRequest,
    plan: (request, pools) => inPool(pools, request, () => succeed({ op: "GetImage", id: request.id })),
    encode: (image: ImageRecord) => encodeImages([image]),
  }),
  method({
    operation: "RequestImage",
    struct: "ImageRequest",
    request: imageRequest,
    plan: ({ id, type, source, ...request }, pools) =>
      inPool(pools, request, () => {
        if (id === "") return failed.needImageId;
        const checked = parseComponentId(id);
        if (!checked.ok) return checked;
        // Both are kept as properties of the image's volume.
        for (const [field, value] of Object.entries({ type, source })) {
          if (!isPropertyText(value)) {
            return fail(
              "request.invalid",
              `${field}: expected at most ${MAX_PROPERTY_CHARACTERS} printable characters`,
            );
          }
        }
        return succeed({ op: "RequestImage", id: checked.value, type, source });
      }),
    encode: (image: ImageRecord) => encodeImages([image]),
  }),
  method({
    operation: "DeleteImage",
    struct: "ImageRequest",
    request: imageRequest,
    plan: (request, pools) => inPool(pools, request, () => succeed({ op: "DeleteImage", id: request.id })),
    encode: (image: ImageRecord) => encodeImages([image]),
  }),
  method({
    operation: "CloneImage",
    struct: "ImageRequest",
    request: imageRequest,
    plan: (request, pools) =>
      inPool(pools, request, (scope) => {
        if (request.dest === "") return failed.needDest;
        const target = explained(named(pools, scope.pool, request.dest));
        if (!target.ok) return target;
        if (target.value.snapshot !== undefined) {
          return fail("name.invalid", 'not a valid dataset: dest names a snapshot ("@")');
        }
        return succeed({ op: "CloneImage", id: request.id, target: target.value.dataset });
      }),
    encode: (volume: VolumeRecord) => encodeVolumes([volume]),
  }),
  method({
    operation: "ListVolumes",
    struct: "VolumeRequest",
    request: volumeRequest,
    plan: (request, pools) => inPool(pools, request, () => succeed({ op: "ListVolumes" })),
    encode: encodeVolumes,
  }),
  method({
    operation: "CreateVolume",
    struct: "VolumeRequest",
    request: volumeRequest,
    plan: (request, pools) => {
      if (request.size === 0n) return failed.needSize;
      return onNameExplained(pools, request, ({ dataset, snapshot }) => {
        if (snapshot !== undefined) {
          return fail("name.invalid", 'not a valid dataset: a volume\'s name has no "@"');
        }
        const size = bytesFromMib(mib(request.size));
        if (size > MAX_VOLUME_BYTES) {
          return fail(
            "request.invalid",
            `need a valid size: ${request.size} MiB is more than a volume can have`,
          );
        }
        return succeed({ op: "CreateVolume", name: dataset, size });
      });
    },
    encode: (volume: VolumeRecord) => encodeVolumes([volume]),
  }),
  method({
    operation: "GetVolume",
    struct: "VolumeRequest",
    request: volumeRequest,
    plan: (request, pools) =>
      onNameExplained(pools, request, ({ dataset, snapshot }) =>
        snapshot === undefined ? succeed({ op: "GetVolume", name: dataset }) : failed.notVolume,
      ),
    encode: (volume: VolumeRecord) => encodeVolumes([volume]),
  }),
  method({
    operation: "DeleteDataset",
    struct: "VolumeRequest",
    request: volumeRequest,
    plan: (request, pools) =>
      onName(pools, request, ({ pool, dataset, snapshot }) => {
        if (snapshot === undefined && [pool, `${pool}/images`, `${pool}/guests`].includes(dataset)) {
          return fail(
            "dataset.protected",
            `${dataset} can't be deleted: imagestore keeps its own data in it`,
          );
        }
        return succeed({ op: "DeleteDataset", name: snapshot ?? dataset });
      }),
    encode: (volume: VolumeRecord) => encodeVolumes([volume]),
  }),
  method({
    operation: "ListSnapshots",
    aliases: ["ListSnapshot"],
    struct: "SnapshotRequest",
    request: snapshotRequest,
    plan: (request, pools) => {
      if (request.id === "") {
        return inPool(pools, request, (scope) => succeed({ op: "ListSnapshots", root: scope.pool }));
      }
      return onName(pools, request, ({ dataset, snapshot }) =>
        snapshot === undefined
          ? succeed({ op: "ListSnapshots", root: dataset })
          : fail("name.invalid", "not a valid dataset", "snapshots have none"),
      );
    },
    encode: encodeSnapshots,
  }),
  method({
    operation: "GetSnapshot",
    struct: "SnapshotRequest",
    request: snapshotRequest,
    plan: (request, pools) => onSnapshot(pools, request, (name) => ({ op: "GetSnapshot", name })),
    encode: (snapshot: SnapshotRecord) => encodeSnapshots([snapshot]),
  }),
  method({
    operation: "CreateSnapshot",
    struct: "SnapshotRequest",
    request: snapshotRequest,
    plan: (request, pools) =>
      onNameExplained(pools, request, ({ dataset, snapshot }) => {
        if (snapshot !== undefined) return failed.snapshotOfSnapshot;
        if (request.dest === "") return failed.needSnapshotDest;
        const target = snapshotOf(dataset, request.dest);
        if (!target.ok) return target;
        return succeed({
          op: "CreateSnapshot",
          dataset,
          snapshot: target.value,
          recursive: request.recursive,
        });
      }),
    encode: encodeSnapshots,
  }),
  method({
    operation: "DeleteSnapshot",
    struct: "SnapshotRequest",
    request: snapshotRequest,
    plan: (request, pools) =>
      onSnapshot(pools, request, (name) => ({
        op: "DeleteSnapshot",
        name,
        recursive: request.recursive,
      })),
    encode: encodeSnapshots,
  }),
  method({
    operation: "RollbackSnapshot",
    struct: "SnapshotRequest",
    request: snapshotRequest,
    plan: (request, pools) =>
      onSnapshot(pools, request, (name) => ({
        op: "RollbackSnapshot",
        name,
        destroyMoreRecent: request.destroyMoreRecent,
      })),
    encode: (snapshot: SnapshotRecord) => encodeSnapshots([snapshot]),
  }),
  method({
    operation: "VerifyDisks",
    struct: "GuestRequest",
    request: guestRequest,
    plan: (request, pools) =>
      onGuest(pools, request, true, (record) => ({ op: "VerifyDisks", guest: record })),
    encode: (record: GuestRecord) => encodeGuest(record, false),
  }),
  method({
    operation: "CreateGuestDisks",
    struct: "GuestRequest",
    request: guestRequest,
    plan: (request, pools) =>
      onGuest(pools, request, true, (record) => ({ op: "CreateGuestDisks", guest: record })),
    encode: (record: GuestRecord) => encodeGuest(record, false),
  }),
  method({
    operation: "DeleteGuestsDisks",
    aliases: ["DeleteGuestDisks"],
    struct: "GuestRequest",
    request: guestRequest,
    plan: (request, pools) =>
      onGuest(pools, request, false, (record) => ({ op: "DeleteGuestsDisks", guest: record })),
    encode: (record: GuestRecord) => encodeGuest(record, true),
  }),
];

const SERVICE = "ImageStore.";
const byName: ReadonlyMap<string, MethodLookup> = new Map(
  METHODS.flatMap((found) =>
    [found.name, ...found.aliases].flatMap((name) => [
      [name, { found }],
      [`${SERVICE}${name}`, { found }],
    ]),
  ),
);

export const METHOD_NAMES: readonly string[] = METHODS.map((each) => each.name);

export type MethodLookup =
  | { readonly found: Method }
  | { readonly missing: "ill-formed" | "service" | "method" };

/** Finds `ImageStore.X`, or plain `X`. Go asks for exactly one dot; a plain name is ours. */
export function findMethod(name: string): MethodLookup {
  const known = byName.get(name);
  if (known) return known;
  if (name.split(".").length !== 2) return { missing: "ill-formed" };
  return { missing: name.startsWith(SERVICE) ? "method" : "service" };
}

/** Plans a download from its request. Fails: as GetSnapshot does. */
export function planDownload(request: SnapshotRequest, pools: readonly PoolName[]): Outcome<Routed> {
  return onSnapshot(pools, request, (name) => ({ op: "OpenSend", name }));
}
