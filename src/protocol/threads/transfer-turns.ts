import type { Operation } from "../storage/operations.js";

/** The id of a transfer that belongs to one caller. No image has it. */
export function turnOf(caller: number): string {
  return `.transfer ${caller}`;
}

/** The id under which the caller of an operation on a store waits for its turn; undefined: it is no such operation. */
export function turnFor(operation: Operation, caller: number): string | undefined {
  switch (operation.op) {
    case "BackupSnapshot":
    case "VerifyBackup":
    case "RestoreBackup":
      return turnOf(caller);
    default:
      return undefined;
  }
}

/** What orders for a store say of the operation that they are a part of. Undefined: it has none. */
export function partKeyOf(operation: Operation): string | undefined {
  switch (operation.op) {
    case "BackupSnapshot":
      return `backup ${operation.profile} ${operation.name}`;
    case "VerifyBackup":
      return `verify ${operation.profile} ${operation.backup}`;
    case "RestoreBackup":
      return `restore ${operation.target}`;
    default:
      return undefined;
  }
}
