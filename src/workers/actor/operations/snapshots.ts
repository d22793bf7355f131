import { type FailedOutcome, failed, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import {
  datasetOf,
  isSnapshotName,
  type SnapshotName,
  snapshotNameOf,
} from "../../../protocol/storage/names.js";
import type { OperationHandlers } from "../../../protocol/storage/operations.js";
import { pageOf } from "../../../protocol/storage/page.js";
import type { SnapshotRecord } from "../../../protocol/storage/records.js";
import type { DatasetInfo } from "../../drivers/driver.js";
import { nameOf, selectionOf } from "../listed-page.js";
import { isPublished } from "../partial-receive.js";
import type { ActorContext } from "./context.js";
import { withCopies } from "./copies.js";
import { forgetLostImages } from "./present-images.js";

type SnapshotOperations = Pick<
  OperationHandlers,
  | "ListSnapshots"
  | "GetSnapshot"
  | "CreateSnapshot"
  | "SnapshotGuest"
  | "DeleteSnapshot"
  | "RollbackSnapshot"
  | "Refuse"
>;

function snapshotRecord(found: Pick<DatasetInfo, "name" | "written">): SnapshotRecord {
  return { name: snapshotNameOf(found), written: found.written };
}

export function snapshotOperations(context: ActorContext): SnapshotOperations {
  const { zfs, locks } = context;

  async function getSnapshot(name: SnapshotName): Promise<Outcome<SnapshotRecord>> {
    const found = await zfs.findSize(name);
    if (!found.ok) return found;
    return found.value === undefined
      ? failed.notFound
      : succeed(snapshotRecord({ name, written: found.value.size }));
  }

  /** The snapshots that a recursive operation on `name` covers: those of its tag, from its dataset down. */
  async function listRecursive(name: SnapshotName): Promise<Outcome<readonly SnapshotRecord[]>> {
    const listed = await zfs.snapshotsOfTag(name);
    if (!listed.ok) return listed;
    return succeed(listed.value.map((each) => snapshotRecord({ name: each.name, written: each.size })));
  }

  const createSnapshot: SnapshotOperations["CreateSnapshot"] = ({ dataset, snapshot, recursive }) =>
    withCopies(zfs, [{ snapshot, recursive }], (copies) =>
      locks.with([{ name: dataset, mode: recursive ? "tree" : "one" }], async () => {
        const created = await zfs.snapshot(snapshot, recursive, copies);
        if (!created.ok) return created;
        if (recursive) return listRecursive(snapshot);
        if (created.value !== undefined) return succeed([{ name: snapshot, written: created.value }]);
        const found = await getSnapshot(snapshot);
        return found.ok ? succeed([found.value]) : found;
      }),
    );

  return {
    async ListSnapshots({ root, ...page }) {
      if (isSnapshotName(root)) {
        const found = await getSnapshot(root);
        return found.ok ? succeed(pageOf([found.value], nameOf, page)) : found;
      }
      const listed = await zfs.listSnapshots(root, selectionOf(page));
      return listed.ok ? succeed(listed.value.filter(isPublished).map(snapshotRecord)) : listed;
    },

    GetSnapshot: ({ name }) => getSnapshot(name),

    CreateSnapshot: createSnapshot,

    SnapshotGuest: (ask) => createSnapshot({ ...ask, recursive: true }),

    DeleteSnapshot: ({ name, recursive }) =>
      locks.with(
        recursive
          ? [{ name: datasetOf(name), mode: "tree" }]
          : [
              { name: datasetOf(name), mode: "part" },
              { name, mode: "one" },
            ],
        async (): Promise<Outcome<readonly SnapshotRecord[]>> => {
          const found = await getSnapshot(name);
          if (!found.ok) return found;
          const covered = recursive ? await listRecursive(name) : succeed([found.value]);
          if (!covered.ok) return covered;
          const destroyed = await zfs.destroy(name, recursive);
          await forgetLostImages(context, recursive ? datasetOf(name) : name);
          return destroyed.ok ? covered : destroyed;
        },
      ),

    RollbackSnapshot: ({ name, destroyMoreRecent }) =>
      withCopies(zfs, [{ rollback: name, destroyMoreRecent }], (copies) =>
        locks.with([{ name: datasetOf(name), mode: "one" }], async () => {
          const found = await getSnapshot(name);
          if (!found.ok) return found;
          const rolledBack = await zfs.rollback(name, destroyMoreRecent, copies);
          if (destroyMoreRecent) await forgetLostImages(context, datasetOf(name));
          return rolledBack.ok ? found : rolledBack;
        }),
      ),

    async Refuse({ name, failure }): Promise<FailedOutcome> {
      const found = await zfs.findSize(name);
      if (!found.ok) return found;
      return found.value === undefined ? failed.notFound : { ok: false, failure };
    },
  };
}
