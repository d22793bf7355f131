import { fail, failed, internalFailure, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import {
  childOf,
  type DatasetName,
  datasetOf,
  isSnapshotName,
  type SnapshotName,
  snapshotOf,
} from "../../../protocol/storage/names.js";
import type { Ask, FetchOrder, OperationHandlers } from "../../../protocol/storage/operations.js";
import { copyPartialOf, copyTagOf } from "../../../protocol/storage/partial-name.js";
import type { VolumeRecord } from "../../../protocol/storage/records.js";
import {
  OWN_TAGS,
  type SettingChanges,
  type VolumeSettings,
} from "../../../protocol/storage/volume-settings.js";
import { HOLD_PREFIX } from "../../drivers/driver.js";
import type { FetchQueue } from "../fetch-queue.js";
import { removeLeftover } from "../partial-receive.js";
import type { HoldRecord } from "../record-file.js";
import type { ActorContext } from "./context.js";
import { withCopies } from "./copies.js";
import { removeCopySnapshot } from "./copy-snapshots.js";
import { releaseHold } from "./holds.js";
import { awaitDevice, volumeRecord } from "./volumes.js";

/** What makes the settings of a copy those of its source. A copy can always be written. */
function differences(source: VolumeSettings, copy: VolumeSettings): SettingChanges {
  const differing = <K extends "compression" | "sync" | "isThick">(key: K) =>
    source[key] === copy[key] ? undefined : source[key];
  return {
    compression: differing("compression"),
    sync: differing("sync"),
    isThick: differing("isThick"),
    // One that has moved to another node is fenced, and its copy is not.
    tags: Object.fromEntries(Object.entries(source.tags).filter(([name]) => !name.startsWith(OWN_TAGS))),
    readonly: false,
  };
}

/** Copies of volumes, which are sent and received within their pool. */
export function volumeCopies(
  context: ActorContext,
  queue: FetchQueue<VolumeRecord>,
): Pick<OperationHandlers, "CopyVolume"> {
  const { pool, zfs, locks, records, log, runId } = context;

  /** Of a volume or of one of its snapshots. Fails: dataset.not_found, dataset.wrong_type. */
  async function checkSource(name: DatasetName | SnapshotName): Promise<Outcome<null>> {
    const found = await zfs.find(name);
    if (!found.ok) return found;
    if (found.value === undefined) return failed.notFound;
    // Only volumes and their snapshots have a size.
    return found.value.volsize > 0n ? succeed(null) : failed.notVolume;
  }

  /** Takes the snapshot that is copied; one that an earlier copy to the same name has left gives way. */
  async function takeSnapshot(snapshot: SnapshotName): Promise<Outcome<null>> {
    const name = datasetOf(snapshot);
    const taken = await withCopies(zfs, [{ snapshot, recursive: false }], (copies) =>
      locks.with([{ name, mode: "one" }], async () => {
        const made = await zfs.snapshot(snapshot, false, copies);
        if (made.ok || made.failure.code !== "dataset.exists") return made;
        const gone = await zfs.destroy(snapshot, false);
        return gone.ok ? zfs.snapshot(snapshot, false, copies) : gone;
      }),
    );
    return taken.ok ? succeed(null) : taken;
  }

  async function hold({ name, tag }: HoldRecord): Promise<Outcome<null>> {
    return locks.with([{ name: datasetOf(name), mode: "part" }], () => zfs.hold(tag, name));
  }

  /** Ends the hold of a copy, and removes the snapshot that was made for it. What can't be done the next start does. */
  async function letGo(held: HoldRecord, isOurs: boolean): Promise<void> {
    const removed = isOurs ? await removeCopySnapshot(context, held) : await releaseHold(zfs, held);
    if (removed.ok) await records.dropHold(held);
    else
      log.warn("what a copy has held can't be released; the next start tries again", {
        ...held,
        ...removed.failure,
      });
  }

  /** Makes of what was received a volume of its own, under its name. Both names must be locked. */
  async function publish(
    partial: DatasetName,
    target: DatasetName,
    settings: VolumeSettings,
  ): Promise<Outcome<VolumeRecord>> {
    const finished = await zfs.finishReceive(partial);
    if (!finished.ok) return finished;
    const snapshots = await zfs.snapshotsOf(partial);
    if (!snapshots.ok) return snapshots;
    for (const { name } of snapshots.value) {
      if (!isSnapshotName(name)) continue;
      const gone = await zfs.destroy(name, false);
      if (!gone.ok) return gone;
    }
    const received = await zfs.settingsOf(partial);
    if (!received.ok) return received;
    const set = await zfs.setProperties(partial, differences(settings, received.value));
    if (!set.ok) return set;
    const renamed = await zfs.rename(partial, target, true);
    if (!renamed.ok) return renamed;
    await awaitDevice(context, target);
    const made = await zfs.find(target);
    if (!made.ok) return made;
    return made.value ? succeed(volumeRecord(context, made.value)) : failed.notFound;
  }

  /** Sends a snapshot that is held into a volume of the name `target`. */
  async function transfer(
    snapshot: SnapshotName,
    target: DatasetName,
    settings: VolumeSettings,
    cancelled: AbortSignal,
  ): Promise<Outcome<VolumeRecord>> {
    const partial = copyPartialOf(pool, target);
    const partialTree = { name: partial, mode: "tree" } as const;
    const cleared = await locks.with([partialTree], () => removeLeftover(zfs, pool, partial));
    if (!cleared.ok) return cleared;
    const terms = { flags: ["largeBlock"] } as const;
    const totalBytes = await zfs.estimateSend(snapshot);
    const compression = zfs.driver === "openzfs" ? { compression: settings.compression } : {};
    const order: FetchOrder = {
      url: `zfs:/${snapshot}`,
      hosts: { service: undefined, sources: [] },
      target: partial,
      command: zfs.receiveCommand(partial, { "imagestore:fetch": runId, ...compression }),
      sender: { command: zfs.sendCommand(snapshot, terms), totalBytes },
    };
    // No lock meanwhile: the snapshot is held, and no request can name the partial.
    const moved = await context.fetch(order, cancelled).catch(internalFailure);
    return locks.with([partialTree, { name: target, mode: "one" }], async () => {
      const publishing = moved.ok ? publish(partial, target, settings) : Promise.resolve(moved);
      const published = await publishing.catch(internalFailure);
      if (!published.ok) await removePartial(partial);
      return published;
    });
  }

  async function removePartial(partial: DatasetName): Promise<void> {
    const removed = await zfs.destroy(partial, true);
    if (removed.ok || removed.failure.code === "dataset.not_found") return;
    log.warn("a copy that has failed could not be removed; the next start tries again", {
      dataset: partial,
      ...removed.failure,
    });
  }

  async function copy(
    { name, target }: Ask<"CopyVolume">,
    cancelled: AbortSignal,
  ): Promise<Outcome<VolumeRecord>> {
    const isOurs = !isSnapshotName(name);
    const volume = isSnapshotName(name) ? datasetOf(name) : name;
    const snapshot = isSnapshotName(name) ? succeed(name) : snapshotOf(name, copyTagOf(target));
    if (!snapshot.ok) return snapshot;
    const settings = await zfs.settingsOf(volume);
    if (!settings.ok) return settings;
    const tag = `${HOLD_PREFIX}${runId}-${copyTagOf(target)}-${Date.now().toString(36)}`;
    const held = { name: snapshot.value, tag };
    // The record comes first: by it a start finds what a crash has left.
    const recorded = await records.putHold(held);
    if (!recorded.ok) return recorded;
    try {
      const taken = isOurs ? await takeSnapshot(held.name) : succeed(null);
      const ready = taken.ok ? await hold(held) : taken;
      return ready.ok ? await transfer(held.name, target, settings.value, cancelled) : ready;
    } finally {
      await letGo(held, isOurs);
    }
  }

  /** What can be seen before all is copied. Fails: dataset.exists, dataset.wrong_type. */
  async function checkTarget(target: DatasetName): Promise<Outcome<null>> {
    const above = childOf(pool, target.split("/").slice(1, -1).join("/"));
    const isBelowPool = target.split("/").length > 2;
    const [there, parent] = await Promise.all([
      zfs.findSize(target),
      isBelowPool ? zfs.findSize(above) : succeed(undefined),
    ]);
    if (!there.ok) return there;
    if (!parent.ok) return parent;
    if (there.value !== undefined) return failed.exists;
    if (parent.value === undefined || parent.value.type === "filesystem") return succeed(null);
    return fail("dataset.wrong_type", `cannot create '${target}': parent is not a filesystem`);
  }

  return {
    async CopyVolume(ask) {
      const { name, target, caller } = ask;
      const source = await checkSource(name);
      if (!source.ok) return source;
      const free = await checkTarget(target);
      if (!free.ok) return free;
      if (queue.has(target)) return fail("dataset.busy", `another copy to ${target} is under way`);
      return queue.request(target, (cancelled) => copy(ask, cancelled), caller);
    },
  };
}
