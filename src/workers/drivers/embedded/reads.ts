import { failed, succeed } from "../../../protocol/storage/failures.js";
import {
  childOf,
  datasetOf,
  type PoolName,
  type SnapshotName,
  tagOf,
} from "../../../protocol/storage/names.js";
import {
  type AnyName,
  type DatasetInfo,
  type MarkedVolume,
  type Selection,
  sizeOf,
  type Zfs,
} from "../driver.js";
import { type Catalog, originOf } from "./catalog.js";
import type { Dataset } from "./dataset.js";

/** The reads of an embedded pool. All of them answer from the catalog's memory. */
export function embeddedReads(
  pool: PoolName,
  catalog: Catalog,
): Pick<
  Zfs,
  | "find"
  | "findSize"
  | "snapshotsOfTag"
  | "listVolumes"
  | "listSnapshots"
  | "snapshotsOf"
  | "listImages"
  | "listHolds"
  | "counts"
> {
  function infoOf(dataset: Dataset): DatasetInfo {
    const { name, type, guid, createtxg, volsize, written } = dataset;
    return { name, type, guid, createtxg, volsize, written, origin: originOf(catalog, dataset) };
  }

  /** Marks are on volumes; a snapshot shows those of its volume. */
  function markedInfoOf(dataset: Dataset): MarkedVolume {
    const volume = dataset.type === "snapshot" ? catalog.find(datasetOf(dataset.name)) : dataset;
    const mark = (property: string) => volume?.properties[property] ?? "";
    return {
      ...infoOf(dataset),
      imageType: mark("imagestore:type"),
      fetchMark: mark("imagestore:fetch"),
      trashMark: mark("imagestore:trash"),
      created: dataset.created,
    };
  }

  function listBelow(root: AnyName, wanted: Dataset["type"], select?: Selection): DatasetInfo[] {
    const found = select ? catalog.pageBelow(root, wanted, select) : catalog.subtree(root, wanted);
    return found.map(infoOf);
  }

  return {
    async find(name) {
      const dataset = catalog.find(name);
      return succeed(dataset && infoOf(dataset));
    },
    async findSize(name) {
      const dataset = catalog.find(name);
      return succeed(dataset && sizeOf(dataset));
    },
    listVolumes: async (select) => succeed(listBelow(pool, "volume", select)),
    listSnapshots: async (root, select) =>
      catalog.find(root) ? succeed(listBelow(root, "snapshot", select)) : failed.notFound,
    async snapshotsOfTag(name) {
      if (!catalog.find(datasetOf(name))) return failed.notFound;
      const tagged = catalog
        .subtree(datasetOf(name), "snapshot")
        .filter((each) => each.name.endsWith(`@${tagOf(name)}`));
      return succeed(tagged.map(sizeOf));
    },
    async snapshotsOf(volume) {
      return catalog.find(volume) ? succeed(catalog.snapshotsOf(volume).map(infoOf)) : failed.notFound;
    },
    counts: () => ({ volumes: catalog.countOf("volume"), snapshots: catalog.countOf("snapshot") }),
    async listImages() {
      const root = childOf(pool, "images");
      return catalog.find(root) ? succeed(catalog.subtree(root).map(markedInfoOf)) : failed.notFound;
    },
    async listHolds(prefix) {
      const holds: { name: SnapshotName; tag: string }[] = [];
      for (const { type, id, name } of catalog.datasets()) {
        if (type !== "snapshot") continue;
        for (const tag of catalog.holdsOf(id)) if (tag.startsWith(prefix)) holds.push({ name, tag });
      }
      return succeed(holds);
    },
  };
}
