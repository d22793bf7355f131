import { type ChangeName, isChange } from "../../protocol/storage/operation-kinds.js";
import type { Operation, OperationName } from "../../protocol/storage/operations.js";
import { DESTROY_TIMEOUT_FACTOR, type NodeSettings } from "../../protocol/storage/pool-settings.js";

/** What an operation may need, each step with its retries and a run that it has to wait for. */
interface Steps {
  readonly commands: number;
  /** Commands that destroy something: each may take DESTROY_TIMEOUT_FACTOR times as long. */
  readonly destroys?: number;
}

/** `open` is the work of a start: the checks of the pool, and reconcile. `look` looks for images that were destroyed. */
export type WorkName = OperationName | "open" | "look";
type ReadName = Exclude<OperationName, ChangeName | "DryRun">;

/** Of every read. There are many of them, so nothing more is noted of one than when it began. */
const READ: Steps = { commands: 2 };

const STEPS: Readonly<Record<Exclude<WorkName, ReadName>, Steps>> = {
  RequestImage: { commands: 16, destroys: 2 },
  PullVolume: { commands: 40, destroys: 2 },
  MigrateVolume: { commands: 400, destroys: 20 },
  FinishMigration: { commands: 60, destroys: 4 },
  FenceVolume: { commands: 45 },
  UnfenceVolume: { commands: 45 },
  ReceiveVolume: { commands: 40, destroys: 2 },
  AbandonReceive: { commands: 8, destroys: 1 },
  DeleteImage: { commands: 4, destroys: 2 },
  // Its clock starts anew with the lock of each image.
  PruneImages: { commands: 4, destroys: 1 },
  RestoreImage: { commands: 6 },
  CloneImage: { commands: 4 },
  CreateVolume: { commands: 5 },
  ResizeVolume: { commands: 4 },
  RenameVolume: { commands: 4 },
  PromoteVolume: { commands: 5, destroys: 1 },
  CloneSnapshot: { commands: 4 },
  CopyVolume: { commands: 60, destroys: 3 },
  // Each tag that goes takes a command.
  SetVolume: { commands: 40 },
  DeleteDataset: { commands: 2, destroys: 2 },
  CreateSnapshot: { commands: 4 },
  SnapshotGuest: { commands: 4 },
  DeleteSnapshot: { commands: 2, destroys: 2 },
  RollbackSnapshot: { commands: 4, destroys: 1 },
  CreateBookmark: { commands: 4 },
  DeleteBookmark: { commands: 2, destroys: 1 },
  BackupSnapshot: { commands: 20, destroys: 1 },
  VerifyBackup: { commands: 1 },
  RestoreBackup: { commands: 20, destroys: 1 },
  PruneBackups: { commands: 4 },
  CreateGuestDisks: { commands: 4, destroys: 2 },
  DeleteGuestsDisks: { commands: 1, destroys: 2 },
  SetGuestQuota: { commands: 4 },
  DryRun: { commands: 8 },
  OpenSend: { commands: 8 },
  CloseSend: { commands: 5, destroys: 1 },
  look: { commands: 4, destroys: 1 },
  open: { commands: 40, destroys: 4 },
};

export function isReadWork(name: WorkName): name is ReadName {
  return name !== "open" && name !== "look" && name !== "DryRun" && !isChange(name);
}

/** For each disk of a guest: its look-up, its creation with its parents, and its removal if that fails. */
const COMMANDS_PER_DISK = 4;

/** How long work may take from its start, or from the moment when it has its locks. */
export function deadlineMs(
  name: WorkName,
  { commandMs, lateMs }: NodeSettings["timeouts"],
  operation?: Operation,
): number {
  const { commands, destroys = 0 } = isReadWork(name) ? READ : STEPS[name];
  const disks = operation && "guest" in operation ? operation.guest.disks.length : 0;
  return (commands + disks * COMMANDS_PER_DISK + destroys * DESTROY_TIMEOUT_FACTOR) * commandMs + lateMs;
}

/** How long work may wait for a lock: as long as whatever has the lock may take. */
export function lockDeadlineMs(timeouts: NodeSettings["timeouts"]): number {
  return deadlineMs("open", timeouts);
}
