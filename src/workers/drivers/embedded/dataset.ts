import type { DatasetName, PoolName, SnapshotName } from "../../../protocol/storage/names.js";
import type { Bytes } from "../../../protocol/storage/units.js";
import type { Properties } from "../driver.js";

/** What datasets of every type have. The catalog stores all of it. */
export interface DatasetFields {
  /** Unique in the pool, and not reused while it is open. A guid may occur twice: a stream can be received twice. */
  readonly id: number;
  readonly guid: string;
  readonly createtxg: bigint;
  /** Seconds since the epoch. */
  readonly created: number;
  /** 0 for a filesystem and its snapshots, as are the next two. */
  readonly volsize: Bytes;
  /** Bytes. */
  readonly volblocksize: number;
  readonly written: Bytes;
  /** The file below `volumes/` that holds the data; "" for a filesystem and its snapshots. */
  readonly file: string;
  /** The bytes that a snapshot's file takes. Not kept for a volume, whose file changes with every write. */
  readonly allocated: Bytes;
  /** A thick volume: space is reserved for it, up to its volsize. */
  readonly reserved: boolean;
  readonly readonly: boolean;
  /** The id of the snapshot that this is a clone of. */
  readonly origin: number | undefined;
  readonly properties: Properties;
}

export interface Filesystem extends DatasetFields {
  readonly type: "filesystem";
  readonly name: PoolName | DatasetName;
}

export interface Volume extends DatasetFields {
  readonly type: "volume";
  readonly name: DatasetName;
}

export interface Snapshot extends DatasetFields {
  readonly type: "snapshot";
  readonly name: SnapshotName;
}

/** A dataset of an embedded pool. */
export type Dataset = Filesystem | Volume | Snapshot;

/** A user hold, which keeps a snapshot from being destroyed. */
export interface Hold {
  /** The snapshot's. */
  readonly id: number;
  readonly tag: string;
}
