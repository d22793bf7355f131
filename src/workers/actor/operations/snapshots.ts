import { failed, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import {
  type DatasetName,
  datasetOf,
  type PoolName,
  type SnapshotName,
  tagOf,
} from "../../../protocol/storage/names.js";
import type { OperationHandlers, SendTicket } from "../../../protocol/storage/operations.js";
import type { SnapshotRecord } from "../../../protocol/storage/records.js";
import type { DatasetInfo } from "../../drivers/driver.js";
import type { ActorContext } from "./context.js";
import type { Holds } from "./holds.js";
import { forgetImagesWithin, forgetImagesWithoutSnapshot, isPublished } from "./volumes.js";

type SnapshotOperations = Pick<
  OperationHandlers,
  | "ListSnapshots"
  | "GetSnapshot"
  | "CreateSnapshot"
  | "DeleteSnapshot"
  | "RollbackSnapshot"
  | "OpenSend"
  | "CloseSend"
>;

function snapshotRecord(info: DatasetInfo): SnapshotRecord {
  return { name: info.name as SnapshotName, written: info.written };
}

export function snapshotOperations(context: ActorContext, holds: Holds): SnapshotOperations {
  const { zfs, locks } = context;

  async function getSnapshot(name: SnapshotName): Promise<Outcome<SnapshotRecord>> {
    const found = await zfs.find(name);
    if (!found.ok) return found;
    return found.value === undefined ? failed.notFound : succeed(snapshotRecord(found.value));
  }

  /** `name` on its dataset and on every one below it. */
  async function likeNamed(name: SnapshotName): Promise<Outcome<readonly SnapshotRecord[]>> {
    const tag = tagOf(name);
    const listed = await zfs.listSnapshots(datasetOf(name));
    if (!listed.ok) return listed;
    return succeed(listed.value.map(snapshotRecord).filter((each) => tagOf(each.name) === tag));
  }

  return {
    async ListSnapshots({ root }) {
      const listed = await zfs.listSnapshots(root as PoolName | DatasetName);
      return listed.ok ? succeed(listed.value.filter(isPublished).map(snapshotRecord)) : listed;
    },

    GetSnapshot: ({ name }) => getSnapshot(name),

    CreateSnapshot: ({ dataset, snapshot, recursive }) =>
      locks.with([{ name: dataset, mode: recursive ? "tree" : "one" }], async () => {
        const created = await zfs.snapshot(snapshot, recursive);
        if (!created.ok) return created;
        if (recursive) return likeNamed(snapshot);
        if (created.value !== undefined) return succeed([{ name: snapshot, written: created.value }]);
        const made = await getSnapshot(snapshot);
        return made.ok ? succeed([made.value]) : made;
      }),

    DeleteSnapshot: ({ name, recursive }) =>
      locks.with(
        recursive
          ? [{ name: datasetOf(name), mode: "tree" }]
          : [
              { name: datasetOf(name), mode: "part" },
              { name, mode: "one" },
            ],
        async (): Promise<Outcome<readonly SnapshotRecord[]>> => {
          const named = await getSnapshot(name);
          if (!named.ok) return named;
          const doomed = recursive ? await likeNamed(name) : succeed([named.value]);
          if (!doomed.ok) return doomed;
          const destroyed = await zfs.destroy(name, recursive);
          if (!destroyed.ok) return destroyed;
          await forgetImagesWithin(
            context,
            doomed.value.map((snapshot) => snapshot.name),
          );
          return doomed;
        },
      ),

    RollbackSnapshot: ({ name, destroyMoreRecent }) =>
      locks.with([{ name: datasetOf(name), mode: "one" }], async () => {
        const named = await getSnapshot(name);
        if (!named.ok) return named;
        const rolledBack = await zfs.rollback(name, destroyMoreRecent);
        if (!rolledBack.ok) return rolledBack;
        if (destroyMoreRecent) await forgetImagesWithoutSnapshot(context, datasetOf(name));
        return named;
      }),

    async OpenSend({ name }): Promise<Outcome<SendTicket>> {
      const found = await getSnapshot(name);
      if (!found.ok) return found;
      const tag = await holds.take(name);
      return tag.ok ? succeed({ name, tag: tag.value, command: zfs.sendCommand(name) }) : tag;
    },

    CloseSend: ({ name, tag }) => holds.giveBack(name, tag),
  };
}
