import { type Catalogue, type Chain, chainTo } from "../../../protocol/backups/chains.js";
import type { Manifest } from "../../../protocol/backups/manifest.js";
import { type Outcome, succeed } from "../../../protocol/storage/failures.js";
import { datasetOf, isSnapshotName, type SnapshotName } from "../../../protocol/storage/names.js";
import type { SendFrom } from "../../../protocol/storage/send-terms.js";
import type { DatasetInfo, Zfs } from "../../drivers/driver.js";

/** What an increment can build on: a backup, and what is left of its snapshot in the pool. */
export interface BackupBase {
  readonly chain: Chain;
  /** The id of the backup. */
  readonly parent: string;
  readonly guid: string;
  readonly from: SendFrom;
}

/** Backups of the dataset that are whole, by the guid of their snapshot. The shortest chain to each. */
function wholeChains({ backups }: Catalogue): ReadonlyMap<string, Chain> {
  const chains = new Map<string, Chain>();
  for (const each of backups) {
    if (each.dataBytes === undefined) continue;
    const chain = chainTo(backups, each);
    const known = chains.get(each.toGuid);
    if (chain.missing !== undefined || chain.links.some(({ dataBytes }) => dataBytes === undefined)) continue;
    if (!known || chain.links.length < known.links.length) chains.set(each.toGuid, chain);
  }
  return chains;
}

/** The chain to the snapshot itself, if it has a backup that is whole. */
export function presentChain(catalogue: Catalogue, guid: string): Chain | undefined {
  return wholeChains(catalogue).get(guid);
}

type ReadManifests = (ids: readonly string[]) => Promise<Outcome<readonly (Manifest | null)[]>>;

/**
 * The newest backup before a snapshot whose own snapshot, or a bookmark of it, is still in the pool. One whose
 * manifest can't be used does not count. Undefined: there is none.
 */
export async function findBackupBase(
  zfs: Pick<Zfs, "listBookmarks" | "findBase">,
  catalogue: Catalogue,
  to: DatasetInfo & { readonly name: SnapshotName },
  snapshots: readonly DatasetInfo[],
  read: ReadManifests,
): Promise<Outcome<BackupBase | undefined>> {
  const chains = wholeChains(catalogue);
  const dataset = datasetOf(to.name);
  const marks = await zfs.listBookmarks(dataset);
  if (!marks.ok) return marks;
  const bookmarks = marks.value.filter(({ name }) => name.startsWith(`${dataset}#`));
  // Of the snapshots only the newest counts: an older one makes a longer increment.
  const newest = snapshots
    .filter(({ createtxg, guid }) => createtxg < to.createtxg && chains.has(guid))
    .at(-1);
  const candidates: { readonly guid: string; readonly from: SendFrom }[] = [
    ...(newest && isSnapshotName(newest.name) ? [{ guid: newest.guid, from: newest.name }] : []),
    ...bookmarks.filter(({ guid }) => guid !== newest?.guid).map(({ guid, name }) => ({ guid, from: name })),
  ];
  const found: BackupBase[] = [];
  for (const { guid, from } of candidates) {
    const chain = chains.get(guid);
    const parent = chain?.links.at(-1)?.id;
    if (!chain || parent === undefined) continue;
    const base = await zfs.findBase(to.name, { from });
    if (!base.ok) return base;
    if (base.value?.guid === guid && base.value.isOlder) found.push({ chain, parent, guid, from });
  }
  if (found.length === 0) return succeed(undefined);
  const manifests = await read(found.map(({ parent }) => parent));
  if (!manifests.ok) return manifests;
  const txgOf = (each: BackupBase) => {
    const manifest = manifests.value[found.indexOf(each)];
    return manifest ? BigInt(manifest.txg) : -1n;
  };
  const best = found.reduce((one, other) => (txgOf(other) > txgOf(one) ? other : one));
  return succeed(txgOf(best) < 0n ? undefined : best);
}
