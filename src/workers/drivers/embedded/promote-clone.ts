import { fail, failed, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import { type DatasetName, datasetOf, tagOf } from "../../../protocol/storage/names.js";
import type { CatalogChange, CatalogView } from "./catalog.js";
import type { Dataset } from "./dataset.js";
import { longNameFailure, snapshotName } from "./dataset-rules.js";
import type { EmbeddedPool } from "./embedded-pool.js";
import { bookmarksIn, withoutBookmarks } from "./kept-bookmarks.js";

function decidePromotion(catalog: CatalogView, name: DatasetName): Outcome<CatalogChange> {
  const what = `cannot promote '${name}'`;
  const clone = catalog.find(name);
  if (clone?.type !== "volume") return failed.notFound;
  const origin = clone.origin === undefined ? undefined : catalog.findById(clone.origin);
  if (origin?.type !== "snapshot") return fail("dataset.wrong_type", "not a clone");
  const source: Dataset | undefined = catalog.find(datasetOf(origin.name));
  if (!source) return failed.notFound;
  const older = catalog.snapshotsOf(source.name).filter(({ createtxg }) => createtxg <= origin.createtxg);
  const moved = older.map((each) => ({ ...each, name: snapshotName(name, tagOf(each.name)) }));
  const conflict = moved.find((each) => catalog.find(each.name));
  if (conflict) {
    const tag = tagOf(conflict.name);
    return fail("dataset.exists", `${what}: conflicting snapshot '${tag}' from parent '${origin.name}'`);
  }
  const marks = bookmarksIn(source.properties).filter(({ createtxg }) => createtxg <= origin.createtxg);
  const twice = marks.find(({ property }) => property in clone.properties);
  if (twice)
    return fail(
      "dataset.exists",
      `${what}: conflicting bookmark '${twice.tag}' from parent '${origin.name}'`,
    );
  const carried = Object.fromEntries(
    marks.map(({ property }) => [property, source.properties[property] ?? ""]),
  );
  const swapped = [
    { ...clone, origin: source.origin, properties: { ...clone.properties, ...carried } },
    { ...source, origin: origin.id, properties: withoutBookmarks(source.properties, marks) },
  ];
  return longNameFailure(what, moved) ?? succeed({ put: [...swapped, ...moved] });
}

/**
 * Moves the snapshot that a clone was made of, and those before it, to the clone, bookmarks too. Snapshots keep their
 * ids, so their other clones and their holds need no change; no file moves.
 * Fails: dataset.not_found, dataset.wrong_type (no clone), dataset.exists, name.invalid.
 */
export async function promoteClone(
  { transactions }: EmbeddedPool,
  name: DatasetName,
): Promise<Outcome<null>> {
  const promoted = await transactions.run({
    messagePrefix: `cannot promote '${name}'`,
    decide: (staged) => decidePromotion(staged, name),
  });
  return promoted.ok ? succeed(null) : promoted;
}
