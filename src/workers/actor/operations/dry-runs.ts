import { type Outcome, succeed } from "../../../protocol/storage/failures.js";
import { isSnapshotName } from "../../../protocol/storage/names.js";
import type {
  Answer,
  DestroyingName,
  DestroyingOperation,
  DryRunAnswer,
  OperationHandlers,
} from "../../../protocol/storage/operations.js";
import type { DoomedRecord } from "../../../protocol/storage/records.js";
import { bytes } from "../../../protocol/storage/units.js";
import { sharedBlocks, type Zfs } from "../../drivers/driver.js";
import type { Records } from "../record-file.js";
import type { ActorContext } from "./context.js";

type Destroying = Pick<OperationHandlers, DestroyingName>;

/**
 * A driver that destroys nothing, and puts into `doomed` what it was to destroy. What it refuses, the real one
 * refuses. All its other changes do nothing.
 */
function sparing(zfs: Zfs, doomed: DoomedRecord[]): Zfs {
  async function note(found: Outcome<readonly DoomedRecord[]>): Promise<Outcome<null>> {
    if (!found.ok) return found;
    for (const each of found.value) doomed.push(each);
    return succeed(null);
  }
  const nothing = async () => succeed(null);
  return {
    ...zfs,
    ...sharedBlocks,
    ensureFilesystem: nothing,
    createVolume: nothing,
    setProperties: nothing,
    snapshot: async () => succeed(undefined),
    clone: nothing,
    setQuota: nothing,
    mark: nothing,
    rename: nothing,
    promote: nothing,
    resize: nothing,
    bookmark: nothing,
    hold: nothing,
    release: async () => succeed(false),
    async destroy(name, recursive) {
      const found = await zfs.findDoomed({ destroy: name, recursive });
      if (!found.ok || isSnapshotName(name)) return note(found);
      const marks = await zfs.listBookmarks(name);
      if (!marks.ok) return marks;
      const gone = marks.value.map((mark) => ({ name: mark.name, used: bytes(0) }));
      return note(succeed([...found.value, ...gone]));
    },
    rollback: async (name, destroyMoreRecent) =>
      note(await zfs.findDoomed({ rollback: name, destroyMoreRecent })),
    destroyBookmark: (name) => note(succeed([{ name, used: bytes(0) }])),
  };
}

/** Records that stay as they are. */
function keeping(records: Records): Records {
  const nothing = async () => {};
  return { ...records, putImage: nothing, dropImage: nothing, markUsed: nothing };
}

/**
 * Runs a change with its own handler, its locks and its checks, on a pool that it can't change.
 * @param handlersIn makes the handlers of what destroys.
 */
export function dryRunOperations(
  context: ActorContext,
  handlersIn: (context: ActorContext) => Destroying,
): Pick<OperationHandlers, "DryRun"> {
  return {
    async DryRun({ of }): Promise<Outcome<DryRunAnswer>> {
      const destroys: DoomedRecord[] = [];
      const zfs = sparing(context.zfs, destroys);
      const records = keeping(context.records);
      // With a trash of its own, which is empty, it puts nothing into that of the pool, and empties nothing.
      const log = { ...context.log, info: () => {} };
      const handlers = handlersIn({ ...context, zfs, records, trash: new Set(), log });
      const outcome = await handle(handlers, of);
      return outcome.ok ? succeed({ answer: outcome.value, destroys }) : outcome;
    },
  };
}

/** Every operation that destroys is here, or it does not compile. */
function handle(handlers: Destroying, of: DestroyingOperation): Promise<Outcome<Answer<DestroyingName>>> {
  switch (of.op) {
    case "DeleteImage":
      return handlers.DeleteImage(of);
    case "PruneImages":
      return handlers.PruneImages(of);
    case "DeleteDataset":
      return handlers.DeleteDataset(of);
    case "DeleteSnapshot":
      return handlers.DeleteSnapshot(of);
    case "RollbackSnapshot":
      return handlers.RollbackSnapshot(of);
    case "DeleteBookmark":
      return handlers.DeleteBookmark(of);
    case "DeleteGuestsDisks":
      return handlers.DeleteGuestsDisks(of);
    case "PullVolume":
      return handlers.PullVolume(of);
    case "MigrateVolume":
      return handlers.MigrateVolume(of);
    case "FinishMigration":
      return handlers.FinishMigration(of);
  }
}
