import {
  type FailedOutcome,
  fail,
  failed,
  type Outcome,
  succeed,
} from "../../../protocol/storage/failures.js";
import {
  type DatasetName,
  datasetOf,
  isSnapshotName,
  type SnapshotName,
  tagOf,
} from "../../../protocol/storage/names.js";
import type { Bytes } from "../../../protocol/storage/units.js";
import type { AnyName, Zfs } from "../driver.js";
import type { Catalog, Change, Entry } from "./catalog.js";
import type { Commits } from "./catalog-transaction.js";
import { growth, missingParents, newEntry, obstacle, VOLBLOCKSIZE } from "./dataset-rules.js";
import type { Usage } from "./space-accounting.js";
import { attempt } from "./storage-errors.js";
import { newFile, type VolumeFiles } from "./volume-files.js";

type Changes = Pick<
  Zfs,
  | "ensureFilesystem"
  | "createVolume"
  | "snapshot"
  | "clone"
  | "rename"
  | "destroy"
  | "rollback"
  | "hold"
  | "release"
>;

/**
 * What changes an embedded pool. Each makes its files first, then commits, then removes
 * what nobody uses any more: a crash leaves at most files that are in no dataset.
 */
export function embeddedChanges(
  catalog: Catalog,
  files: VolumeFiles,
  { change, removeUnused, clearAway }: Commits,
  usage: Usage,
): Changes {
  function destroyed(name: DatasetName | SnapshotName, recursive: boolean): Outcome<readonly Entry[]> {
    const doomed = doomedBy(name, recursive);
    if (doomed.length === 0) return failed.notFound;
    if (!recursive && doomed.length > 1) {
      return fail("command.failed", `cannot destroy '${name}': it has children`);
    }
    return obstacle(catalog, doomed, name) ?? succeed(doomed);
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
    const written = growth(held, catalog.snapshotsOf(target.name).at(-1)?.held ?? heldByOrigin(target));
    return newEntry(catalog, name, { type: "snapshot", volsize, volblocksize, file, held, written });
  }

  function heldByOrigin({ origin }: Entry): Bytes | undefined {
    return origin === undefined ? undefined : catalog.withId(origin)?.held;
  }

  return {
    ensureFilesystem: (name) =>
      change(`cannot create '${name}'`, () => {
        if (catalog.get(name)) return succeed({});
        const parents = missingParents(catalog, name);
        if (!parents.ok) return parents;
        return succeed({ put: [...parents.value, newEntry(catalog, name, { type: "filesystem" })] });
      }),

    createVolume: (name, volsize) =>
      attempt(`cannot create '${name}'`, async () => {
        if (catalog.get(name)) return succeed(null);
        const file = newFile();
        const decide = async (): Promise<Outcome<Change>> => {
          if (catalog.get(name)) return succeed({});
          const parents = missingParents(catalog, name);
          if (!parents.ok) return parents;
          if (volsize > (await usage.space()).available) return failed.noSpace;
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
        if (!catalog.get(dataset)) return failed.notFound;
        const targets = (recursive ? catalog.within(dataset) : [catalog.get(dataset)]).filter(
          (entry): entry is Entry => entry !== undefined && entry.type !== "snapshot",
        );
        const nameOf = (entry: Entry) => `${entry.name}@${tagOf(name)}` as SnapshotName;
        const exists = () => targets.some((entry) => catalog.get(nameOf(entry)));
        if (exists()) return failed.exists;
        const made: Entry[] = [];
        const decide = async (): Promise<Outcome<Change>> => {
          if (exists()) return failed.exists;
          if (await usage.exceedsQuota(made.reduce((sum, { held }) => sum + held, 0n))) return failed.noSpace;
          const gone = targets.some((entry) => catalog.withId(entry.id)?.name !== entry.name);
          return gone ? failed.notFound : succeed({ put: made });
        };
        try {
          for (const entry of targets) made.push(await snapshotEntry(entry, nameOf(entry)));
          const changed = await change(`cannot create snapshot '${name}'`, decide);
          return changed.ok ? succeed(made.find((entry) => entry.name === name)?.written) : changed;
        } finally {
          await removeUnused(made.map(({ file }) => file));
        }
      }),

    clone: (origin, target) =>
      attempt(`cannot create '${target}'`, async () => {
        const snapshot = catalog.get(origin);
        if (snapshot?.type !== "snapshot" || snapshot.file === "") return failed.notFound;
        if (catalog.get(target)) return succeed(null);
        const file = newFile();
        await files.copy(snapshot.file, file);
        const decide = async (): Promise<Outcome<Change>> => {
          if (await usage.exceedsQuota(snapshot.held)) return failed.noSpace;
          if (!catalog.withId(snapshot.id)) return failed.notFound;
          if (catalog.get(target)) return succeed({});
          const parents = missingParents(catalog, target);
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
          if (moved.length === 0) return failed.notFound;
          if (catalog.get(to)) return failed.exists;
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
        if (target?.type !== "snapshot") return failed.notFound;
        const dataset = datasetOf(name);
        const newerThanTarget = () =>
          catalog.snapshotsOf(dataset).filter(({ createtxg }) => createtxg > target.createtxg);
        const check = (): FailedOutcome | undefined => {
          const newer = newerThanTarget();
          if (newer.length > 0 && !destroyMoreRecent) {
            const names = newer.map((entry) => entry.name).join(", ");
            return fail(
              "snapshot.newer_exist",
              `newer snapshots than ${name} exist: ${names}; destroyMoreRecent removes them`,
            );
          }
          return obstacle(catalog, newer, name);
        };
        const refused = check();
        if (refused) return refused;
        const file = target.file === "" ? "" : newFile();
        if (file !== "") await files.copy(target.file, file);
        let gone: readonly Entry[] = [];
        let before: Entry | undefined;
        const decide = (): Outcome<Change> => {
          before = catalog.get(dataset);
          if (!before || !catalog.withId(target.id)) return failed.notFound;
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
        if (!entry) return failed.notFound;
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
  };
}
