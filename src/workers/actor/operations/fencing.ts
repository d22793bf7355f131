import { failed, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import { type DatasetName, type SnapshotName, snapshotOf, tagOf } from "../../../protocol/storage/names.js";
import type { OperationHandlers } from "../../../protocol/storage/operations.js";
import type { SnapshotRecord } from "../../../protocol/storage/records.js";
import { FENCE_TAG } from "../../../protocol/storage/volume-settings.js";
import type { Fences } from "../fences.js";
import type { ActorContext } from "./context.js";
import { volumeRecord } from "./volumes.js";

type FenceOperations = Pick<OperationHandlers, "FenceVolume" | "UnfenceVolume">;

/** What the mark says: whether the volume was writable, and its last snapshot. */
const MARK = /^(rw|ro) (.+)$/;

/** `context` without the locks that fences refuse. */
export function fenceOperations(context: ActorContext, fences: Fences): FenceOperations {
  const { zfs, locks } = context;

  async function getSnapshot(name: SnapshotName): Promise<Outcome<SnapshotRecord>> {
    const found = await zfs.findSize(name);
    if (!found.ok) return found;
    return found.value ? succeed({ name, written: found.value.size }) : failed.notFound;
  }

  /** The last snapshot of a volume, which an earlier fence may have taken. */
  async function takeSnapshot(name: SnapshotName): Promise<Outcome<SnapshotRecord>> {
    const made = await zfs.snapshot(name, false);
    return made.ok || made.failure.code === "dataset.exists" ? getSnapshot(name) : made;
  }

  /** Marks a volume. What is written from then on fails. `isReadonly`: before that. */
  async function mark(
    name: DatasetName,
    snapshot: SnapshotName,
    isReadonly: boolean,
  ): Promise<Outcome<SnapshotName>> {
    const [, , kept] = MARK.exec(fences.find(name) ?? "") ?? [];
    if (kept !== undefined) return snapshotOf(name, kept);
    const value = `${isReadonly ? "ro" : "rw"} ${tagOf(snapshot)}`;
    // From here on nothing else changes it, also if the driver fails half-way.
    fences.put(name, value);
    const set = await zfs.setProperties(name, { readonly: true, tags: { [FENCE_TAG]: value } });
    return set.ok ? succeed(snapshot) : set;
  }

  return {
    FenceVolume: ({ name, snapshot }) =>
      locks.with([{ name, mode: "tree" }], async (): Promise<Outcome<SnapshotRecord>> => {
        // A guest stands still meanwhile.
        const [found, readonly] = await Promise.all([zfs.find(name), zfs.isReadonly(name)]);
        if (!found.ok) return found;
        if (found.value === undefined) return failed.notFound;
        if (found.value.type !== "volume") return failed.notVolume;
        if (!readonly.ok) return readonly;
        const marked = await mark(name, snapshot, readonly.value);
        return marked.ok ? takeSnapshot(marked.value) : marked;
      }),

    UnfenceVolume: ({ name }) =>
      locks.with([{ name, mode: "tree" }], async () => {
        const found = await zfs.find(name);
        if (!found.ok) return found;
        if (found.value === undefined) return failed.notFound;
        const [, was] = MARK.exec(fences.find(name) ?? "") ?? [];
        if (was !== undefined) {
          const writable = was === "rw" ? { readonly: false } : {};
          const set = await zfs.setProperties(name, { ...writable, tags: { [FENCE_TAG]: "" } });
          if (!set.ok) return set;
          fences.drop(name);
        }
        const settings = await zfs.settingsOf(name);
        if (!settings.ok) return settings;
        return succeed({ ...volumeRecord(context, found.value), settings: settings.value });
      }),
  };
}
