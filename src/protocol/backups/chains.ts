import {
  type BackupPlace,
  dataNameOf,
  folderOf,
  manifestNameOf,
  ownerOf,
  parseBackupId,
  type StoredObject,
} from "./object-names.js";

/** A backup of which a listing has the manifest. */
export interface ListedBackup extends BackupPlace {
  readonly id: string;
  /** Bytes of its data in the store; undefined: the data is missing. */
  readonly dataBytes: number | undefined;
  /** When its manifest was written, by the clock of the store. */
  readonly writtenAt: number;
}

/** What a listing shows, see readListing. */
export interface Catalogue {
  /** Those with a manifest, in the order of their ids. */
  readonly backups: readonly ListedBackup[];
  /** Data without a manifest: it is of a backup that did not end, or that is being made or removed. */
  readonly leftovers: readonly StoredObject[];
}

/** Order of texts by their characters, as stores list names. */
export const byText = (one: string, other: string): number => (one < other ? -1 : one > other ? 1 : 0);

/** Makes backups of the objects of a store. Other objects are not there for us. */
export function readListing(objects: readonly StoredObject[]): Catalogue {
  const byName = new Map(objects.map((object) => [object.name, object]));
  const backups: ListedBackup[] = [];
  const leftovers: StoredObject[] = [];
  for (const object of objects) {
    const owner = ownerOf(object.name);
    const place = owner && parseBackupId(owner.id);
    if (!owner || !place) continue;
    if (owner.isManifest) {
      const dataBytes = byName.get(dataNameOf(owner.id))?.bytes;
      backups.push({ ...place, id: owner.id, dataBytes, writtenAt: object.writtenAt });
    } else if (!byName.has(manifestNameOf(owner.id))) leftovers.push(object);
  }
  return { backups: backups.sort((one, other) => byText(one.id, other.id)), leftovers };
}

/** Backups of one dataset each, by their folders. A chain never leaves its folder. */
export function byFolder(backups: readonly ListedBackup[]): ReadonlyMap<string, readonly ListedBackup[]> {
  const folders = new Map<string, ListedBackup[]>();
  for (const each of backups) {
    const folder = folders.get(folderOf(each));
    if (folder) folder.push(each);
    else folders.set(folderOf(each), [each]);
  }
  return folders;
}

/** The links from a full backup to one that is chosen, in the order in which they are received. */
export interface Chain {
  readonly links: readonly ListedBackup[];
  /** The guid of a snapshot that a link builds on, and of which no backup is listed. Undefined: it is whole. */
  readonly missing: string | undefined;
}

/** The shortest whole chain to a backup; without one, what is there of a chain, and what it lacks. */
export function chainTo(backups: readonly ListedBackup[], target: ListedBackup): Chain {
  const byGuid = new Map<string, ListedBackup[]>();
  for (const each of backups) {
    if (folderOf(each) !== folderOf(target)) continue;
    const others = byGuid.get(each.toGuid) ?? [];
    byGuid.set(each.toGuid, [...others, each]);
  }
  let broken: Chain | undefined;
  // By the number of links, so that the first whole one is the shortest.
  let open: readonly (readonly ListedBackup[])[] = [[target]];
  const seen = new Set([target.id]);
  while (open.length > 0) {
    const longer: ListedBackup[][] = [];
    for (const links of open) {
      const from = links[0]?.fromGuid;
      if (from === undefined) return { links, missing: undefined };
      const bases = byGuid.get(from) ?? [];
      if (bases.length === 0) broken ??= { links, missing: from };
      for (const base of bases) {
        if (seen.has(base.id)) continue;
        seen.add(base.id);
        longer.push([base, ...links]);
      }
    }
    open = longer;
  }
  return broken ?? { links: [target], missing: target.fromGuid ?? "" };
}

/** What is kept of each dataset. What a kept backup builds on is kept with it, and the newest always. */
export interface KeepRules {
  /** So many of the newest; at least 1. */
  readonly last: number;
  /** And those that were taken after this time, milliseconds since 1970. */
  readonly since: number;
}

/**
 * The backups that can go: none that is kept builds on one of them. Those that build on another come before it, so
 * that whoever stops half-way leaves whole chains.
 */
export function prunable(
  backups: readonly ListedBackup[],
  { last, since }: KeepRules,
): readonly ListedBackup[] {
  return [...byFolder(backups).values()].flatMap((all) => prunableIn(all, last, since));
}

function prunableIn(all: readonly ListedBackup[], last: number, since: number): readonly ListedBackup[] {
  const newestFirst = [...all].sort((a, b) => b.writtenAt - a.writtenAt || byText(b.id, a.id));
  const kept = new Set<string>();
  for (const [index, each] of newestFirst.entries()) {
    if (index >= Math.max(1, last) && each.writtenAt < since) continue;
    for (const { id } of ancestorsOf(all, each)) kept.add(id);
  }
  // A backup is written after what it builds on.
  return newestFirst.filter(({ id }) => !kept.has(id));
}

/** A backup, and all that it may build on, whatever way a restore takes. */
function ancestorsOf(all: readonly ListedBackup[], target: ListedBackup): readonly ListedBackup[] {
  const found = new Set([target]);
  for (const each of found) {
    if (each.fromGuid === undefined) continue;
    for (const other of all) if (other.toGuid === each.fromGuid) found.add(other);
  }
  return [...found];
}
