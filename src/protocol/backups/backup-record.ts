import { coversName } from "../access/name-patterns.js";
import type { Sight } from "../storage/backup-operations.js";
import type { BackupRecord } from "../storage/records.js";
import { bytes } from "../storage/units.js";
import { chainTo, type ListedBackup } from "./chains.js";
import { type Manifest, placeOf } from "./manifest.js";
import { backupIdOf } from "./object-names.js";

/** What a client is shown of a backup. `listed`: those of its folder, which a long list is parted into first. */
export function backupRecord(manifest: Manifest, listed: readonly ListedBackup[]): BackupRecord {
  const { guids, names, times, sha256, volsize } = manifest;
  const id = backupIdOf(placeOf(manifest));
  const own = listed.find((each) => each.id === id);
  return {
    id,
    snapshot: names.to,
    guid: guids.to,
    from: guids.from,
    bytes: manifest.bytes,
    volsize: bytes(BigInt(volsize)),
    ...{ created: times.created, taken: times.taken, sha256 },
    isWhole: own !== undefined && chainTo(listed, own).missing === undefined,
    isEncrypted: manifest.encryption !== undefined,
  };
}

/** Whether a caller may know of a backup: by the name that its dataset had. */
export function isInSight({ pools, names }: Sight, { names: { dataset } }: Pick<Manifest, "names">): boolean {
  const [pool = ""] = dataset.split("/");
  return pools?.includes(pool) !== false && (names === undefined || coversName(names, dataset));
}
