import fc from "fast-check";
import { expect, test } from "vitest";
import type { SnapshotName } from "../../../../../src/protocol/storage/names.js";
import { bytes } from "../../../../../src/protocol/storage/units.js";
import { createCatalogIndex } from "../../../../../src/workers/drivers/embedded/catalog-index.js";
import { lookUpIn } from "../../../../../src/workers/drivers/embedded/catalog-lookups.js";
import type { Snapshot } from "../../../../../src/workers/drivers/embedded/dataset.js";

function snapshot(id: number, txg: number): Snapshot {
  const none = bytes(0);
  const sizes = { volsize: none, volblocksize: 0, written: none, allocated: none };
  const flags = { reserved: false, readonly: false, origin: undefined, properties: {} };
  const identity = { id, guid: String(id), createtxg: BigInt(txg), created: 0, file: "" };
  return { ...identity, ...sizes, ...flags, type: "snapshot", name: `tank/v@${id}` as SnapshotName };
}

test("the newest snapshot is the last of all, whatever comes and goes", () => {
  const txgs = fc.uniqueArray(fc.nat(), { maxLength: 12 });
  fc.assert(
    fc.property(txgs, fc.func(fc.boolean()), (numbers, stays) => {
      const index = createCatalogIndex();
      const lookups = lookUpIn(index);
      const all = numbers.map((txg, id) => snapshot(id, txg));
      for (const each of all) index.add(each);
      expect(lookups.newestSnapshotOf("tank/v")).toBe(lookups.snapshotsOf("tank/v").at(-1));
      for (const each of all) if (!stays(each.id)) index.remove(each);
      const left = all.filter(({ id }) => stays(id)).sort((a, b) => Number(a.createtxg - b.createtxg));
      expect(lookups.snapshotsOf("tank/v")).toEqual(left);
      expect(lookups.newestSnapshotOf("tank/v")).toBe(left.at(-1));
      expect([index.countOf("snapshot"), index.countOf("volume")]).toEqual([left.length, 0]);
    }),
  );
});
