import type { AnyOperation } from "../../protocol/storage/node-operations.js";
import { isRead } from "../../protocol/storage/operation-kinds.js";
import type { CallReport } from "../observability/call-report.js";
import type { Action, Happening, Topic } from "./event.js";

/** What an operation changes, as far as its request tells. */
interface Change {
  readonly topic: Topic;
  readonly action: Action;
  readonly id: string;
}

/** After these nobody knows whether the change was made. */
const UNSURE: readonly string[] = [
  "command.failed",
  "command.timed_out",
  "internal",
  "records.unavailable",
  "service.interrupted",
];

/**
 * Tells `publish` what a call has changed: each dataset, where its answer names several. A call that found its
 * work done tells it again. Of one that failed so that its change may have been made, `changed`.
 * @param answer of a call that did what it was asked for, undefined of others.
 */
export function publishCall(
  { operation, pool, code, caller, requestId }: CallReport,
  answer: unknown,
  publish: (happening: Happening) => void,
): void {
  if (operation === undefined || isRead(operation)) return;
  const isMade = answer !== undefined;
  if (!isMade && !UNSURE.includes(code)) return;
  const by = { pool, caller, requestId };
  for (const change of changesOf(operation, pool)) {
    if (!isMade) publish({ ...change, action: "changed", ...by });
    else for (const each of madeBy(change, answer)) publish({ ...each, ...by });
  }
}

/** Every operation is here, or it does not compile. None: it changes nothing that has events, or tells them itself. */
function changesOf(operation: AnyOperation, pool: string): readonly Change[] {
  switch (operation.op) {
    case "RequestImage":
    case "RestoreImage":
    case "DeleteImage":
      return [{ topic: "image", action: actionOf(operation), id: `${pool}/images/${operation.id}` }];
    case "PruneImages":
      return [{ topic: "image", action: "deleted", id: `${pool}/images` }];
    case "CreateVolume":
      return [{ topic: "volume", action: "created", id: operation.name }];
    case "CopyVolume":
    case "CloneSnapshot":
    case "CloneImage":
      return [{ topic: "volume", action: "created", id: operation.target }];
    case "PullVolume":
    case "MigrateVolume":
    case "FinishMigration":
    case "ReceiveVolume":
      return [{ topic: "volume", action: "changed", id: operation.target }];
    case "PromoteVolume":
    case "FenceVolume":
    case "UnfenceVolume":
    case "ResizeVolume":
    case "SetVolume":
      return [{ topic: "volume", action: "changed", id: operation.name }];
    case "RenameVolume":
      return [
        { topic: "volume", action: "deleted", id: operation.name },
        { topic: "volume", action: "created", id: operation.target },
      ];
    case "DeleteDataset":
      return [{ topic: topicOf(operation.name), action: "deleted", id: operation.name }];
    case "CreateSnapshot":
    case "SnapshotGuest":
      return [{ topic: "snapshot", action: "created", id: operation.snapshot }];
    case "DeleteSnapshot":
      return [{ topic: "snapshot", action: "deleted", id: operation.name }];
    case "RollbackSnapshot":
      return [{ topic: "snapshot", action: "rolled-back", id: operation.name }];
    case "CreateGuestDisks":
    case "DeleteGuestsDisks":
      return [{ topic: "guest", action: actionOf(operation), id: `${pool}/guests/${operation.guest.id}` }];
    case "SetGuestQuota":
      return [{ topic: "guest", action: "changed", id: operation.name }];
    case "RestoreBackup":
      return operation.dryRun ? [] : [{ topic: "volume", action: "created", id: operation.target }];
    case "BackupSnapshot":
    case "VerifyBackup":
    case "PruneBackups":
    case "ListBackups":
    case "CreateBookmark":
    case "DeleteBookmark":
    case "ListBookmarks":
    case "ListImages":
    case "GetImage":
    case "ListVolumes":
    case "GetVolume":
    case "GetVolumeProperties":
    case "ListSnapshots":
    case "GetSnapshot":
    case "VerifyDisks":
    case "GetGuestQuota":
    case "GetPool":
    case "DryRun":
    case "Refuse":
    case "GetSendPlan":
    case "AbandonReceive":
    case "GetReceive":
    case "OpenSend":
    case "DescribeSend":
    case "CloseSend":
    case "ListReplications":
    case "ListAudit":
    case "ListJobs":
    case "GetJob":
    case "WaitJob":
    case "CancelJob":
      return [];
  }
}

function actionOf({ op }: Pick<AnyOperation, "op">): Action {
  return op.startsWith("Delete") ? "deleted" : "created";
}

function topicOf(name: string): Topic {
  return name.includes("@") ? "snapshot" : "volume";
}

/** The same change, once for each that the answer names, images below what the change is about; a guest's, and that of its disks. */
function madeBy(change: Change, answer: unknown): readonly Change[] {
  if (change.topic === "guest") {
    const disks = membersOf(answer, "disks").flatMap((disk) => textOf(disk, "volume"));
    return [change, ...disks.map((id): Change => ({ topic: "volume", action: change.action, id }))];
  }
  if (change.topic === "image" && Array.isArray(answer)) {
    return answer
      .flatMap((each) => textOf(each, "id"))
      .map((id) => ({ ...change, id: `${change.id}/${id}` }));
  }
  if (change.topic !== "snapshot") return [change];
  const names =
    answer instanceof Uint8Array
      ? // The actor writes long lists as their JSON text.
        membersOf(JSON.parse(Buffer.from(answer).toString()), "snapshots").flatMap((each) =>
          textOf(each, "id"),
        )
      : (Array.isArray(answer) ? answer : []).flatMap((each) => textOf(each, "name"));
  return names.length > 0 ? names.map((id) => ({ ...change, id })) : [change];
}

function membersOf(value: unknown, list: string): readonly unknown[] {
  const found = member(value, list);
  return Array.isArray(found) ? found : [];
}

function textOf(value: unknown, name: string): readonly string[] {
  const found = member(value, name);
  return typeof found === "string" && found !== "" ? [found] : [];
}

function member(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}
