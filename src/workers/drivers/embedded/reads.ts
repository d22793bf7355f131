import { failed, succeed } from "../../../protocol/storage/failures.js";
import { childOf, datasetOf, type PoolName, type SnapshotName } from "../../../protocol/storage/names.js";
import type { DatasetInfo, MarkedVolume, Zfs } from "../driver.js";
import { type Catalog, type Entry, originOf } from "./catalog.js";

/** What an embedded pool answers from memory. */
export function embeddedReads(
  pool: PoolName,
  catalog: Catalog,
): Pick<Zfs, "find" | "listVolumes" | "listSnapshots" | "snapshotsOf" | "listImages" | "listHolds"> {
  function infoOf(entry: Entry): DatasetInfo {
    const { name, type, guid, createtxg, volsize, written } = entry;
    return { name, type, guid, createtxg, volsize, written, origin: originOf(catalog, entry) };
  }

  return {
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
      if (!catalog.get(root)) return failed.notFound;
      const found = catalog.within(root).filter(({ type }) => type === "snapshot");
      return succeed(found.map(infoOf));
    },
    async snapshotsOf(volume) {
      return catalog.get(volume) ? succeed(catalog.snapshotsOf(volume).map(infoOf)) : failed.notFound;
    },
    async listImages() {
      const root = childOf(pool, "images");
      if (!catalog.get(root)) return failed.notFound;
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
    async listHolds(prefix) {
      const holds: { name: SnapshotName; tag: string }[] = [];
      for (const { id, name } of catalog.entries()) {
        for (const tag of catalog.holdsOf(id)) {
          if (tag.startsWith(prefix)) holds.push({ name: name as SnapshotName, tag });
        }
      }
      return succeed(holds);
    },
  };
}
