import { expect, test } from "vitest";
import type { DatasetName, SnapshotName } from "../../../../../src/protocol/storage/names.js";
import { bytes } from "../../../../../src/protocol/storage/units.js";
import { createCatalogIndex } from "../../../../../src/workers/drivers/embedded/catalog-index.js";
import { pagesIn } from "../../../../../src/workers/drivers/embedded/catalog-pages.js";
import type { Dataset } from "../../../../../src/workers/drivers/embedded/dataset.js";

function snapshot(id: number, name: string): Dataset {
  const none = bytes(0);
  const sizes = { volsize: none, volblocksize: 0, written: none, allocated: none };
  const flags = { reserved: false, readonly: false, origin: undefined, properties: {} };
  const identity = { id, guid: String(id), createtxg: BigInt(id), created: 0, file: "" };
  return { ...identity, ...sizes, ...flags, type: "snapshot", name: name as SnapshotName };
}

const textOf = (number: number) => String(number).padStart(6, "0");

/** An index with so many snapshots, of every volume `tank/vN@…`, and the names that its pages look up. */
function watchedPages(count: number) {
  const index = createCatalogIndex();
  for (let id = 0; id < count; id++) index.add(snapshot(id, `tank/v${id % 10}@${textOf(id)}`));
  const looked: string[] = [];
  const find = (name: string) => {
    looked.push(name);
    return index.find(name);
  };
  return { index, looked, pages: pagesIn({ ...index, find }) };
}

const anything = () => true;

test("a page looks at no more names than it has, wherever it begins", () => {
  const { pages, looked } = watchedPages(20_000);
  for (const after of [undefined, "tank/v4@010004", "tank/v9@019989"]) {
    const page = { limit: 100, ...(after !== undefined && { after }) };
    expect(pages.pageBelow("tank", "snapshot", { page, isShown: anything }).length).toBeGreaterThan(0);
    expect(looked.splice(0).length).toBeLessThanOrEqual(100);
  }
});

test("what is hidden takes no place of a page", () => {
  const { pages } = watchedPages(1_000);
  const isShown = ({ name }: { readonly name: string }) => name.endsWith("5");
  const shown = pages.pageBelow("tank", "snapshot", { page: { limit: 3, after: "tank/v5@000011" }, isShown });
  expect(shown.map(({ name }) => name)).toEqual(["tank/v5@000015", "tank/v5@000025", "tank/v5@000035"]);
});

test("a page below a dataset has what is below it and its own, and nothing of names that begin alike", () => {
  const { index, pages } = watchedPages(0);
  const names = [
    "tank/a@s",
    "tank/a/b@s",
    "tank/a-b@s",
    "tank/a0/b@s",
    "tank/a/b/c@s",
    "tank/aa@s",
    "tank/a:b@s",
  ];
  names.forEach((name, id) => void index.add(snapshot(id, name)));
  const below = (root: string, after?: string) =>
    pages
      .pageBelow(root, "snapshot", {
        page: { limit: 9, ...(after !== undefined && { after }) },
        isShown: anything,
      })
      .map(({ name }) => name);
  expect(below("tank/a")).toEqual(["tank/a/b/c@s", "tank/a/b@s", "tank/a@s"]);
  expect(below("tank/a", "tank/a/b/c@s")).toEqual(["tank/a/b@s", "tank/a@s"]);
  expect(below("tank/a", "tank/a0")).toEqual(["tank/a@s"]);
  expect(below("tank/a", "tank/a@s")).toEqual([]);
  expect(below("tank/a", "aaa")).toHaveLength(3);
  expect(below("tank/a", "zzz")).toEqual([]);
  expect(below("tank")).toEqual([...names].sort());
});

test("names of other types are not sorted among them", () => {
  const { index, pages } = watchedPages(3);
  index.add({ ...snapshot(9, ""), type: "volume", name: "tank/v0" as DatasetName });
  const page = { page: { limit: 9 }, isShown: anything };
  expect(pages.pageBelow("tank", "volume", page).map(({ name }) => name)).toEqual(["tank/v0"]);
  expect(pages.pageBelow("tank", "snapshot", page)).toHaveLength(3);
});
