import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { failed, succeed } from "../../../../../src/protocol/storage/failures.js";
import type { DatasetName, PoolName, SnapshotName } from "../../../../../src/protocol/storage/names.js";
import { bytes } from "../../../../../src/protocol/storage/units.js";
import {
  type CatalogChange,
  type CatalogView,
  openCatalog,
} from "../../../../../src/workers/drivers/embedded/catalog.js";
import { createVolume } from "../../../../../src/workers/drivers/embedded/create-datasets.js";
import {
  newSnapshot,
  newVolume,
  snapshotName,
} from "../../../../../src/workers/drivers/embedded/dataset-rules.js";
import { openEmbeddedPool } from "../../../../../src/workers/drivers/embedded/embedded-pool.js";
import { takeSnapshot } from "../../../../../src/workers/drivers/embedded/take-snapshot.js";
import { createKeptLog, scratchFolder } from "../../../../support/memory-actor.js";
import { mustSucceed as must } from "../../../../support/outcomes.js";

const POOL = "tank" as PoolName;
const MIB = 1_048_576;
const dataset = (name: string) => name as DatasetName;
const snapshot = (name: string) => name as SnapshotName;

async function openPool(folder: string, quotaBytes?: number) {
  const settings = { name: POOL, driver: "embedded" as const, folder, quotaBytes };
  const pool = await must(openEmbeddedPool(settings, createKeptLog()));
  return Object.assign(pool, { [Symbol.asyncDispose]: () => pool.catalog.close() });
}

/** Everything that look-ups tell of datasets, in a form that can be compared. */
function contentOf(view: CatalogView) {
  const all = [...view.datasets()].sort((a, b) => a.id - b.id);
  return all.map((each) => ({
    ...each,
    byName: view.find(each.name)?.id,
    byId: view.findById(each.id)?.name,
    within: view.within(each.name).length,
    subtree: view.subtree(each.name).map(({ name }) => name),
    snapshots: view.snapshotsOf(each.name).map(({ name }) => name),
    clones: view
      .clonesOf(each.id)
      .map(({ id }) => id)
      .sort(),
    users: view.countUsers(each.file),
    holds: [...view.holdsOf(each.id)].sort(),
  }));
}

/** A change that is possible now, as small numbers choose it. */
function chooseChange(view: CatalogView, kind: number, which: number): CatalogChange {
  const all = [...view.datasets()].sort((a, b) => a.id - b.id);
  const chosen = all[which % Math.max(all.length, 1)];
  const name = dataset(`tank/v${which}`);
  if (kind === 0 || !chosen) {
    return view.find(name) ? {} : { put: [newVolume(view, name, { file: `f${which % 5}` })] };
  }
  if (kind === 1 && chosen.type === "volume") {
    const tag = snapshotName(chosen.name, `s${which}`);
    return view.find(tag) ? {} : { put: [newSnapshot(view, tag, { file: chosen.file, origin: chosen.id })] };
  }
  if (kind === 2) return { remove: [chosen] };
  if (kind === 3 && chosen.type === "volume") return { put: [{ ...chosen, file: `f${which % 7}` }] };
  if (kind === 4 && chosen.type === "volume" && !view.find(name)) return { put: [{ ...chosen, name }] };
  if (kind === 5) return { addHold: { id: chosen.id, tag: `t${which % 3}` } };
  if (kind === 6) return { removeHold: { id: chosen.id, tag: `t${which % 3}` } };
  return {};
}

describe("changes that are staged together", () => {
  const step = fc.record({ kind: fc.nat(6), which: fc.nat(9) });

  test("are seen by the next decision, by look-ups once they are stored, and by the next start", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(step, { maxLength: 12 }), { maxLength: 4 }), async (groups) => {
        using folder = scratchFolder();
        const path = join(folder.path, "pool.db");
        const catalog = await openCatalog(path, createKeptLog());
        for (const [index, group] of groups.entries()) {
          const before = contentOf(catalog);
          for (const { kind, which } of group) catalog.stage(chooseChange(catalog.staged, kind, which));
          const staged = contentOf(catalog.staged);
          expect(contentOf(catalog)).toEqual(before);
          if (index % 3 === 2) {
            catalog.dropStaged();
            expect(contentOf(catalog.staged)).toEqual(before);
          } else {
            await catalog.commit();
            expect(contentOf(catalog)).toEqual(staged);
          }
        }
        const expected = contentOf(catalog);
        await catalog.close();
        const reopened = await openCatalog(path, createKeptLog());
        expect(contentOf(reopened)).toEqual(expected);
        await reopened.close();
      }),
      { numRuns: 60 },
    );
  });
});

describe("transactions that wait at the same time", () => {
  test("share one commit, and each has its own outcome", async () => {
    using folder = scratchFolder();
    await using pool = await openPool(folder.path);
    const commit = vi.spyOn(pool.catalog, "commit");
    const name = dataset("tank/v");
    const create = (staged: CatalogView) =>
      staged.find(name) ? failed.exists : succeed({ put: [newVolume(staged, name, {})] });
    const ends = await Promise.all(
      Array.from({ length: 64 }, () => pool.transactions.run({ messagePrefix: "no", decide: create })),
    );
    expect(ends.map(({ ok }) => ok)).toEqual([true, ...Array(63).fill(false)]);
    expect(commit).toHaveBeenCalledTimes(1);
  });

  test("of 64 snapshots, taken at once, make few commits", async () => {
    using folder = scratchFolder();
    await using pool = await openPool(folder.path);
    const names = Array.from({ length: 64 }, (_, index) => dataset(`tank/v${index}`));
    for (const name of names) await must(createVolume(pool, name, bytes(MIB)));
    const commit = vi.spyOn(pool.catalog, "commit");
    await Promise.all(names.map((name) => must(takeSnapshot(pool, snapshot(`${name}@s`), false))));
    expect(commit.mock.calls.length).toBeLessThanOrEqual(32);
    expect([...pool.catalog.datasets()].filter(({ type }) => type === "snapshot")).toHaveLength(64);
  });

  test("fail alone where one of them can't be stored, and what rested on it is decided anew", async () => {
    using folder = scratchFolder();
    await using pool = await openPool(folder.path);
    const add = (name: string, volblocksize: number) =>
      pool.transactions.run({
        messagePrefix: `cannot create '${name}'`,
        decide: (staged) =>
          staged.find(name)
            ? failed.exists
            : succeed({ put: [newVolume(staged, dataset(name), { volblocksize })] }),
      });
    // SQLite refuses the half: the column takes whole numbers.
    const [before, half, again, after] = await Promise.all([
      add("tank/a", 1),
      add("tank/b", 0.5),
      add("tank/b", 1),
      add("tank/c", 1),
    ]);
    expect([before.ok, half.ok, again.ok, after.ok]).toEqual([true, false, true, true]);
    expect(half).toMatchObject({ failure: { code: "pool.unavailable" } });
    expect(pool.catalog.find("tank/b")?.volblocksize).toBe(1);
  });

  test("use the room that is kept for deletions only for the deletion", async () => {
    using folder = scratchFolder();
    await using pool = await openPool(folder.path);
    const use = vi.fn((work: () => Promise<void>) => work());
    const reserve = { use, restore: async () => {} } as unknown as typeof pool.reserve;
    const add = (name: string, volblocksize: number) =>
      pool.transactions.run({
        messagePrefix: "no",
        decide: (staged) => succeed({ put: [newVolume(staged, dataset(name), { volblocksize })] }),
      });
    const destroy = () => pool.transactions.run({ messagePrefix: "no", decide: () => succeed({}), reserve });
    await Promise.all([add("tank/a", 1), destroy()]);
    expect(use).not.toHaveBeenCalled();
    await Promise.all([add("tank/b", 0.5), destroy()]);
    expect(use).toHaveBeenCalledTimes(1);
  });

  test("publish the files of all that are stored, and remove those of the others", async () => {
    using folder = scratchFolder();
    await using pool = await openPool(folder.path);
    const add = async (file: string, volblocksize: number) => {
      await pool.files.create(file, bytes(MIB));
      return { file, volblocksize };
    };
    const made = [await add("one", 1), await add("two", 0.5), await add("three", 1)];
    await Promise.all(
      made.map(({ file, volblocksize }) =>
        pool.transactions.run({
          messagePrefix: "no",
          decide: (staged) =>
            succeed({ put: [newVolume(staged, dataset(`tank/${file}`), { file, volblocksize })] }),
          newFiles: [file],
        }),
      ),
    );
    expect(readdirSync(join(folder.path, "volumes")).sort()).toEqual(["one", "three"]);
    expect(readdirSync(join(folder.path, "incoming"))).toEqual([]);
    expect(existsSync(join(folder.path, "lost"))).toBe(false);
  });
});
