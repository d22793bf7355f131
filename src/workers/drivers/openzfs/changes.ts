import { type Outcome, succeed } from "../../../protocol/storage/failures.js";
import {
  type DatasetName,
  datasetOf,
  isSnapshotName,
  type SnapshotName,
} from "../../../protocol/storage/names.js";
import type { OpenZfsSettings } from "../../../protocol/storage/pool-settings.js";
import type { ActorLog } from "../../../protocol/threads/actor-log.js";
import { failureOf } from "../../processes/command-failures.js";
import { succeeded } from "../../processes/run-command.js";
import type { Zfs, ZfsChanges } from "../driver.js";
import { createBatchedChanges } from "./batched-changes.js";
import { createGuardedDestroys } from "./guarded-destroys.js";
import { createLibraryBatches } from "./library-batches.js";
import type { LibraryChanges } from "./library-changes.js";
import type { LibraryCreates } from "./library-creates.js";
import type { LibraryWay } from "./library-way.js";
import { numberOf } from "./list-rows.js";
import { type VolumeProperties, wholeBlocks } from "./new-volume-properties.js";
import { createParentTurns } from "./parent-turns.js";
import { createFlags } from "./setting-commands.js";
import { propertyFlags, type ZfsCommands } from "./zfs-commands.js";

interface ChangeOptions {
  readonly settings: OpenZfsSettings;
  readonly volumeProperties: Pick<VolumeProperties, "ofNew" | "ofClones">;
  /** Time limit of a command that destroys something. */
  readonly destroyTimeoutMs: number;
  readonly log: ActorLog;
}

type HoldOf = Readonly<{ tag: string; name: SnapshotName }>;

/** Each attempt loses at most one race for a parent, and a name has few parents. */
const PARENT_RETRIES = 10;

/** What changes an OpenZFS pool. */
export function openzfsChanges(
  { settings, volumeProperties, destroyTimeoutMs, log }: ChangeOptions,
  commands: ZfsCommands,
  library: LibraryWay,
  byLibrary: LibraryCreates & LibraryChanges,
  find: Zfs["find"],
): Omit<ZfsChanges, "setProperties" | "setQuota"> & Pick<Zfs, "findDoomed"> {
  const { change } = commands;
  const destroyLimits = { timeoutMs: destroyTimeoutMs };
  const guarded = createGuardedDestroys(settings.name, commands, library, destroyLimits);
  const findObstacle = (name: SnapshotName) => guarded.findObstacle(name, false);
  const batched =
    settings.dispatch === "grouped"
      ? createBatchedChanges(settings.name, commands, library, { limits: destroyLimits, findObstacle }, log)
      : undefined;
  const { ofNew, ofClones } = volumeProperties;
  const inTurn = createParentTurns(settings.name);
  const recursively = (recursive: boolean) => (recursive ? ["-r"] : []);

  /**
   * Runs a command that also creates the missing parents of `target` (`-p`). When two commands
   * create the same parent at the same time, be the other one not ours, the slower one fails with "dataset
   * already exists", which then means the parent. So it is retried unless `target` itself exists.
   */
  async function createWithParents(args: readonly string[], target: DatasetName): Promise<Outcome<null>> {
    for (let attempt = 0; ; attempt++) {
      const created = await inTurn(target, () => change([...args, target]));
      if (created.ok || created.failure.code !== "dataset.exists" || attempt === PARENT_RETRIES)
        return created;
      const found = await find(target);
      if (!found.ok || found.value !== undefined) return created;
    }
  }

  const hold = createLibraryBatches<HoldOf>({
    library,
    kind: "hold",
    nameOf: ({ name }) => name,
    callOf: (holds) => ({ name: "lzc_hold", holds }),
    byCommand: ({ tag, name }) => change(["hold", tag, name]),
  });
  const release = createLibraryBatches<HoldOf>({
    library,
    kind: "hold",
    nameOf: ({ name }) => name,
    callOf: (holds) => ({ name: "lzc_release", holds }),
    byCommand: ({ tag, name }) => change(["release", tag, name]),
  });

  return {
    ensureFilesystem: (name) => change(["create", "-p", name]),
    createVolume: async (name, size, wanted) =>
      (wanted === undefined ? await byLibrary.createVolume(name, size) : undefined) ??
      createWithParents(["create", "-p", ...createFlags(ofNew, wanted ?? {}), "-V", String(size)], name),
    clone: async (origin, target) =>
      (await byLibrary.clone(origin, target)) ??
      createWithParents(["clone", "-p", ...propertyFlags(ofClones), origin], target),
    rename: async (from, to, makeParents = false) =>
      (await byLibrary.rename(from, to, makeParents)) ??
      (makeParents ? createWithParents(["rename", "-p", from], to) : change(["rename", from, to])),
    mark: (volume, marks) =>
      change(["set", ...Object.entries(marks).map(([name, value]) => `${name}=${value}`), volume]),
    promote: async (clone) => (await byLibrary.promote(clone)) ?? change(["promote", clone]),
    async resize(volume, size) {
      const block = await commands.zfs(["list", "-Hp", "-o", "volblocksize", volume]);
      if (!succeeded(block)) return failureOf(block);
      const whole = wholeBlocks(size, numberOf(block.stdout.trim()) || undefined);
      return change(["set", `volsize=${whole}`, volume]);
    },
    async rollback(name, destroyMoreRecent) {
      if (destroyMoreRecent) return guarded.rollBackTo(name);
      return (await rollBackByLibrary(library, find, name)) ?? change(["rollback", name]);
    },
    findDoomed: guarded.findDoomed,
    bookmark: (snapshot, name) => change(["bookmark", snapshot, name]),
    destroyBookmark: (name) => change(["destroy", name], destroyLimits),
    hold: (tag, name) => hold({ tag, name }),

    async snapshot(name, recursive) {
      if (batched && !recursive) return batched.snapshot(name);
      const created =
        (recursive ? await byLibrary.snapshotTree(name) : undefined) ??
        (await change(["snapshot", ...recursively(recursive), name]));
      return created.ok ? succeed(undefined) : created;
    },

    async destroy(name, recursive) {
      if (!isSnapshotName(name)) {
        return recursive ? guarded.destroyTree(name) : change(["destroy", name], destroyLimits);
      }
      // zfs destroys the snapshots of a tag all or none.
      const destroyed =
        batched && !recursive
          ? await batched.destroy(name)
          : ((recursive ? await byLibrary.destroyTag(name) : undefined) ??
            (await change(["destroy", ...recursively(recursive), name], destroyLimits, () =>
              guarded.findObstacle(name, recursive),
            )));
      return destroyed.ok ? destroyed : guarded.explain(name, recursive, destroyed);
    },

    async release(tag, name) {
      const released = await release({ tag, name });
      if (released.ok) return succeed(true);
      return released.failure.code === "dataset.not_found" ? succeed(false) : released;
    },
  };
}

/**
 * Rolls back a volume whose size is that of the snapshot. Where it differs, `zfs rollback` sets a
 * reservation too. @returns undefined if nothing has happened.
 */
async function rollBackByLibrary(
  library: LibraryWay,
  find: Zfs["find"],
  snapshot: SnapshotName,
): Promise<Outcome<null> | undefined> {
  if (!library.isOpen) return undefined;
  const dataset = datasetOf(snapshot);
  const [now, then] = await Promise.all([find(dataset), find(snapshot)]);
  if (!now.ok || !then.ok || now.value?.type !== "volume" || now.value.volsize !== then.value?.volsize)
    return undefined;
  const called = await library.call({ name: "lzc_rollback_to", dataset, snapshot }, "destroy");
  if (called?.ok) return called.value.errno === 0 ? succeed(null) : undefined;
  return called;
}
