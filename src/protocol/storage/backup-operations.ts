import type { DatasetName, SnapshotName } from "./names.js";
import type { CheckedBackups, MadeBackup, PrunedBackups, RestoredVolume } from "./records.js";

/** What a caller may know of, where that is not decided by the names of the request. */
export interface Sight {
  readonly pools?: readonly string[] | undefined;
  readonly names?: readonly string[] | undefined;
}

/** The operations of a pool's actor that have to do with backups. */
export interface BackupOperations {
  /** `caller`: as of RequestImage. `full`: it must not be an increment. */
  BackupSnapshot: {
    ask: { name: SnapshotName; profile: string; full: boolean; caller?: number };
    answer: MadeBackup;
  };
  /** `backup`: an id, the guid of a snapshot, or "" for all. `content`: reads the data too. */
  VerifyBackup: {
    ask: { profile: string; backup: string; content: boolean; sight: Sight; caller?: number };
    answer: CheckedBackups;
  };
  /** `dryRun`: looks at all that it would look at, and answers the volume as it would be, and what it would be made of. */
  RestoreBackup: {
    ask: {
      profile: string;
      backup: string;
      target: DatasetName;
      content: boolean;
      dryRun?: boolean;
      sight: Sight;
      caller?: number;
    };
    answer: RestoredVolume;
  };
  /** Of this pool's backups: of `dataset`, or of all; keeps the `last` of each, and those since a time. */
  PruneBackups: {
    ask: {
      profile: string;
      dataset?: DatasetName;
      last: number;
      sinceMs: number;
      dryRun: boolean;
      sight: Sight;
    };
    answer: PrunedBackups;
  };
}
