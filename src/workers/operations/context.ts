import type { Outcome } from "../../protocol/failures.js";
import type { PoolName } from "../../protocol/names.js";
import type { FetchOrder, FetchReport } from "../../protocol/operations.js";
import type { DatasetLocks } from "../locks.js";
import type { ActorLog } from "../log.js";
import type { Records } from "../records.js";
import type { Zfs } from "../zfs/driver.js";

/** What the operations of one pool work with. */
export interface ActorContext {
  readonly pool: PoolName;
  readonly zfs: Zfs;
  readonly locks: DatasetLocks;
  readonly records: Records;
  readonly log: ActorLog;
  /** Tells this run of the daemon from others in tags and marks. */
  readonly runId: string;
  /** Has the streaming worker fetch an image. */
  fetch(order: FetchOrder): Promise<Outcome<FetchReport>>;
}
