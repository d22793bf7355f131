/** What the daemon answers, as docs/api.md describes it. Sizes are whole MiB where nothing else is said. */
import type { Methods } from "../../../src/client/api-methods.ts";
import type {
  Backup as BackupRecord,
  Doomed as DoomedRecord,
  Image as ImageRecord,
  Job as JobRecord,
  Pool as PoolRecord,
  Quota as QuotaRecord,
  Replication as ReplicationRecord,
  Snapshot as SnapshotRecord,
  Volume as VolumeRecord,
} from "../../../src/client/api-records.ts";
import type { DaemonEvent as EventRecord } from "../../../src/client/daemon-events.ts";

export type {
  BackupRecord,
  EventRecord,
  ImageRecord,
  JobRecord,
  PoolRecord,
  QuotaRecord,
  ReplicationRecord,
  SnapshotRecord,
  VolumeRecord,
};

/** Work of the daemon that is past its deadline. */
export interface LateWork {
  readonly id: number | string;
  readonly name: string;
  readonly datasets?: readonly string[];
  readonly ms: number;
  readonly lateMs?: number;
}

/** What `/readyz` answers. */
export interface ReadinessRecord {
  readonly ready: boolean;
  readonly stopping: boolean;
  readonly starting?: boolean;
  /** "ready", or why the pool is not. */
  readonly pools: Readonly<Record<string, string>>;
  readonly notices?: Readonly<Record<string, readonly string[]>>;
  readonly late?: Readonly<Record<string, readonly LateWork[]>>;
}

/** What `/whoami` answers. */
export interface CallerRecord {
  readonly version: string;
  /** The id of the token; null where the daemon asks for none. */
  readonly caller: string | null;
  readonly role: Role;
  /** null: all. */
  readonly pools: readonly string[] | null;
  /** Patterns of names; null: all. */
  readonly names: readonly string[] | null;
  /** Other daemons that this one knows. */
  readonly peers: readonly string[];
  /** The stores that backups go to. */
  readonly backups: readonly string[];
}

/** What a caller may do, the least first. */
export const ROLES = ["read", "operate", "admin"] as const;
export type Role = (typeof ROLES)[number];

interface Volumes {
  readonly volumes: readonly VolumeRecord[];
}
interface Snapshots {
  readonly snapshots: readonly SnapshotRecord[];
}
interface Images {
  readonly images: readonly ImageRecord[] | null;
}
interface Destroying {
  /** Of a dry run: what the call would destroy. */
  readonly destroys?: readonly DoomedRecord[];
}
interface Quotas {
  readonly quotas: readonly QuotaRecord[];
}
export type MigrationPlan = NonNullable<Methods["FinishMigration"]["result"]["plan"]>;
interface Migrating {
  /** Of a dry run. */
  readonly plan?: MigrationPlan;
}
interface Backups {
  readonly backups: readonly BackupRecord[];
}
interface Jobs {
  readonly jobs: readonly JobRecord[];
}

/** The answer of each method that the page calls. */
export interface Answers {
  GetPool: { readonly pools: readonly PoolRecord[] };
  ListVolumes: Volumes;
  GetVolume: Volumes;
  CreateVolume: Volumes;
  DeleteDataset: Volumes;
  ResizeVolume: Volumes;
  RenameVolume: Volumes;
  PromoteVolume: Volumes;
  CloneSnapshot: Volumes;
  CloneImage: Volumes;
  CopyVolume: Volumes;
  PullVolume: Volumes & Destroying;
  MigrateVolume: Volumes & Destroying & Migrating;
  FinishMigration: Volumes & Destroying & Migrating;
  FenceVolume: Snapshots;
  UnfenceVolume: Volumes;
  ListSnapshots: Snapshots;
  CreateSnapshot: Snapshots;
  DeleteSnapshot: Snapshots;
  RollbackSnapshot: Snapshots;
  ListImages: Images;
  GetImage: Images;
  RequestImage: Images;
  DeleteImage: Images;
  RestoreImage: Images;
  PruneImages: Images & Destroying;
  DeleteGuestsDisks: { readonly guest: { readonly id: string } };
  GetGuestQuota: Quotas;
  SetGuestQuota: Quotas;
  ListReplications: { readonly replications: readonly ReplicationRecord[] };
  /** `damaged`: ids of backups whose manifests can't be used. */
  ListBackups: Backups & { readonly damaged: readonly string[] };
  BackupSnapshot: Backups;
  VerifyBackup: Backups;
  /** The backups and their bytes of a dry run. */
  RestoreBackup: Volumes & Partial<Backups> & { readonly bytes?: number };
  PruneBackups: Backups & { readonly leftovers: readonly string[] };
  ListJobs: Jobs;
  WaitJob: Jobs;
  CancelJob: Jobs;
}
