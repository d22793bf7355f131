import { fail, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import { datasetOf, type SnapshotName } from "../../../protocol/storage/names.js";
import { isBookmarkName, type SendFrom, type SendTerms } from "../../../protocol/storage/send-terms.js";
import type { SendBase } from "../transfers-of-driver.js";
import type { CatalogView } from "./catalog.js";
import type { Snapshot } from "./dataset.js";
import { bookmarksIn } from "./kept-bookmarks.js";

/** What an incremental stream builds on, as the catalog has it. */
export interface CatalogBase {
  readonly guid: string;
  readonly createtxg: bigint;
  /** Undefined: only a bookmark is left of it. */
  readonly snapshot: Snapshot | undefined;
}

export function findSnapshot(catalog: CatalogView, name: SnapshotName): Snapshot | undefined {
  const found = catalog.find(name);
  return found?.type === "snapshot" ? found : undefined;
}

/** A bookmark keeps no data, but the snapshot that it was made of may still be there. */
export function baseIn(catalog: CatalogView, name: SnapshotName, from: SendFrom): CatalogBase | undefined {
  if (!isBookmarkName(from)) {
    const snapshot = findSnapshot(catalog, from);
    return snapshot && { guid: snapshot.guid, createtxg: snapshot.createtxg, snapshot };
  }
  const dataset = datasetOf(name);
  const bookmarks = bookmarksIn(catalog.find(dataset)?.properties ?? {});
  const found = bookmarks.find(({ tag }) => `${dataset}#${tag}` === from);
  if (!found) return undefined;
  const { guid, createtxg } = found;
  return { guid, createtxg, snapshot: catalog.snapshotsOf(dataset).find((each) => each.guid === guid) };
}

/** As findBase of the driver. */
export function findEmbeddedBase(
  catalog: CatalogView,
  name: SnapshotName,
  { from, intermediates }: SendTerms & { readonly from: SendFrom },
): Outcome<SendBase | undefined> {
  if (intermediates) return fail("request.invalid", "intermediates: the embedded driver sends one snapshot");
  const base = baseIn(catalog, name, from);
  if (!base) return succeed(undefined);
  const { guid, snapshot } = base;
  const isOlder = base.createtxg < (catalog.find(name)?.createtxg ?? 0n);
  return succeed({ guid, isOlder, needs: snapshot ? [{ name: snapshot.name, guid }] : [] });
}
