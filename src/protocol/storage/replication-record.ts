import type { PoolName } from "./names.js";

/** A volume that is pulled again and again, as the configuration has it, and how that goes. Times as RFC 3339 has them. */
export interface ReplicationRecord {
  /** Its full name. */
  readonly id: string;
  readonly pool: PoolName;
  readonly peer: string;
  readonly source: string;
  /** As cron has it. */
  readonly schedule: string;
  readonly state: "waiting" | "running";
  /** Of the newest pull; null before the first one. */
  readonly startedAt: string | null;
  /** When the newest pull that succeeded began: the copy is at least as new. Null: there was none in this run. */
  readonly upToDateAt: string | null;
  /** Bytes of the streams of the newest pull that succeeded. */
  readonly bytes: number | null;
  /** Pulls that have failed since one succeeded. */
  readonly failures: number;
  /** Of the newest pull, if that failed. */
  readonly failure: { readonly code: string; readonly message: string } | null;
  readonly nextAt: string | null;
}
