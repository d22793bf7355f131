import {
  type FailedOutcome,
  fail,
  type Outcome,
  succeed,
  tellAbout,
} from "../../../protocol/storage/failures.js";
import {
  childOf,
  type DatasetName,
  datasetOf,
  MAX_NAME_BYTES,
  type PoolName,
  type SnapshotName,
} from "../../../protocol/storage/names.js";
import { type Bytes, bytes } from "../../../protocol/storage/units.js";
import { newGuid } from "../../../protocol/zfs-stream/guid.js";
import type { AnyName } from "../driver.js";
import type { CatalogView } from "./catalog.js";
import type { Dataset, DatasetFields, Filesystem, Snapshot, Volume } from "./dataset.js";

/** The volblocksize that OpenZFS gives new volumes since 2.2, bytes. */
export const DEFAULT_VOLBLOCKSIZE = 16 * 1024;

/** What a volume or snapshot takes over from elsewhere; the rest is as in an empty filesystem created now. */
type OwnFields = Partial<DatasetFields>;

function newFields(catalog: CatalogView): DatasetFields {
  return {
    id: catalog.nextId(),
    guid: String(newGuid()),
    createtxg: catalog.nextTxg(),
    created: Math.floor(Date.now() / 1000),
    volsize: bytes(0),
    volblocksize: 0,
    written: bytes(0),
    file: "",
    allocated: bytes(0),
    reserved: false,
    readonly: false,
    origin: undefined,
    properties: {},
  };
}

export function newFilesystem(catalog: CatalogView, name: PoolName | DatasetName): Filesystem {
  return { ...newFields(catalog), type: "filesystem", name };
}

export function newVolume(catalog: CatalogView, name: DatasetName, fields: OwnFields): Volume {
  return { ...newFields(catalog), ...fields, type: "volume", name };
}

export function newSnapshot(catalog: CatalogView, name: SnapshotName, fields: OwnFields): Snapshot {
  return { ...newFields(catalog), ...fields, type: "snapshot", name };
}

/** The snapshot `tag` of a dataset; both parts are known to be good. */
export function snapshotName(dataset: AnyName, tag: string): SnapshotName {
  return `${dataset}@${tag}` as SnapshotName;
}

/** The datasets that a snapshot is taken of: its own and, with `recursive`, all below it. */
export function findTargets(
  catalog: CatalogView,
  name: SnapshotName,
  recursive: boolean,
): readonly (Filesystem | Volume)[] {
  const root = catalog.find(datasetOf(name));
  if (!root) return [];
  return (recursive ? catalog.subtree(root.name) : [root]).filter((dataset) => dataset.type !== "snapshot");
}

/**
 * What a snapshot's `written` is: how much more it has allocated than the snapshot before it
 * or, where there is none, than the origin of its volume.
 */
export function writtenSince(allocated: Bytes, allocatedBefore: Bytes | undefined): Bytes {
  return bytes(allocated > (allocatedBefore ?? 0n) ? allocated - (allocatedBefore ?? 0n) : 0n);
}

/** The failure of a change that would give one of these too long a name; `what` begins its message. */
export function longNameFailure(what: string, renamed: readonly Dataset[]): FailedOutcome | undefined {
  // Every name is ASCII.
  const isLong = renamed.some(({ name }) => name.length > MAX_NAME_BYTES);
  return isLong
    ? fail("name.invalid", `${what}: name is too long: at most ${MAX_NAME_BYTES} bytes`)
    : undefined;
}

/** The filesystems that `zfs create -p` would create for `name`. Fails: dataset.wrong_type. */
export function missingParents(
  catalog: CatalogView,
  pool: PoolName,
  name: DatasetName,
): Outcome<readonly Filesystem[]> {
  const missing: Filesystem[] = [];
  let parent: PoolName | DatasetName = pool;
  for (const component of name.split("/").slice(1, -1)) {
    parent = childOf(parent, component);
    const found = catalog.find(parent);
    if (found === undefined) missing.push(newFilesystem(catalog, parent));
    else if (found.type !== "filesystem") {
      return fail("dataset.wrong_type", `cannot create '${name}': parent is not a filesystem`);
    }
  }
  return succeed(missing);
}

/**
 * Why these datasets can't be destroyed together. `what`: whose clones they are, in the message.
 * @returns dataset.has_clones, snapshot.held, or undefined when they can.
 */
export function findDestroyFailure(
  catalog: CatalogView,
  datasets: readonly Dataset[],
  what: string,
): FailedOutcome | undefined {
  const ids = new Set(datasets.map(({ id }) => id));
  const clones = datasets.flatMap(({ id }) => catalog.clonesOf(id)).filter(({ id }) => !ids.has(id));
  if (clones.length > 0) {
    const names = clones.map(({ name }) => name).sort();
    return fail("dataset.has_clones", `${what} clones: ${names.join(", ")}`);
  }
  const held = datasets.find(({ id }) => catalog.holdsOf(id).size > 0);
  // Nothing but imagestore can hold a snapshot here.
  return (
    held &&
    tellAbout(fail("snapshot.held", `${held.name} is held by a download of it`), { object: held.name })
  );
}
