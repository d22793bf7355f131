import { type FailedOutcome, fail, failed, type Outcome, succeed, tellAbout } from "./failures.js";

declare const poolBrand: unique symbol;
declare const datasetBrand: unique symbol;
declare const snapshotBrand: unique symbol;
declare const imageBrand: unique symbol;

/** The name of a configured pool. */
export type PoolName = string & { readonly [poolBrand]: true };
/** A checked full name of a filesystem or volume: `tank/guests/g1/disk-0`. */
export type DatasetName = string & { readonly [datasetBrand]: true };
/** A checked full name of a snapshot: `tank/guests/g1/disk-0@s1`. */
export type SnapshotName = string & { readonly [snapshotBrand]: true };
/** A full name of a bookmark, checked by bookmarkOf: `tank/guests/g1/disk-0#b1`. */
export type BookmarkName = `${string}#${string}`;
/** The id of an image or guest: one component of a dataset name, not hidden by a leading dot. */
export type ComponentId = string & { readonly [imageBrand]: true };

/** ZFS_MAX_DATASET_NAME_LEN is 256 with the terminating zero. */
export const MAX_NAME_BYTES = 255;

/** The most slashes in a name: OpenZFS allows fewer than 50 (zfs_max_dataset_nesting). */
const MAX_SLASHES = 49;

/** A component has letters, digits and `-_.: ` (space). Source: zfs(8). */
const COMPONENT = /^[a-zA-Z0-9_.: -]+$/;
const SNAPSHOT_DEST = /^[a-zA-Z0-9_\-:.]+$/;
const POOL = /^[a-zA-Z][a-zA-Z0-9_.: -]*$/;
/** Names that zpool(8) reserves for types of vdevs. */
const RESERVED_POOL = /^(?:mirror|raidz|draid|spare|log$)/;

/** Where the names of a request are looked up. */
export interface PoolScope {
  /** All configured pools: a name may begin with any of them. */
  readonly pools: readonly PoolName[];
  /** The pool of names that begin with none. */
  readonly pool: PoolName;
}

/** The full name that a request means. `snapshot` is undefined if it means a dataset. */
export interface ResolvedName {
  readonly pool: PoolName;
  readonly dataset: DatasetName;
  readonly snapshot?: SnapshotName;
}

/** @returns what is wrong with the name of a pool, or undefined. Source: zpoolconcepts(7). */
export function poolNameProblem(text: string): string | undefined {
  if (!POOL.test(text)) return "must begin with a letter and hold only letters, digits, spaces and -_.:";
  if (RESERVED_POOL.test(text)) return "is reserved by zpool";
  return text.length > MAX_NAME_BYTES ? `is longer than ${MAX_NAME_BYTES} bytes` : undefined;
}

function componentProblem(component: string): string | undefined {
  if (component === "") return "an empty component";
  if (component === "." || component === "..") return `the component "${component}"`;
  if (COMPONENT.test(component)) return undefined;
  return `a character outside zfs(8)'s grammar in ${JSON.stringify(clip(component))}`;
}

function clip(text: string): string {
  return text.length > 64 ? `${text.slice(0, 64)}…` : text;
}

function invalid(name: string, why: string): FailedOutcome {
  const failure = fail("name.invalid", "not a valid dataset", `the name has ${why}`);
  return tellAbout(failure, { object: JSON.stringify(clip(name)) });
}

/**
 * Picks the pool of a request: its `pool` member, or the first configured one.
 * Fails: pool.not_found.
 */
export function choosePool(pools: readonly PoolName[], wanted: string): Outcome<PoolScope> {
  const pool = wanted === "" ? pools[0] : pools.find((name) => name === wanted);
  if (pool !== undefined) return succeed({ pools, pool });
  return fail("pool.not_found", `no such pool is configured: ${JSON.stringify(clip(wanted))}`);
}

/**
 * Leaves out empty components and `.`, as mistify-agent-image does by Go's filepath.Join: `/a//b/`
 * is `a/b`, and `/` is the pool itself.
 */
function cleanPath(text: string): string {
  // Nearly all names are clean.
  if (!/(?:^|\/)\.?(?:\/|$)/.test(text)) return text;
  return text
    .split("/")
    .filter((component) => component !== "" && component !== ".")
    .join("/");
}

/**
 * Resolves the name in a request, which is cleaned as cleanPath says. A name whose first component is a configured pool is full;
 * any other is relative to `scope.pool`.
 * Every result is in a configured pool, and none begins with a dash, as an option would.
 * Fails: name.invalid, with the reason as its detail.
 */
export function resolveName(scope: PoolScope, given: string): Outcome<ResolvedName> {
  const text = given === "" ? "" : cleanPath(given) || scope.pool;
  const [path = "", tag, ...more] = text.split("@");
  if (more.length > 0) return invalid(given, 'more than one "@"');
  const components = path.split("/");
  const named = scope.pools.find((pool) => pool === components[0]);
  const pool = named ?? scope.pool;
  const full = named === undefined ? `${pool}/${text}` : text;
  for (const component of components) {
    const problem = componentProblem(component);
    if (problem !== undefined) return invalid(given, problem);
  }
  if (tag !== undefined) {
    const problem = componentProblem(tag);
    if (problem !== undefined) return invalid(given, `${problem} after "@"`);
  }
  if (full.split("/").length - 1 > MAX_SLASHES) return invalid(given, `more than ${MAX_SLASHES} slashes`);
  // Every component is ASCII, as checked above: so characters are bytes.
  if (full.length > MAX_NAME_BYTES) return invalid(given, `more than ${MAX_NAME_BYTES} bytes`);
  if (tag === undefined) return succeed({ pool, dataset: full as DatasetName });
  const dataset = full.slice(0, full.indexOf("@")) as DatasetName;
  return succeed({ pool, dataset, snapshot: full as SnapshotName });
}

/**
 * Resolves the name of a request as resolveName does, and refuses what lies below images with
 * a leading dot: there images are received. Fails: name.invalid.
 */
export function resolveRequestName(scope: PoolScope, text: string): Outcome<ResolvedName> {
  const name = resolveName(scope, text);
  if (!name.ok) return name;
  const [, folder, child = ""] = name.value.dataset.split("/");
  if (folder !== "images" || !child.startsWith(".")) return name;
  return invalid(text, "a component below images with a leading dot, which is ours");
}

/** Checks the id of an image or guest. Fails: name.invalid. */
export function parseComponentId(text: string): Outcome<ComponentId> {
  const problem =
    componentProblem(text) ?? (text.startsWith(".") ? "a leading dot, which is ours" : undefined);
  if (problem !== undefined) return fail("name.invalid", `invalid id: the name has ${problem}`);
  if (text.length > MAX_NAME_BYTES) {
    return fail("name.invalid", `invalid id: longer than ${MAX_NAME_BYTES} bytes`);
  }
  return succeed(text as ComponentId);
}

/** The name of snapshot `dest` of `dataset`. Fails: name.invalid; the contract fixes the message. */
export function snapshotOf(dataset: DatasetName, dest: string): Outcome<SnapshotName> {
  if (!SNAPSHOT_DEST.test(dest) || dest === "." || dest === "..") {
    return tellAbout(failed.invalidSnapshotDest, {
      object: JSON.stringify(clip(dest)),
      field: "dest",
      wanted: "letters, digits and -_.: only",
    });
  }
  const name = `${dataset}@${dest}`;
  if (name.length > MAX_NAME_BYTES) return invalid(name, `more than ${MAX_NAME_BYTES} bytes`);
  return succeed(name as SnapshotName);
}

/** The name of bookmark `dest` of `dataset`. Fails: name.invalid. */
export function bookmarkOf(dataset: DatasetName, dest: string): Outcome<BookmarkName> {
  const name: BookmarkName = `${dataset}#${dest}`;
  if (!SNAPSHOT_DEST.test(dest) || dest === "." || dest === "..") {
    return tellAbout(fail("name.invalid", "invalid bookmark dest"), {
      object: JSON.stringify(clip(dest)),
      field: "dest",
      wanted: "letters, digits and -_.: only",
    });
  }
  return name.length > MAX_NAME_BYTES ? invalid(name, `more than ${MAX_NAME_BYTES} bytes`) : succeed(name);
}

/** The name of `child` in `parent`. The caller has checked `child`. */
export function childOf(parent: PoolName | DatasetName, child: string): DatasetName {
  return `${parent}/${child}` as DatasetName;
}

/** The dataset that a snapshot belongs to or that a dataset lies in; "" for a pool's root. */
export function parentOf(name: string): string {
  const at = name.indexOf("@");
  return at < 0 ? name.slice(0, Math.max(name.lastIndexOf("/"), 0)) : name.slice(0, at);
}

export function datasetOf(snapshot: SnapshotName): DatasetName {
  return snapshot.slice(0, snapshot.indexOf("@")) as DatasetName;
}

export function tagOf(snapshot: SnapshotName): string {
  return snapshot.slice(snapshot.indexOf("@") + 1);
}

/** The snapshot's name after its dataset has been renamed to `dataset`. */
export function renamedSnapshot(snapshot: SnapshotName, dataset: DatasetName): SnapshotName {
  return `${dataset}@${tagOf(snapshot)}` as SnapshotName;
}

/** The name of what is known to be a snapshot. */
export function snapshotNameOf({
  name,
}: {
  readonly name: PoolName | DatasetName | SnapshotName;
}): SnapshotName {
  if (isSnapshotName(name)) return name;
  throw new Error(`${name} is no snapshot`);
}

export function isSnapshotName(name: PoolName | DatasetName | SnapshotName): name is SnapshotName {
  return name.includes("@");
}

/** Whether `name` is `root` or below it. Snapshots of `root` are below it too. */
export function isWithin(name: string, root: string): boolean {
  return name === root || (name.startsWith(root) && (name[root.length] === "/" || name[root.length] === "@"));
}

/** The folder where udev puts the devices of volumes. */
export const ZVOL_DEVICES = "/dev/zvol";

/**
 * The path of a volume's device; `devices` is the folder of all devices. udev's zvol_id writes
 * a space as "+". Source: cmd/zvol_id in OpenZFS.
 */
export function devicePath(name: PoolName | DatasetName | SnapshotName, devices: string): string {
  return `${devices}/${name.replaceAll(" ", "+")}`;
}
