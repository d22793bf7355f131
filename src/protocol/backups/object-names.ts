/**
 * The names of objects below the prefix of a profile:
 * `POOLGUID/DATASETGUID/TOGUID.full.zfs` or `POOLGUID/DATASETGUID/FROMGUID-TOGUID.inc.zfs`, and a manifest beside
 * each, with `.json` in the place of `.zfs`. A name says what a backup is and what it builds on: so a listing shows
 * the chains.
 */

/** What the name of a backup says. */
export interface BackupPlace {
  readonly poolGuid: string;
  readonly datasetGuid: string;
  /** Undefined: it is full. */
  readonly fromGuid: string | undefined;
  readonly toGuid: string;
}

/** An object of a store, by its name below the prefix. */
export interface StoredObject {
  readonly name: string;
  readonly bytes: number;
  /** When it was written, by the clock of the store: milliseconds since 1970. */
  readonly writtenAt: number;
}

const GUID = "\\d{1,20}";
const NAME = new RegExp(`^(${GUID})/(${GUID})/(?:(${GUID})\\.full|(${GUID})-(${GUID})\\.inc)$`);

/** The folder of a dataset's backups, with a slash at its end. */
export function folderOf({ poolGuid, datasetGuid }: Pick<BackupPlace, "poolGuid" | "datasetGuid">): string {
  return `${poolGuid}/${datasetGuid}/`;
}

/** The id of a backup: the name of both its objects without their endings. */
export function backupIdOf(place: BackupPlace): string {
  const { fromGuid, toGuid } = place;
  return `${folderOf(place)}${fromGuid === undefined ? `${toGuid}.full` : `${fromGuid}-${toGuid}.inc`}`;
}

/** Undefined: it is no id of a backup. */
export function parseBackupId(id: string): BackupPlace | undefined {
  const [, poolGuid, datasetGuid, full, fromGuid, to] = NAME.exec(id) ?? [];
  const toGuid = full ?? to;
  if (poolGuid === undefined || datasetGuid === undefined || toGuid === undefined) return undefined;
  return { poolGuid, datasetGuid, fromGuid, toGuid };
}

export const dataNameOf = (id: string): string => `${id}.zfs`;
export const manifestNameOf = (id: string): string => `${id}.json`;

/** The id of the backup that an object belongs to, and which of the two it is. Undefined: it is none of ours. */
export function ownerOf(name: string): { readonly id: string; readonly isManifest: boolean } | undefined {
  const isManifest = name.endsWith(".json");
  const id = name.replace(/\.(?:zfs|json)$/, "");
  return id === name || parseBackupId(id) === undefined ? undefined : { id, isManifest };
}
