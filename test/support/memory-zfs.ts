import {
  type FailedOutcome,
  fail,
  failed,
  type Outcome,
  succeed,
} from "../../src/protocol/storage/failures.js";
import {
  type BookmarkName,
  type DatasetName,
  datasetOf,
  isSnapshotName,
  isWithin,
  type PoolName,
  type SnapshotName,
  tagOf,
  ZVOL_DEVICES,
} from "../../src/protocol/storage/names.js";
import type { BookmarkRecord } from "../../src/protocol/storage/records.js";
import { type Bytes, bytes } from "../../src/protocol/storage/units.js";
import type { VolumeSettings } from "../../src/protocol/storage/volume-settings.js";
import {
  type AnyName,
  type DatasetInfo,
  type MarkedVolume,
  type Properties,
  type Selection,
  selectFrom,
  sharedBlocks,
  sizeOf,
  type Zfs,
} from "../../src/workers/drivers/driver.js";
import { turn } from "./until.js";

interface Entry extends MarkedVolume {
  /** Bytes that it uses or has reserved. */
  readonly used: bigint;
  readonly quota?: Bytes;
  /** Of a volume, where they are not those of every new one. */
  readonly settings?: Partial<VolumeSettings>;
}

/** A pool in memory that behaves as zfs does, failures included. */
export interface MemoryZfs extends Zfs {
  /** Everything in the pool by name, sorted: its type, size and origin. */
  state(): Record<string, string>;
  has(name: string): boolean;
  holdsOf(snapshot: string): string[];
  /** Creates what a successful `zfs receive` does: a dataset and its snapshots. */
  receive(
    target: DatasetName,
    stream: { type: "volume" | "filesystem"; size: Bytes; snapshots: readonly string[] },
    marks: Properties,
  ): void;
  /** Creates a dataset or snapshot as another program would. */
  put(name: string, info?: Partial<MarkedVolume>): void;
  /** Called with the name of each call and its first argument. A failure that it returns is the outcome. */
  intercept: (call: string, name: string) => FailedOutcome | undefined;
  /** Awaited before each call takes effect and before it returns. Default: one turn of the event loop. */
  pause: () => Promise<void>;
  /** An independent copy. */
  copy(): MemoryZfs;
}

interface State {
  readonly entries: Map<string, Entry>;
  /** By their names. */
  readonly bookmarks: Map<BookmarkName, BookmarkRecord & { readonly createtxg: bigint }>;
  readonly holds: Map<string, Set<string>>;
  txg: bigint;
}

const parentOf = (name: string) => name.slice(0, name.lastIndexOf("/"));
const hasChildren = (name: string) =>
  fail("command.failed", `zfs destroy: cannot destroy '${name}': has children`);

export function createMemoryZfs(pool: PoolName, capacity: Bytes): MemoryZfs {
  const state: State = { entries: new Map(), bookmarks: new Map(), holds: new Map(), txg: 0n };
  const zfs = createOn(pool, capacity, state);
  zfs.put(pool, { type: "filesystem" });
  return zfs;
}

function createOn(pool: PoolName, capacity: Bytes, state: State): MemoryZfs {
  const { entries, bookmarks, holds } = state;
  let commandsRun = 0;

  function add(name: string, info: Partial<Entry>): void {
    const txg = ++state.txg;
    entries.set(name, {
      name: name as AnyName,
      type: name.includes("@") ? "snapshot" : "filesystem",
      guid: String(txg * 7919n),
      createtxg: txg,
      volsize: bytes(0),
      written: bytes(0),
      origin: undefined,
      imageType: "",
      fetchMark: "",
      trashMark: "",
      created: Math.floor(Date.now() / 1000),
      used: 0n,
      ...info,
    });
  }

  const within = (root: string) => [...entries.values()].filter(({ name }) => isWithin(name, root));
  const snapshotsOn = (dataset: string) =>
    within(dataset)
      .filter(({ name }) => name.startsWith(`${dataset}@`))
      .sort((a, b) => Number(a.createtxg - b.createtxg));
  const clonesOf = (snapshots: ReadonlySet<string>) =>
    [...entries.values()].filter(({ origin }) => origin !== undefined && snapshots.has(origin));
  const byName = (a: Pick<DatasetInfo, "name">, b: Pick<DatasetInfo, "name">) => (a.name < b.name ? -1 : 1);
  function listed(root: string, wanted: DatasetInfo["type"], select: Selection | undefined) {
    const found = within(root).filter(({ type }) => type === wanted);
    return select ? selectFrom(found, select) : found.sort(byName);
  }
  const available = () => capacity - [...entries.values()].reduce((sum, { used }) => sum + used, 0n);

  /** Creates missing parents as filesystems, as `zfs create -p` does. Fails if one is no filesystem. */
  function ensureParents(name: string): FailedOutcome | undefined {
    const parts = name.split("/").slice(0, -1);
    const parents = parts.map((_, index) => parts.slice(0, index + 1).join("/"));
    for (const parent of parents) {
      const found = entries.get(parent);
      if (found && found.type !== "filesystem") {
        return fail("dataset.wrong_type", `cannot create '${name}': parent is not a filesystem`);
      }
    }
    for (const parent of parents) if (!entries.has(parent)) add(parent, {});
    return undefined;
  }

  const bookmarksOn = (dataset: string) =>
    [...bookmarks.values()].filter(({ name }) => name.startsWith(`${dataset}#`));

  /** Gives the bookmarks of a dataset to another. */
  function moveBookmarks(from: string, to: string, upTo?: bigint): void {
    for (const each of bookmarksOn(from)) {
      if (upTo !== undefined && each.createtxg > upTo) continue;
      const name: BookmarkName = `${to}#${each.name.slice(from.length + 1)}`;
      bookmarks.delete(each.name);
      bookmarks.set(name, { ...each, name });
    }
  }

  function remove(names: readonly string[]): void {
    for (const each of names.flatMap(bookmarksOn)) bookmarks.delete(each.name);
    for (const name of names) {
      entries.delete(name);
      holds.delete(name);
    }
  }

  /** The failure to destroy all of these at once, or undefined. `asked` begins the message of clones. */
  function obstacle(names: readonly string[], asked: string): FailedOutcome | undefined {
    const doomed = new Set(names);
    const held = names.find((name) => (holds.get(name)?.size ?? 0) > 0);
    const clones = clonesOf(doomed).filter(({ name }) => !doomed.has(name));
    if (clones.length > 0) {
      const named = clones.map(({ name }) => name).sort();
      return fail("dataset.has_clones", `${asked} clones: ${named.join(", ")}`);
    }
    return held === undefined ? undefined : fail("snapshot.held", `${held} is held by a download of it`);
  }

  /** What is destroyed with a name. */
  function doomedBy(name: DatasetName | SnapshotName, recursive: boolean): Outcome<readonly string[]> {
    const isTag = isSnapshotName(name) && recursive;
    const tag = isSnapshotName(name) ? tagOf(name) : "";
    const names = (
      isTag
        ? within(datasetOf(name)).filter((each) => each.type === "snapshot" && each.name.endsWith(`@${tag}`))
        : within(name)
    ).map((each) => each.name);
    if (names.length === 0) return failed.notFound;
    if (!recursive && names.length > 1) return hasChildren(name);
    return obstacle(names, `${name} has`) ?? succeed(names);
  }

  function destroyNow(name: DatasetName | SnapshotName, recursive: boolean): Outcome<null> {
    const doomed = doomedBy(name, recursive);
    if (!doomed.ok) return doomed;
    remove(doomed.value);
    return succeed(null);
  }

  /** The snapshots and bookmarks that a rollback destroys. */
  function newerThan(name: SnapshotName, destroyMoreRecent: boolean) {
    const target = entries.get(name);
    if (!target) return failed.notFound;
    const newer = snapshotsOn(datasetOf(name)).filter(({ createtxg }) => createtxg > target.createtxg);
    const names = newer.map((each) => each.name);
    const marks = bookmarksOn(datasetOf(name)).filter(({ createtxg }) => createtxg > target.createtxg);
    if (names.length + marks.length > 0 && !destroyMoreRecent) {
      const all = [...names, ...marks.map((each) => each.name)].join(", ");
      return fail(
        "snapshot.newer_exist",
        `newer snapshots than ${name} exist: ${all}; destroyMoreRecent removes them`,
      );
    }
    return obstacle(names, `snapshots newer than ${name} have`) ?? succeed({ names, marks });
  }

  const doomedRecords = (names: readonly string[]) => names.map((name) => ({ name, used: bytes(4096) }));

  /** Runs a call. It takes effect at one moment between the call and its outcome. */
  async function call<T>(what: string, name: string, act: () => Outcome<T>): Promise<Outcome<T>> {
    commandsRun++;
    await zfs.pause();
    const answer = zfs.intercept(what, name) ?? act();
    await zfs.pause();
    return answer;
  }

  const zfs: MemoryZfs = {
    intercept: () => undefined,
    pause: turn,
    ...sharedBlocks,
    notices: async () => [],
    get commandsRun() {
      return commandsRun;
    },
    has: (name) => entries.has(name),
    holdsOf: (snapshot) => [...(holds.get(snapshot) ?? [])],
    state: () =>
      Object.fromEntries(
        [...entries.values()]
          .sort(byName)
          .map(({ name, type, volsize, origin }) => [name, `${type} ${volsize} ${origin ?? ""}`.trim()]),
      ),
    put: (name, info) => add(name, info ?? {}),
    receive: (target, stream, marks) => {
      const volsize = stream.type === "volume" ? stream.size : bytes(0);
      add(target, {
        type: stream.type,
        volsize,
        imageType: marks["imagestore:type"] ?? "",
        fetchMark: marks["imagestore:fetch"] ?? "",
      });
      for (const tag of stream.snapshots) add(`${target}@${tag}`, { volsize, written: bytes(4096) });
    },
    copy: () =>
      createOn(pool, capacity, {
        entries: new Map(entries),
        bookmarks: new Map(bookmarks),
        holds: new Map([...holds].map(([name, tags]) => [name, new Set(tags)])),
        txg: state.txg,
      }),

    checkPool: () => call("checkPool", pool, () => succeed({ health: "ONLINE", version: "memory" })),
    volumeSize: (size) => size,
    claim: () => call("claim", pool, () => succeed(null)),
    changeState: async () => undefined,
    find: (name) => call("find", name, () => succeed(entries.get(name))),
    findSize: (name) =>
      call("find", name, () => {
        const found = entries.get(name);
        return succeed(found && sizeOf(found));
      }),
    listVolumes: (select) => call("listVolumes", pool, () => succeed(listed(pool, "volume", select))),
    listSnapshots: (root, select) =>
      call("listSnapshots", root, () =>
        entries.has(root) ? succeed(listed(root, "snapshot", select)) : failed.notFound,
      ),
    snapshotsOfTag: (name) =>
      call("listSnapshots", datasetOf(name), () => {
        if (!entries.has(datasetOf(name))) return failed.notFound;
        const tagged = listed(datasetOf(name), "snapshot", undefined).filter((each) =>
          each.name.endsWith(`@${tagOf(name)}`),
        );
        return succeed(tagged.map(sizeOf));
      }),
    snapshotsOf: (volume) =>
      call("snapshotsOf", volume, () =>
        entries.has(volume) ? succeed(snapshotsOn(volume)) : failed.notFound,
      ),
    listImages: () =>
      call("listImages", pool, () =>
        entries.has(`${pool}/images`) ? succeed(within(`${pool}/images`).sort(byName)) : failed.notFound,
      ),
    driver: "openzfs",
    counts: () => ({ volumes: undefined, snapshots: undefined }),
    poolUsage: () =>
      call("poolUsage", pool, () => {
        const free = available();
        return succeed({
          size: bytes(capacity),
          allocated: bytes(capacity - free),
          free: bytes(free),
          health: "ONLINE",
          fragmentation: 7,
        });
      }),
    space: (root) =>
      call("space", root, () => {
        const thin = [...entries.values()].filter(({ type, used }) => type === "volume" && used === 0n);
        const readOnly = (name: string) => name.startsWith(`${pool}/images/`);
        const promised = thin
          .filter(({ name }) => !readOnly(name))
          .reduce((sum, { volsize }) => sum + volsize, 0n);
        return succeed({ available: bytes(available()), promised: bytes(promised) });
      }),

    ensureFilesystem: (name) =>
      call("ensureFilesystem", name, () => {
        if (entries.has(name)) return succeed(null);
        const refused = ensureParents(name);
        if (refused) return refused;
        add(name, {});
        return succeed(null);
      }),
    createVolume: (name, size, { isThick = true, volblocksize = 16_384, tags = {} } = {}) =>
      call("createVolume", name, () => {
        if (entries.has(name)) return succeed(null);
        if (isThick && size > available()) return failed.noSpace;
        const refused = ensureParents(name);
        if (refused) return refused;
        const settings = { volblocksize, tags };
        add(name, { type: "volume", volsize: size, used: isThick ? size : 0n, settings });
        return succeed(null);
      }),
    setProperties: (name, { isThick, tags = {}, ...changes }) =>
      call("setProperties", name, () => {
        const entry = entries.get(name);
        if (entry?.type !== "volume") return failed.notFound;
        const used = isThick === undefined ? entry.used : isThick ? entry.volsize : 0n;
        if (used - entry.used > available()) return failed.noSpace;
        const asked = Object.entries(changes).filter(([, value]) => value !== undefined);
        const left = Object.entries({ ...entry.settings?.tags, ...tags }).filter(([, value]) => value !== "");
        const settings = { ...entry.settings, ...Object.fromEntries(asked), tags: Object.fromEntries(left) };
        entries.set(name, { ...entry, used, settings });
        return succeed(null);
      }),
    isReadonly: (name) =>
      call("isReadonly", name, () => {
        const entry = entries.get(name);
        return entry ? succeed(entry.settings?.readonly ?? false) : failed.notFound;
      }),
    settingsOf: (name) =>
      call("settingsOf", name, () => {
        const entry = entries.get(name);
        if (!entry) return failed.notFound;
        if (entry.type !== "volume") return failed.notVolume;
        const usual = {
          compression: "off",
          sync: "standard",
          readonly: false,
          volblocksize: 16_384,
          tags: {},
        };
        return succeed({ ...usual, isThick: entry.used > 0n, ...entry.settings });
      }),
    volumesWithTag: (tag) =>
      call("volumesWithTag", pool, () =>
        succeed(
          new Map(
            [...entries.values()].flatMap(({ name, settings }) => {
              const value = settings?.tags?.[tag];
              return value === undefined ? [] : [[name, value] as const];
            }),
          ),
        ),
      ),
    setQuota: (name, quota) =>
      call("setQuota", name, () => {
        const entry = entries.get(name);
        if (!entry) return failed.notFound;
        entries.set(name, { ...entry, quota });
        return succeed(null);
      }),
    quotaOf: (name) =>
      call("quotaOf", name, () => {
        const entry = entries.get(name);
        if (!entry) return failed.notFound;
        const used = within(name).reduce((sum, each) => sum + each.used, 0n);
        return succeed({ quota: entry.quota ?? bytes(0), used: bytes(used) });
      }),
    mark: (name, marks) =>
      call("mark", name, () => {
        const entry = entries.get(name);
        if (entry?.type !== "volume") return failed.notFound;
        const { "imagestore:trash": trashMark = entry.trashMark } = marks;
        entries.set(name, { ...entry, trashMark });
        return succeed(null);
      }),
    snapshot: (name, recursive) =>
      call("snapshot", name, () => {
        const dataset = datasetOf(name);
        if (!entries.has(dataset)) return failed.notFound;
        const targets = within(dataset).filter(
          (each) => each.type !== "snapshot" && (recursive || each.name === dataset),
        );
        const named = targets.map((each) => [`${each.name}@${tagOf(name)}`, each] as const);
        if (named.some(([snapshot]) => entries.has(snapshot))) return failed.exists;
        for (const [snapshot, { volsize }] of named) add(snapshot, { volsize, written: bytes(4096) });
        return succeed(undefined);
      }),
    clone: (origin, target) =>
      call("clone", target, () => {
        const snapshot = entries.get(origin);
        // A snapshot without a size is of a filesystem. The operations clone only volumes.
        if (snapshot?.type !== "snapshot" || snapshot.volsize === 0n) return failed.notFound;
        if (entries.has(target)) return succeed(null);
        const refused = ensureParents(target);
        if (refused) return refused;
        add(target, { type: "volume", volsize: snapshot.volsize, origin });
        return succeed(null);
      }),
    rename: (from, to, makeParents = false) =>
      call("rename", from, () => {
        if (!entries.has(from)) return failed.notFound;
        if (entries.has(to)) return failed.exists;
        if (!makeParents && !entries.has(parentOf(to))) {
          return fail("dataset.wrong_type", `cannot create '${to}': parent does not exist`);
        }
        const refused = ensureParents(to);
        if (refused) return refused;
        const moved = (name: string) => `${to}${name.slice(from.length)}`;
        for (const entry of within(from)) {
          moveBookmarks(entry.name, moved(entry.name));
          entries.delete(entry.name);
          entries.set(moved(entry.name), { ...entry, name: moved(entry.name) as AnyName });
          const tags = holds.get(entry.name);
          holds.delete(entry.name);
          if (tags) holds.set(moved(entry.name), tags);
        }
        for (const entry of entries.values()) {
          if (entry.origin === undefined || !isWithin(entry.origin, from)) continue;
          entries.set(entry.name, { ...entry, origin: moved(entry.origin) as SnapshotName });
        }
        return succeed(null);
      }),
    promote: (name) =>
      call("promote", name, () => {
        const clone = entries.get(name);
        if (clone?.type !== "volume") return failed.notFound;
        const { origin } = clone;
        const made = origin && entries.get(origin);
        const source = made && entries.get(datasetOf(origin));
        if (!made || !source) return fail("dataset.wrong_type", "not a clone");
        const older = snapshotsOn(source.name).filter(({ createtxg }) => createtxg <= made.createtxg);
        const moved = (each: string) => `${name}@${each.slice(each.indexOf("@") + 1)}`;
        const conflict = older.find((each) => entries.has(moved(each.name)));
        if (conflict) {
          const tag = conflict.name.slice(conflict.name.indexOf("@") + 1);
          const what = `cannot promote '${name}': conflicting snapshot '${tag}' from parent '${origin}'`;
          return fail("dataset.exists", what);
        }
        const twice = bookmarksOn(source.name).find(
          (each) => each.createtxg <= made.createtxg && bookmarks.has(`${name}#${each.name.split("#")[1]}`),
        );
        if (twice) {
          const what = `conflicting bookmark '${twice.name.split("#")[1]}' from parent '${origin}'`;
          return fail("dataset.exists", `cannot promote '${name}': ${what}`);
        }
        moveBookmarks(source.name, name, made.createtxg);
        entries.set(name, { ...clone, origin: source.origin });
        entries.set(source.name, { ...source, origin });
        for (const each of older) {
          const to = moved(each.name);
          entries.delete(each.name);
          entries.set(to, { ...each, name: to as AnyName });
          const tags = holds.get(each.name);
          holds.delete(each.name);
          if (tags) holds.set(to, tags);
          for (const child of clonesOf(new Set([each.name])))
            entries.set(child.name, { ...child, origin: to as SnapshotName });
        }
        return succeed(null);
      }),
    resize: (volume, size) =>
      call("resize", volume, () => {
        const entry = entries.get(volume);
        if (entry?.type !== "volume") return failed.notFound;
        const isThick = entry.used > 0n;
        if (isThick && size - entry.volsize > available()) return failed.noSpace;
        entries.set(volume, { ...entry, volsize: size, used: isThick ? size : 0n });
        return succeed(null);
      }),
    destroy: (name, recursive) => call("destroy", name, () => destroyNow(name, recursive)),
    rollback: (name, destroyMoreRecent) =>
      call("rollback", name, () => {
        const newer = newerThan(name, destroyMoreRecent);
        if (!newer.ok) return newer;
        for (const each of newer.value.marks) bookmarks.delete(each.name);
        remove(newer.value.names);
        return succeed(null);
      }),
    findDoomed: (change) =>
      call("findDoomed", "destroy" in change ? change.destroy : change.rollback, () => {
        if ("destroy" in change) {
          const doomed = doomedBy(change.destroy, change.recursive);
          return doomed.ok ? succeed(doomedRecords(doomed.value)) : doomed;
        }
        const newer = newerThan(change.rollback, change.destroyMoreRecent);
        if (!newer.ok) return newer;
        return succeed(doomedRecords([...newer.value.names, ...newer.value.marks.map(({ name }) => name)]));
      }),
    bookmark: (snapshot, name) =>
      call("bookmark", name, () => {
        const found = entries.get(snapshot);
        if (found?.type !== "snapshot") return failed.notFound;
        if (bookmarks.has(name)) return failed.exists;
        const { guid, createtxg } = found;
        bookmarks.set(name, { name, guid, createtxg, created: 0 });
        return succeed(null);
      }),
    destroyBookmark: (name) =>
      call("destroyBookmark", name, () => (bookmarks.delete(name) ? succeed(null) : failed.notFound)),
    listBookmarks: (root) =>
      call("listBookmarks", root, () =>
        entries.has(root)
          ? succeed([...bookmarks.values()].filter(({ name }) => isWithin(name.replace(/#.*/, ""), root)))
          : failed.notFound,
      ),
    hold: (tag, name) =>
      call("hold", name, () => {
        if (!entries.has(name)) return failed.notFound;
        const tags = holds.get(name) ?? new Set();
        if (tags.has(tag)) return fail("command.failed", "zfs hold: tag already exists on this dataset");
        holds.set(name, tags.add(tag));
        return succeed(null);
      }),
    release: (tag, name) =>
      call("release", name, () => {
        return succeed(holds.get(name)?.delete(tag) === true);
      }),
    listHolds: (prefix) =>
      call("listHolds", pool, () =>
        succeed(
          [...holds].flatMap(([name, tags]) =>
            [...tags]
              .filter((tag) => tag.startsWith(prefix))
              .map((tag) => ({ name: name as SnapshotName, tag })),
          ),
        ),
      ),

    findBase: (name, { from }) =>
      call("findBase", name, () => {
        const [found, sent] = [entries.get(from), entries.get(name)];
        const mark = [...bookmarks.values()].find((each) => each.name === from);
        if (mark)
          return succeed({ guid: mark.guid, isOlder: mark.createtxg < (sent?.createtxg ?? 0n), needs: [] });
        if (!found || !sent) return succeed(undefined);
        const { guid, createtxg } = found;
        const needs = [{ name: from as SnapshotName, guid }];
        return succeed({ guid, isOlder: createtxg < sent.createtxg, needs });
      }),
    readResumeToken: (token) =>
      call("readResumeToken", pool, () => fail("request.invalid", `resume: ${token} is not known`)),
    sendFeatures: async (_name, { flags = [] } = {}) => succeed([...flags]),
    checkSend: (name) => call("checkSend", name, () => succeed(null)),
    estimateSend: async () => 4096,
    writtenNow: async () => 512,
    sendCommand: (name, { from } = {}) => ["send", ...(from === undefined ? [] : ["-i", from]), name],
    receiveCommand: (target, marks, { origin } = {}) => [
      ...["receive", target, JSON.stringify(marks)],
      ...(origin === undefined ? [] : [origin]),
    ],
    receiveToken: async () => succeed(undefined),
    abandonReceive: async () => succeed(null),
    finishReceive: async () => succeed(null),
    devices: ZVOL_DEVICES,
    close: async () => {},
    waitForDevice: async () => true,
  };
  return zfs;
}
