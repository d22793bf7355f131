import { effect, type ReadonlySignal, signal, untracked } from "@preact/signals";
import type { Client } from "../api/client.ts";
import type { EventRecord, ImageRecord, SnapshotRecord, VolumeRecord } from "../api/records.ts";
import { isWithin, splitSnapshot } from "./names.ts";
import { createPagedList, type PagedList } from "./paged-list.ts";

/** What is in the pool that is shown. */
export interface Catalog {
  readonly volumes: PagedList<VolumeRecord>;
  readonly images: PagedList<ImageRecord>;
  /** Images that were deleted and still have clones. Several may have one id. */
  readonly trash: PagedList<ImageRecord>;
  /** The volumes that nothing may change. */
  readonly fenced: PagedList<VolumeRecord>;
  /** The snapshots of one volume. */
  readonly snapshots: PagedList<SnapshotRecord>;
  /** Shows the snapshots of another volume; "" of none. */
  showSnapshots(volume: string): void;
  /** Asks for everything again. */
  reload(): void;
  /** Keeps the lists up to date with what has happened. */
  apply(event: Pick<EventRecord, "topic" | "action" | "pool" | "id" | "what">): void;
}

/** More changes of volumes at once are one new list. */
const MOST_LOOK_UPS = 20;
const GATHER_MS = 200;
/** The tag that a fence is. */
const FENCE_TAG = "imagestore.fence";
const DATASET_TOPICS = ["image", "volume", "snapshot", "guest"];

export function createCatalog(client: Client, pool: ReadonlySignal<string>): Catalog {
  const shown = signal("");
  /** Volumes that were made or changed and have not been looked up. */
  const changed = new Set<string>();
  /** What will be done in a moment, by name. */
  const waiting = new Set<string>();

  const volumes = createPagedList<VolumeRecord>(async (page) => {
    const answer = await client.call("ListVolumes", { pool: pool.value, ...page });
    return answer.ok ? { ok: true, value: answer.value.volumes } : answer;
  });
  const images = createPagedList<ImageRecord>(async (page) => {
    const answer = await client.call("ListImages", { pool: pool.value, ...page });
    return answer.ok ? { ok: true, value: answer.value.images ?? [] } : answer;
  });
  const trash = createPagedList<ImageRecord>(async (page) => {
    const answer = await client.call("ListImages", { pool: pool.value, trash: true, ...page });
    return answer.ok ? { ok: true, value: answer.value.images ?? [] } : answer;
  });
  const fenced = createPagedList<VolumeRecord>(async (page) => {
    const answer = await client.call("ListVolumes", { pool: pool.value, tag: FENCE_TAG, ...page });
    return answer.ok ? { ok: true, value: answer.value.volumes } : answer;
  });
  const snapshots = createPagedList<SnapshotRecord>(async (page) => {
    const answer = await client.call("ListSnapshots", { id: shown.value, ...page });
    return answer.ok ? { ok: true, value: answer.value.snapshots } : answer;
  });

  const ofPool = [volumes, images, trash, fenced];

  function reload(): void {
    for (const list of ofPool) void list.load();
    if (shown.value !== "") void snapshots.load();
  }

  effect(() => {
    if (pool.value === "") return;
    untracked(() => {
      for (const list of ofPool) {
        list.clear();
        void list.load();
      }
    });
  });

  /** Does what many events ask for once. */
  function soon(name: string, work: () => void): void {
    if (waiting.has(name)) return;
    waiting.add(name);
    setTimeout(() => {
      waiting.delete(name);
      work();
    }, GATHER_MS);
  }

  async function lookUpChanged(): Promise<void> {
    const ids = [...changed];
    changed.clear();
    if (ids.length > MOST_LOOK_UPS) return volumes.load();
    for (const id of ids) {
      const answer = await client.call("GetVolume", { id });
      if (answer.ok) volumes.put(answer.value.volumes);
      else if (answer.failure.reason === "dataset.not_found") volumes.remove((each) => each === id);
    }
  }

  function lookUpSoon(id: string): void {
    changed.add(id);
    soon("changed", () => void lookUpChanged());
  }

  return {
    volumes,
    images,
    trash,
    fenced,
    snapshots,
    showSnapshots: (volume) => {
      if (shown.value === volume) return;
      shown.value = volume;
      snapshots.clear();
      if (volume !== "") void snapshots.load();
    },
    reload,
    apply: ({ topic, action, pool: place, id, what }) => {
      if (place === pool.value && what === "missed") soon("all", reload);
      if (place !== pool.value || !DATASET_TOPICS.includes(topic)) return;
      if (topic === "image") soon("images", () => void Promise.all([images.load(), trash.load()]));
      if (topic === "volume" && action !== "created") soon("fenced", () => void fenced.load());
      // An image in the trash goes with its last clone.
      if (action === "deleted" && trash.state.value.rows.length > 0) soon("trash", () => void trash.load());
      if (topic === "snapshot") {
        const { dataset } = splitSnapshot(id);
        if (action === "rolled-back") lookUpSoon(dataset);
        if (shown.value !== "" && isWithin(dataset, shown.value))
          soon("snapshots", () => void snapshots.load());
      } else if (action === "deleted") volumes.remove((each) => isWithin(each, id));
      // The disks of a guest are told one by one, unless it is not known what came of them.
      else if (topic !== "guest") lookUpSoon(id);
      else if (action === "changed") soon("volumes", () => void volumes.load());
    },
  };
}
