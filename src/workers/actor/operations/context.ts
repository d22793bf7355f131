import type { StoreAnswer, StoreOrder, StoreTaskName } from "../../../protocol/backups/store-orders.js";
import type { Outcome } from "../../../protocol/storage/failures.js";
import type { DatasetName, PoolName } from "../../../protocol/storage/names.js";
import type { FetchOrder, FetchOutcome } from "../../../protocol/storage/operations.js";
import type { ActorLog } from "../../../protocol/threads/actor-log.js";
import type { Zfs } from "../../drivers/driver.js";
import type { DatasetLocks } from "../dataset-locks.js";
import type { Records } from "../record-file.js";

/** What the operations of one pool share. */
export interface ActorContext {
  readonly pool: PoolName;
  readonly zfs: Zfs;
  readonly locks: DatasetLocks;
  readonly records: Records;
  /** The volumes of images that were deleted, and wait for their clones to go. */
  readonly trash: Set<DatasetName>;
  readonly log: ActorLog;
  /** Unique to this run of the daemon: part of the tags of its holds, and the mark of its receives. */
  readonly runId: string;
  /**
   * Lets the streaming worker fetch an image, until `cancelled` is aborted. `onMoved` is called now and
   * then while bytes move.
   */
  fetch(order: FetchOrder, cancelled: AbortSignal, onMoved?: () => void): Promise<FetchOutcome>;
  /** Lets the streaming worker do something with a store; as `fetch` does. */
  store<K extends StoreTaskName>(
    order: StoreOrder & { readonly task: K },
    cancelled: AbortSignal,
    onMoved?: () => void,
  ): Promise<Outcome<StoreAnswer<K>>>;
}
