/** What the daemon answers, as docs/api.md describes it. Sizes are whole MiB where nothing else is said. */

export interface PoolRecord {
  readonly name: string;
  readonly driver: string;
  readonly size: number;
  readonly allocated: number;
  readonly free: number;
  /** The room below POOL/guests. */
  readonly available: number;
  /** By how much thin volumes and clones may still grow. */
  readonly promised: number;
  readonly health: string;
  /** Per cent; null where the pool doesn't know it. */
  readonly fragmentation: number | null;
}

export interface VolumeRecord {
  readonly id: string;
  readonly size: number;
  readonly device: string;
}

export interface SnapshotRecord {
  readonly id: string;
  /** What was written since the snapshot before. */
  readonly size: number;
}

export interface ImageRecord {
  readonly id: string;
  readonly type: string;
  readonly volume?: string;
  readonly snapshot?: string;
  readonly size: number;
  readonly status: string;
}

export interface JobRecord {
  readonly id: string;
  readonly method: string;
  readonly pool: string | null;
  readonly dataset: string | null;
  readonly caller: string | null;
  readonly state: "queued" | "running" | "done" | "failed" | "cancelled" | "interrupted";
  readonly phase: string | null;
  readonly bytes: number;
  readonly totalBytes: number | null;
  readonly bytesPerSecond: number | null;
  readonly etaSeconds: number | null;
  readonly createdAt: string;
  readonly endedAt: string | null;
  readonly failure: { readonly code: string; readonly message: string } | null;
}

export interface EventRecord {
  readonly epoch: string;
  readonly seq: number;
  readonly at: string;
  readonly topic: string;
  readonly action: string;
  readonly pool: string;
  readonly id: string;
  readonly caller: string | null;
  readonly origin: string;
  readonly job?: JobRecord;
}

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
  CloneImage: Volumes;
  ListSnapshots: Snapshots;
  CreateSnapshot: Snapshots;
  DeleteSnapshot: Snapshots;
  RollbackSnapshot: Snapshots;
  ListImages: Images;
  GetImage: Images;
  RequestImage: Images;
  DeleteImage: Images;
  DeleteGuestsDisks: { readonly guest: { readonly id: string } };
  ListJobs: Jobs;
  WaitJob: Jobs;
  CancelJob: Jobs;
}
