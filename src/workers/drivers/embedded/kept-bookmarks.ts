import { failed, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import { type BookmarkName, datasetOf, type SnapshotName } from "../../../protocol/storage/names.js";
import type { BookmarkRecord } from "../../../protocol/storage/records.js";
import type { Properties, Zfs } from "../driver.js";
import type { Catalog, CatalogChange, CatalogView } from "./catalog.js";
import type { Dataset } from "./dataset.js";
import type { EmbeddedPool } from "./embedded-pool.js";

/** How the properties of a dataset begin that keep its bookmarks: so they go where it goes. */
const PREFIX = "imagestore:bookmark:";

/** A bookmark as a dataset keeps it. */
export interface KeptBookmark {
  /** The property, and what follows the `#` of the name. */
  readonly property: string;
  readonly tag: string;
  readonly guid: string;
  readonly createtxg: bigint;
  readonly created: number;
}

export function bookmarksIn(properties: Properties): readonly KeptBookmark[] {
  return Object.entries(properties).flatMap(([property, value]) => {
    if (!property.startsWith(PREFIX)) return [];
    const [guid = "", txg = "0", created = "0"] = value.split(" ");
    return [
      {
        property,
        tag: property.slice(PREFIX.length),
        guid,
        createtxg: BigInt(txg),
        created: Number(created),
      },
    ];
  });
}

/** The properties without those bookmarks. */
export function withoutBookmarks(properties: Properties, gone: readonly KeptBookmark[]): Properties {
  const names = new Set(gone.map(({ property }) => property));
  return Object.fromEntries(Object.entries(properties).filter(([name]) => !names.has(name)));
}

function partsOf(name: BookmarkName): readonly [dataset: string, property: string] {
  const at = name.indexOf("#");
  return [name.slice(0, at), PREFIX + name.slice(at + 1)];
}

function withProperties(dataset: Dataset, properties: Properties): CatalogChange {
  return { put: [{ ...dataset, properties }] };
}

/** Keeps the guid and the time of a snapshot. Fails: dataset.not_found, dataset.exists. */
export async function createBookmark(
  { transactions }: EmbeddedPool,
  name: SnapshotName,
  bookmark: BookmarkName,
): Promise<Outcome<null>> {
  const [, property] = partsOf(bookmark);
  const decide = (staged: CatalogView): Outcome<CatalogChange> => {
    const snapshot = staged.find(name);
    const dataset: Dataset | undefined = staged.find(datasetOf(name));
    if (!snapshot || !dataset) return failed.notFound;
    if (property in dataset.properties) return failed.exists;
    const { guid, createtxg, created } = snapshot;
    const kept = `${guid} ${createtxg} ${created}`;
    return succeed(withProperties(dataset, { ...dataset.properties, [property]: kept }));
  };
  const made = await transactions.run({ messagePrefix: `cannot create bookmark '${bookmark}'`, decide });
  return made.ok ? succeed(null) : made;
}

/** Fails: dataset.not_found. */
export async function destroyBookmark(
  { transactions }: EmbeddedPool,
  name: BookmarkName,
): Promise<Outcome<null>> {
  const [root, property] = partsOf(name);
  const decide = (staged: CatalogView): Outcome<CatalogChange> => {
    const dataset = staged.find(root);
    if (!dataset || !(property in dataset.properties)) return failed.notFound;
    const { [property]: _, ...left } = dataset.properties;
    return succeed(withProperties(dataset, left));
  };
  const gone = await transactions.run({ messagePrefix: `cannot destroy '${name}'`, decide });
  return gone.ok ? succeed(null) : gone;
}

/** The bookmarks of an embedded pool, from the catalog's memory. */
export function embeddedBookmarks(catalog: Catalog): Pick<Zfs, "listBookmarks"> {
  return {
    async listBookmarks(root) {
      if (!catalog.find(root)) return failed.notFound;
      const found = catalog
        .within(root)
        .flatMap(({ name, properties }) =>
          bookmarksIn(properties).map(
            ({ tag, guid, created }): BookmarkRecord => ({ name: `${name}#${tag}`, guid, created }),
          ),
        );
      return succeed(found);
    },
  };
}
