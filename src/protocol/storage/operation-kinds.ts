import type { AnyOperation, NodeOperationName } from "./node-operations.js";
import type { Operation, OperationName } from "./operations.js";

/**
 * What an operation does to its pool, or to the jobs of the node:
 *
 * - `read`: it leaves the pool as it is and takes no lock, so that callers who wait at once may share
 *   its answer, and it may be repeated.
 * - `list`: a read whose answer has as many records as the pool.
 * - `trial`: it leaves the pool as it is, but takes the locks of a change.
 * - `change`: anything else, holds too.
 */
type Kind = "read" | "list" | "trial" | "change";

/** Every operation: a new one does not compile until it is here. */
const KINDS = {
  ListImages: "list",
  GetImage: "read",
  RequestImage: "change",
  DeleteImage: "change",
  PruneImages: "change",
  RestoreImage: "change",
  CloneImage: "change",
  ListVolumes: "list",
  CreateVolume: "change",
  GetVolume: "read",
  ResizeVolume: "change",
  RenameVolume: "change",
  PromoteVolume: "change",
  CloneSnapshot: "change",
  CopyVolume: "change",
  SetVolume: "change",
  GetVolumeProperties: "read",
  DeleteDataset: "change",
  ListSnapshots: "list",
  GetSnapshot: "read",
  CreateSnapshot: "change",
  SnapshotGuest: "change",
  DeleteSnapshot: "change",
  RollbackSnapshot: "change",
  CreateBookmark: "change",
  ListBookmarks: "list",
  DeleteBookmark: "change",
  GetSendPlan: "read",
  PullVolume: "change",
  MigrateVolume: "change",
  FinishMigration: "change",
  FenceVolume: "change",
  UnfenceVolume: "change",
  ReceiveVolume: "change",
  GetReceive: "read",
  AbandonReceive: "change",
  BackupSnapshot: "change",
  VerifyBackup: "change",
  RestoreBackup: "change",
  PruneBackups: "change",
  VerifyDisks: "read",
  CreateGuestDisks: "change",
  DeleteGuestsDisks: "change",
  GetGuestQuota: "read",
  SetGuestQuota: "change",
  GetPool: "read",
  DryRun: "trial",
  Refuse: "read",
  OpenSend: "change",
  DescribeSend: "read",
  CloseSend: "change",
  ListJobs: "list",
  GetJob: "read",
  WaitJob: "read",
  CancelJob: "change",
  ListReplications: "list",
  ListAudit: "list",
  ListBackups: "list",
} as const satisfies Readonly<Record<OperationName | NodeOperationName, Kind>>;

/** The operations that may change their pool. */
export type ChangeName = {
  [K in OperationName]: (typeof KINDS)[K] extends "change" ? K : never;
}[OperationName];

export function isChange(name: OperationName): name is ChangeName;
export function isChange(name: OperationName | NodeOperationName): boolean;
export function isChange(name: OperationName | NodeOperationName): boolean {
  return KINDS[name] === "change";
}

/** Whether an operation leaves the pool as it is. */
export function isRead({ op }: Pick<AnyOperation, "op">): boolean {
  return !isChange(op);
}

/** Whether an operation answers with as many records as the pool has. */
export function isList(operation: AnyOperation): boolean {
  return KINDS[operation.op] === "list" || ("recursive" in operation && operation.recursive);
}

/** What the callers of an operation may leave: the fetch of an image, the pull, receive or copy of a volume. Of one kind no two are named alike. */
export function flightOf(operation: Operation): string | undefined {
  if (operation.op === "RequestImage") return operation.id;
  const isOfVolume = operation.op === "CopyVolume" || operation.op === "ReceiveVolume";
  return isPull(operation) || isOfVolume ? operation.target : undefined;
}

/** What receives a volume of a peer. */
type Pull = Extract<Operation, { readonly op: "PullVolume" | "MigrateVolume" | "FinishMigration" }>;

export function isPull(operation: AnyOperation): operation is Pull {
  return (
    operation.op === "PullVolume" || operation.op === "MigrateVolume" || operation.op === "FinishMigration"
  );
}
