import { randomBytes } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Mutex } from "async-mutex";
import {
  type FailureCode,
  fail,
  type Outcome,
  type Refused,
  refusals,
  succeed,
} from "../../protocol/failures.js";
import {
  childOf,
  type DatasetName,
  datasetOf,
  isSnapshotName,
  type PoolName,
  type SnapshotName,
  tagOf,
} from "../../protocol/names.js";
import { type Bytes, bytes } from "../../protocol/units.js";
import type { ActorLog } from "../log.js";
import type { AnyName, DatasetInfo, MarkedVolume, Properties, Zfs } from "../zfs/driver.js";
import { type Catalog, type Change, type Entry, openCatalog, originOf } from "./catalog.js";
import { RECEIVED_FILE, type ReceivedStream, type ReceiveOrder, type SendOrder } from "./orders.js";
import { openVolumeFiles, type VolumeFiles } from "./volume-files.js";

export interface EmbeddedOptions {
  readonly pool: PoolName;
  readonly folder: string;
  /** The most that the pool's files may take together; undefined: what the file system has. */
  readonly quota: Bytes | undefined;
  readonly log: ActorLog;
}

const CATALOG_FILE = "pool.db";
/** What OpenZFS gives new volumes since 2.2. */
const VOLBLOCKSIZE = 16 * 1024;

const scriptPath = (name: string) => fileURLToPath(new URL(`./${name}.js`, import.meta.url));

/** The failure for an error of the file system or of SQLite. A bug is thrown on. */
function failureOfError(error: unknown, what: string): Refused {
  const { code, message } = error as NodeJS.ErrnoException;
  if (typeof code !== "string" || !/^(?:E[A-Z0-9]+|SQLITE_[A-Z]+)$/.test(code)) throw error;
  const known: Readonly<Record<string, FailureCode>> = {
    EROFS: "pool.read_only",
    SQLITE_READONLY: "pool.read_only",
    EACCES: "command.not_permitted",
    EPERM: "command.not_permitted",
  };
  if (code === "ENOSPC" || code === "EDQUOT" || code === "EFBIG" || code === "SQLITE_FULL") {
    return fail("pool.no_space", refusals.noSpace.failure.message, message);
  }
  return fail(known[code] ?? "pool.unavailable", `${what}: ${message}`);
}

async function attempt<T>(what: string, work: () => Promise<Outcome<T>>): Promise<Outcome<T>> {
  try {
    return await work();
  } catch (error) {
    return failureOfError(error, what);
  }
}

function newGuid(): string {
  // A guid of zero means "none" in a stream.
  return String(randomBytes(8).readBigUInt64BE() || 1n);
}

function nowSeconds(): number {
  return Math.floor(Date.now() / 1000);
}

/** A folder that holds something else must not become a pool by a slip in the configuration. */
function folderProblem(folder: string): string | undefined {
  if (!existsSync(folder) || existsSync(join(folder, CATALOG_FILE))) return undefined;
  return readdirSync(folder).length > 0 ? `${folder} holds other files and is no pool` : undefined;
}

/**
 * Opens the pool in a folder, or makes it there; removes what a crash has left.
 * Fails: pool.not_found (the folder is something else, or can't be made),
 * pool.unavailable (another daemon has it open, or it can't be read).
 */
export async function openEmbeddedZfs(options: EmbeddedOptions): Promise<Outcome<Zfs>> {
  const { pool, log } = options;
  const folder = resolve(options.folder);
  const open = async (): Promise<Outcome<Zfs>> => {
    const problem = folderProblem(folder);
    if (problem !== undefined) return fail("pool.not_found", `pool ${pool}: ${problem}`);
    const files = await openVolumeFiles(folder);
    const catalog = await openCatalog(join(folder, CATALOG_FILE));
    const opened = await settle(pool, catalog, files, log).catch((error: unknown) => ({ error }));
    if (opened === undefined) return succeed(createEmbeddedZfs(options, folder, catalog, files));
    await catalog.close();
    if ("error" in opened) throw opened.error;
    return opened;
  };
  return attempt(`pool ${pool} in ${folder} can't be opened`, open).then((opened) => {
    if (opened.ok || !opened.failure.message.includes("SQLITE_BUSY")) return opened;
    return fail("pool.unavailable", `pool ${pool} in ${folder} is open in another imagestore`);
  });
}

/** Makes the pool's root where it is new, and removes what nobody uses. */
async function settle(
  pool: PoolName,
  catalog: Catalog,
  files: VolumeFiles,
  log: ActorLog,
): Promise<Refused | undefined> {
  const [first] = catalog.entries();
  const root = first?.name.split(/[/@]/)[0];
  if (root === undefined) await catalog.commit({ put: [newEntry(catalog, pool, { type: "filesystem" })] });
  else if (root !== pool) return fail("pool.not_found", `the folder's pool is called ${root}, not ${pool}`);
  const volumes = [...catalog.entries()].filter(({ type }) => type === "volume");
  const links = volumes.map(({ name, file }): [DatasetName, string] => [name as DatasetName, file]);
  const removed = await files.sweep(catalog.uses, links);
  if (removed > 0) log.warn("files that a crash left are removed", { pool, files: removed });
  return undefined;
}

function newEntry(catalog: Catalog, name: AnyName, parts: Partial<Entry> & Pick<Entry, "type">): Entry {
  return {
    id: catalog.nextId(),
    name,
    guid: newGuid(),
    createtxg: catalog.nextTxg(),
    created: nowSeconds(),
    volsize: bytes(0),
    volblocksize: 0,
    written: bytes(0),
    file: "",
    held: bytes(0),
    reserved: false,
    readonly: false,
    origin: undefined,
    properties: {},
    ...parts,
  };
}

function createEmbeddedZfs(
  options: EmbeddedOptions,
  folder: string,
  catalog: Catalog,
  files: VolumeFiles,
): Zfs {
  const { pool, log } = options;
  /** Held while a change is decided and written: each is decided on what the one before has made. */
  const commits = new Mutex();
  /** Folders in `incoming/` by the dataset that is received there. */
  const receiving = new Map<DatasetName, string>();
  let lastFile = 0;

  const newFile = () => `${Date.now().toString(36)}-${randomBytes(4).toString("hex")}-${++lastFile}`;

  function infoOf(entry: Entry): DatasetInfo {
    const { name, type, guid, createtxg, volsize, written } = entry;
    return { name, type, guid, createtxg, volsize, written, origin: originOf(catalog, entry) };
  }

  /** Decides and commits; what `made` no longer serves, because it was refused or failed, is removed. */
  function change(
    what: string,
    decide: () => Outcome<Change> | Promise<Outcome<Change>>,
    made: readonly string[] = [],
  ): Promise<Outcome<null>> {
    return attempt(what, async () => {
      try {
        return await commits.runExclusive(async () => {
          const decided = await decide();
          if (!decided.ok) return decided;
          await catalog.commit(decided.value);
          return succeed(null);
        });
      } finally {
        await removeUnused(made);
      }
    });
  }

  async function removeUnused(unused: readonly string[]): Promise<void> {
    for (const file of unused) {
      if (file === "" || catalog.uses(file)) continue;
      await files.remove(file).catch((error: unknown) => {
        log.warn("a file could not be removed; the next start tries again", { file, error: String(error) });
      });
    }
  }

  /** After datasets are gone: their files and links. */
  async function clearAway(gone: readonly Entry[]): Promise<void> {
    for (const { name, type } of gone) if (type === "volume") await files.unlink(name as DatasetName);
    await removeUnused(gone.map(({ file }) => file));
  }

  /** What `create -p` makes on the way to `name`. Fails: dataset.wrong_type. */
  function missingParents(name: DatasetName): Outcome<Entry[]> {
    const parts = name.split("/").slice(0, -1);
    const missing: Entry[] = [];
    for (let length = 1; length <= parts.length; length++) {
      const parent = parts.slice(0, length).join("/") as DatasetName;
      const found = catalog.get(parent);
      if (found === undefined) missing.push(newEntry(catalog, parent, { type: "filesystem" }));
      else if (found.type !== "filesystem") {
        return fail("dataset.wrong_type", `cannot create '${name}': parent is not a filesystem`);
      }
    }
    return succeed(missing);
  }

  /** Why these can't all go at once. */
  function obstacle(doomed: readonly Entry[], asked: string): Refused | undefined {
    const ids = new Set(doomed.map(({ id }) => id));
    const clones = doomed.flatMap(({ id }) => catalog.clonesOf(id)).filter(({ id }) => !ids.has(id));
    if (clones.length > 0) {
      const names = clones.map(({ name }) => name).sort();
      return fail("dataset.has_clones", `${asked} has clones: ${names.join(", ")}`);
    }
    const held = doomed.find(({ id }) => catalog.holdsOf(id).size > 0);
    return held && fail("snapshot.held", `${held.name} is held, a download of it may be running`);
  }

  /** What the pool's files take, and what thick and thin volumes may still take. */
  async function usage(): Promise<{ used: bigint; reserved: bigint; promised: bigint }> {
    const sums = { used: 0n, reserved: 0n, promised: 0n };
    const shared = new Set<string>();
    for (const entry of [...catalog.entries()]) {
      if (entry.type === "snapshot") {
        sums.used += entry.held;
        shared.add(entry.file);
      }
    }
    for (const entry of [...catalog.entries()]) {
      if (entry.type !== "volume") continue;
      // One that goes while we count has nothing any more.
      const held = await files.heldBy(entry.file).catch(() => bytes(0));
      if (!shared.has(entry.file)) sums.used += held;
      const growth = entry.volsize > held ? entry.volsize - held : 0n;
      if (entry.reserved) sums.reserved += growth;
      else if (!entry.readonly) sums.promised += growth;
    }
    return sums;
  }

  async function space(): Promise<{ available: Bytes; promised: Bytes }> {
    const [free, { used, reserved, promised }] = await Promise.all([files.available(), usage()]);
    let left: bigint = free;
    if (options.quota !== undefined && options.quota - used < left) left = options.quota - used;
    left -= reserved;
    return { available: bytes(left > 0n ? left : 0n), promised: bytes(promised) };
  }

  /** The quota's refusal of a file that takes `held` bytes; without a quota the file system refuses itself. */
  async function overQuota(held: bigint): Promise<boolean> {
    if (options.quota === undefined) return false;
    const { used, reserved } = await usage();
    return used + reserved + held > options.quota;
  }

  function destroyed(name: DatasetName | SnapshotName, recursive: boolean): Outcome<readonly Entry[]> {
    const doomed = doomedBy(name, recursive);
    if (doomed.length === 0) return refusals.notFound;
    if (!recursive && doomed.length > 1) {
      return fail("command.failed", `cannot destroy '${name}': it has children`);
    }
    return obstacle(doomed, name) ?? succeed(doomed);
  }

  function doomedBy(name: DatasetName | SnapshotName, recursive: boolean): readonly Entry[] {
    if (!isSnapshotName(name)) return catalog.within(name);
    if (!recursive) return catalog.get(name) ? catalog.within(name) : [];
    const tag = tagOf(name);
    return catalog
      .within(datasetOf(name))
      .filter((entry) => entry.type === "snapshot" && tagOf(entry.name as SnapshotName) === tag);
  }

  async function snapshotEntry(target: Entry, name: SnapshotName): Promise<Entry> {
    const { volsize, volblocksize } = target;
    if (target.type !== "volume") return newEntry(catalog, name, { type: "snapshot" });
    const file = newFile();
    const held = await files.copy(target.file, file);
    const before = catalog.snapshotsOf(target.name).at(-1)?.held ?? heldByOrigin(target);
    const written = bytes(held > before ? held - before : 0n);
    return newEntry(catalog, name, { type: "snapshot", volsize, volblocksize, file, held, written });
  }

  function heldByOrigin({ origin }: Entry): Bytes {
    return (origin === undefined ? undefined : catalog.withId(origin)?.held) ?? bytes(0);
  }

  /** What a received stream adds: a volume with its snapshot, or a snapshot more and the volume's new state. */
  function received(target: DatasetName, order: ReceivedStream, file: string, held: Bytes): Outcome<Change> {
    const { guid, tag, volsize: size, volblocksize, created, properties } = order;
    const volsize = bytes(BigInt(size));
    const data = { volsize, volblocksize, file };
    const existing = catalog.get(target);
    const name = `${target}@${tag}` as SnapshotName;
    if (order.onto === undefined && existing) return refusals.exists;
    if (order.onto !== undefined && existing?.id !== order.onto) return refusals.notFound;
    if (catalog.get(name)) return refusals.exists;
    const parents = missingParents(target);
    if (!parents.ok) return parents;
    const volume: Entry = existing
      ? { ...existing, ...data }
      : newEntry(catalog, target, { type: "volume", readonly: true, properties, ...data });
    const before = existing ? (catalog.snapshotsOf(target).at(-1)?.held ?? 0n) : 0n;
    const written = bytes(held > before ? held - before : 0n);
    const snapshot = newEntry(catalog, name, { type: "snapshot", guid, created, held, written, ...data });
    return succeed({ put: [...parents.value, volume, snapshot] });
  }

  const zfs: Zfs = {
    commandsRun: 0,
    devices: files.devices,
    close: () => catalog.close(),

    checkPool: async () => succeed({ health: "ONLINE", version: "imagestore embedded" }),

    async find(name) {
      const entry = catalog.get(name);
      return succeed(entry && infoOf(entry));
    },
    async listVolumes() {
      return succeed(
        catalog
          .within(pool)
          .filter(({ type }) => type === "volume")
          .map(infoOf),
      );
    },
    async listSnapshots(root) {
      if (!catalog.get(root)) return refusals.notFound;
      const found = catalog.within(root).filter(({ type }) => type === "snapshot");
      return succeed(found.map(infoOf));
    },
    async snapshotsOf(volume) {
      return catalog.get(volume) ? succeed(catalog.snapshotsOf(volume).map(infoOf)) : refusals.notFound;
    },
    async listImages() {
      const root = childOf(pool, "images");
      if (!catalog.get(root)) return refusals.notFound;
      return succeed(
        catalog.within(root).map((entry): MarkedVolume => {
          const owner =
            entry.type === "snapshot" ? catalog.get(datasetOf(entry.name as SnapshotName)) : entry;
          const mark = (property: string) => owner?.properties[property] ?? "";
          return {
            ...infoOf(entry),
            imageType: mark("imagestore:type"),
            fetchMark: mark("imagestore:fetch"),
          };
        }),
      );
    },
    space: () => attempt("the pool's space can't be told", async () => succeed(await space())),

    ensureFilesystem: (name) =>
      change(`cannot create '${name}'`, () => {
        if (catalog.get(name)) return succeed({});
        const parents = missingParents(name);
        if (!parents.ok) return parents;
        return succeed({ put: [...parents.value, newEntry(catalog, name, { type: "filesystem" })] });
      }),

    createVolume: (name, volsize) =>
      attempt(`cannot create '${name}'`, async () => {
        if (catalog.get(name)) return succeed(null);
        const file = newFile();
        const decide = async (): Promise<Outcome<Change>> => {
          if (catalog.get(name)) return succeed({});
          const parents = missingParents(name);
          if (!parents.ok) return parents;
          if (volsize > (await space()).available) return refusals.noSpace;
          const volume = {
            type: "volume",
            volsize,
            volblocksize: VOLBLOCKSIZE,
            file,
            reserved: true,
          } as const;
          return succeed({ put: [...parents.value, newEntry(catalog, name, volume)] });
        };
        await files.create(file, volsize);
        const created = await change(`cannot create '${name}'`, decide, [file]);
        if (created.ok && catalog.get(name)?.file === file) await files.link(name, file);
        return created;
      }),

    snapshot: (name, recursive) =>
      attempt(`cannot create snapshot '${name}'`, async () => {
        const dataset = datasetOf(name);
        if (!catalog.get(dataset)) return refusals.notFound;
        const targets = (recursive ? catalog.within(dataset) : [catalog.get(dataset)]).filter(
          (entry): entry is Entry => entry !== undefined && entry.type !== "snapshot",
        );
        const nameOf = (entry: Entry) => `${entry.name}@${tagOf(name)}` as SnapshotName;
        const exists = () => targets.some((entry) => catalog.get(nameOf(entry)));
        if (exists()) return refusals.exists;
        const made: Entry[] = [];
        const decide = async (): Promise<Outcome<Change>> => {
          if (exists()) return refusals.exists;
          if (await overQuota(made.reduce((sum, { held }) => sum + held, 0n))) return refusals.noSpace;
          const gone = targets.some((entry) => catalog.withId(entry.id)?.name !== entry.name);
          return gone ? refusals.notFound : succeed({ put: made });
        };
        try {
          for (const entry of targets) made.push(await snapshotEntry(entry, nameOf(entry)));
          return await change(`cannot create snapshot '${name}'`, decide);
        } finally {
          await removeUnused(made.map(({ file }) => file));
        }
      }),

    clone: (origin, target) =>
      attempt(`cannot create '${target}'`, async () => {
        const snapshot = catalog.get(origin);
        if (snapshot?.type !== "snapshot" || snapshot.file === "") return refusals.notFound;
        if (catalog.get(target)) return succeed(null);
        const file = newFile();
        await files.copy(snapshot.file, file);
        const decide = async (): Promise<Outcome<Change>> => {
          if (await overQuota(snapshot.held)) return refusals.noSpace;
          if (!catalog.withId(snapshot.id)) return refusals.notFound;
          if (catalog.get(target)) return succeed({});
          const parents = missingParents(target);
          if (!parents.ok) return parents;
          const { volsize, volblocksize, id } = snapshot;
          const parts = { type: "volume", volsize, volblocksize, file, origin: id } as const;
          return succeed({ put: [...parents.value, newEntry(catalog, target, parts)] });
        };
        const cloned = await change(`cannot create '${target}'`, decide, [file]);
        if (cloned.ok && catalog.get(target)?.file === file) await files.link(target, file);
        return cloned;
      }),

    rename: (from, to) =>
      attempt(`cannot rename '${from}'`, async () => {
        let moved: readonly Entry[] = [];
        const renamed = await change(`cannot rename '${from}'`, () => {
          moved = catalog.within(from);
          if (moved.length === 0) return refusals.notFound;
          if (catalog.get(to)) return refusals.exists;
          const parent = catalog.get(to.slice(0, to.lastIndexOf("/")));
          if (parent?.type !== "filesystem") {
            return fail("dataset.wrong_type", `cannot create '${to}': parent does not exist`);
          }
          const newName = (name: string) => `${to}${name.slice(from.length)}` as AnyName;
          return succeed({ put: moved.map((entry) => ({ ...entry, name: newName(entry.name) })) });
        });
        if (!renamed.ok) return renamed;
        for (const { id, type, name } of moved) {
          if (type !== "volume") continue;
          await files.unlink(name as DatasetName);
          const now = catalog.withId(id);
          if (now) await files.link(now.name as DatasetName, now.file);
        }
        return renamed;
      }),

    destroy: (name, recursive) =>
      attempt(`cannot destroy '${name}'`, async () => {
        const incoming = isSnapshotName(name) ? undefined : receiving.get(name);
        if (incoming !== undefined) {
          await files.removeIncoming(incoming);
          receiving.delete(name as DatasetName);
        }
        let gone: readonly Entry[] = [];
        const changed = await change(`cannot destroy '${name}'`, () => {
          const doomed = destroyed(name, recursive);
          if (!doomed.ok) return doomed;
          gone = doomed.value;
          return succeed({ drop: gone });
        });
        if (changed.ok) await clearAway(gone);
        return changed;
      }),

    rollback: (name, destroyMoreRecent) =>
      attempt(`cannot rollback to '${name}'`, async () => {
        const target = catalog.get(name);
        if (target?.type !== "snapshot") return refusals.notFound;
        const dataset = datasetOf(name);
        const newerThanTarget = () =>
          catalog.snapshotsOf(dataset).filter(({ createtxg }) => createtxg > target.createtxg);
        const check = (): Refused | undefined => {
          const newer = newerThanTarget();
          if (newer.length > 0 && !destroyMoreRecent) {
            const names = newer.map((entry) => entry.name).join(", ");
            return fail(
              "snapshot.newer_exist",
              `newer snapshots than ${name} exist: ${names}; destroyMoreRecent removes them`,
            );
          }
          return obstacle(newer, name);
        };
        const refused = check();
        if (refused) return refused;
        const file = target.file === "" ? "" : newFile();
        if (file !== "") await files.copy(target.file, file);
        let gone: readonly Entry[] = [];
        let before: Entry | undefined;
        const decide = (): Outcome<Change> => {
          before = catalog.get(dataset);
          if (!before || !catalog.withId(target.id)) return refusals.notFound;
          const refusedNow = check();
          if (refusedNow) return refusedNow;
          gone = newerThanTarget();
          return succeed({ drop: gone, put: [{ ...before, file, volsize: target.volsize }] });
        };
        const changed = await change(`cannot rollback to '${name}'`, decide, [file]);
        if (!changed.ok) return changed;
        if (file !== "") await files.link(dataset, file);
        await clearAway(gone);
        await removeUnused([before?.file ?? ""]);
        return changed;
      }),

    hold: (tag, name) =>
      change(`cannot hold '${name}'`, () => {
        const entry = catalog.get(name);
        if (!entry) return refusals.notFound;
        if (catalog.holdsOf(entry.id).has(tag)) {
          return fail("command.failed", `cannot hold snapshot '${name}': tag already exists on this dataset`);
        }
        return succeed({ hold: { id: entry.id, tag } });
      }),
    release: (tag, name) =>
      change(`cannot release '${name}'`, () => {
        const entry = catalog.get(name);
        return succeed(entry ? { release: { id: entry.id, tag } } : {});
      }),
    async listHolds(prefix) {
      const holds: { name: SnapshotName; tag: string }[] = [];
      for (const { id, name } of catalog.entries()) {
        for (const tag of catalog.holdsOf(id)) {
          if (tag.startsWith(prefix)) holds.push({ name: name as SnapshotName, tag });
        }
      }
      return succeed(holds);
    },

    sendCommand(name) {
      const entry = catalog.get(name);
      const order: SendOrder = {
        name,
        file: entry ? files.pathOf(entry.file) : "",
        guid: entry?.guid ?? "0",
        created: entry?.created ?? 0,
        volsize: String(entry?.volsize ?? 0n),
        volblocksize: entry?.volblocksize ?? VOLBLOCKSIZE,
      };
      return [process.execPath, scriptPath("send"), JSON.stringify(order)];
    },

    receiveCommand(target, marks: Properties) {
      const incoming = newFile();
      receiving.set(target, incoming);
      const existing = catalog.get(target);
      const base = existing && catalog.snapshotsOf(target).at(-1);
      const order: ReceiveOrder = {
        target,
        folder: files.incomingPath(incoming),
        properties: marks,
        onto: existing && { id: existing.id, readonly: existing.readonly },
        base: base && {
          guid: base.guid,
          file: files.pathOf(base.file),
          volblocksize: base.volblocksize,
        },
      };
      return [process.execPath, scriptPath("receive"), JSON.stringify(order)];
    },

    finishReceive: (target) =>
      attempt(`cannot receive '${target}'`, async () => {
        const incoming = receiving.get(target);
        if (incoming === undefined) return refusals.notFound;
        const path = files.incomingPath(incoming);
        const order = JSON.parse(await readFile(join(path, RECEIVED_FILE), "utf8")) as ReceivedStream;
        const file = newFile();
        const held = await files.adopt(join(path, order.file), file);
        const before = catalog.get(target)?.file ?? "";
        const changed = await change(
          `cannot receive '${target}'`,
          async () => ((await overQuota(held)) ? refusals.noSpace : received(target, order, file, held)),
          [file],
        );
        if (changed.ok) {
          await files.link(target, file);
          await removeUnused([before]);
        }
        receiving.delete(target);
        await files.removeIncoming(incoming);
        return changed;
      }),

    waitForDevice: async () => true,
  };
  log.info("the embedded pool is open", { pool, folder, datasets: [...catalog.entries()].length });
  return zfs;
}
