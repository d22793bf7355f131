import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  chainTo,
  type ListedBackup,
  prunable,
  readListing,
} from "../../../../src/protocol/backups/chains.js";
import {
  backupIdOf,
  dataNameOf,
  manifestNameOf,
  ownerOf,
  parseBackupId,
} from "../../../../src/protocol/backups/object-names.js";

const FOLDER = { poolGuid: "1", datasetGuid: "2" };

function backup(fromGuid: string | undefined, toGuid: string, writtenAt = 0): ListedBackup {
  const place = { ...FOLDER, fromGuid, toGuid };
  return { ...place, id: backupIdOf(place), dataBytes: 10, writtenAt };
}

describe("names of objects", () => {
  test("a name says what a backup is, and only such a name is one of a backup", () => {
    expect(parseBackupId("1/2/3.full")).toEqual({ ...FOLDER, fromGuid: undefined, toGuid: "3" });
    expect(parseBackupId("1/2/3-4.inc")).toEqual({ ...FOLDER, fromGuid: "3", toGuid: "4" });
    for (const id of [
      "1/2/3",
      "1/2/3.inc",
      "1/2/3-4.full",
      "1/2/3/4.full",
      "/1/2/3.full",
      "1/2/x.full",
      "",
    ]) {
      expect(parseBackupId(id)).toBeUndefined();
    }
    expect(ownerOf("1/2/3.full.zfs")).toEqual({ id: "1/2/3.full", isManifest: false });
    expect(ownerOf("1/2/3.full.json")).toEqual({ id: "1/2/3.full", isManifest: true });
    expect([ownerOf("1/2/3.full"), ownerOf("1/2/readme.json"), ownerOf("images/sha256/x")]).toEqual(
      Array(3).fill(undefined),
    );
  });
});

describe("listings", () => {
  test("a backup is there with its manifest: data alone is a leftover, and a manifest alone lacks its data", () => {
    const object = (name: string) => ({ name, bytes: 5, writtenAt: 7 });
    const { backups, leftovers } = readListing(
      [
        manifestNameOf("1/2/3.full"),
        dataNameOf("1/2/3.full"),
        dataNameOf("1/2/3-4.inc"),
        manifestNameOf("1/2/9.full"),
        "1/2/notes.txt",
      ].map(object),
    );
    expect(backups.map(({ id, dataBytes }) => [id, dataBytes])).toEqual([
      ["1/2/3.full", 5],
      ["1/2/9.full", undefined],
    ]);
    expect(leftovers.map(({ name }) => name)).toEqual(["1/2/3-4.inc.zfs"]);
  });
});

describe("chains", () => {
  const all = [backup(undefined, "3"), backup("3", "4"), backup("4", "5"), backup("7", "8")];

  test("a chain goes from a full backup to the one that is chosen", () => {
    expect(chainTo(all, backup("4", "5")).links.map(({ toGuid }) => toGuid)).toEqual(["3", "4", "5"]);
    expect(chainTo(all, backup("7", "8")).missing).toBe("7");
  });

  test("of several ways the shortest is taken, and one that ends nowhere never", () => {
    const more = [...all, backup(undefined, "4"), backup("100", "5")];
    expect(chainTo(more, backup("4", "5")).links.map(({ id }) => id)).toEqual(["1/2/4.full", "1/2/4-5.inc"]);
  });

  test("backups of another dataset, and increments in a circle, make no chain", () => {
    const elsewhere = { ...backup(undefined, "7"), datasetGuid: "9", id: "1/9/7.full" };
    expect(chainTo([...all, elsewhere], backup("7", "8")).missing).toBe("7");
    expect(chainTo([backup("1", "2"), backup("2", "1")], backup("1", "2")).missing).toBe("1");
  });
});

/** Trees of backups, each built on one before it or full. */
const forests = fc
  .array(fc.record({ base: fc.nat(), isFull: fc.boolean() }), { minLength: 1, maxLength: 25 })
  .map((rows) => {
    const made: ListedBackup[] = [];
    for (const [index, { base, isFull }] of rows.entries()) {
      const parent = made[base % Math.max(1, made.length)];
      const from = isFull || !parent ? undefined : parent.toGuid;
      made.push(backup(from, String(1_000 + index), index * 1_000));
    }
    return made;
  });

test("whatever is pruned, at whatever moment it stops, what is left is restorable, and the newest are left", () => {
  fc.assert(
    fc.property(forests, fc.nat(6), fc.nat(30_000), fc.nat(30), (backups, last, since, stopsAfter) => {
      const going = prunable(backups, { last, since });
      const gone = new Set(going.slice(0, stopsAfter).map(({ id }) => id));
      const left = backups.filter(({ id }) => !gone.has(id));
      for (const each of left) expect(chainTo(left, each).missing).toBeUndefined();
      const newest = [...backups].sort((one, other) => other.writtenAt - one.writtenAt);
      for (const each of newest.slice(0, Math.max(1, last))) expect(going).not.toContainEqual(each);
      for (const each of backups) if (each.writtenAt >= since) expect(going).not.toContainEqual(each);
      // What nothing keeps goes.
      const kept = backups.filter(({ id }) => !going.some((each) => each.id === id));
      for (const each of kept) {
        const isBase = kept.some((other) => other.fromGuid === each.toGuid);
        const isByRule = each.writtenAt >= since || newest.indexOf(each) < Math.max(1, last);
        expect(isBase || isByRule).toBe(true);
      }
    }),
  );
});
