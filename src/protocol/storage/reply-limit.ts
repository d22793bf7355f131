import { type FailedOutcome, fail } from "./failures.js";
import type { AnyOperation } from "./node-operations.js";
import { isList, isRead } from "./operation-kinds.js";

/** A text that is equal for two operations exactly if they ask for the same. */
export function keyOf(operation: AnyOperation): string {
  return JSON.stringify(operation, (_key, value: unknown) =>
    typeof value === "bigint" ? String(value) : value,
  );
}

/**
 * The failure of a call whose answer does not fit into its reply. It is no sign that a change was
 * not made: the message says which of the two it was. `operation`: undefined for a read that is none.
 */
export function replyTooLarge(operation: AnyOperation | undefined, limitBytes: number): FailedOutcome {
  const allowed = `limits.replyBytes (${limitBytes} bytes) allows`;
  const message =
    operation === undefined || isRead(operation)
      ? `the answer is longer than ${allowed}${operation && isList(operation) ? ": ask for pages of it, by limit and after" : ""}`
      : `the change was made, and its answer is longer than ${allowed}`;
  return fail("service.reply_too_large", message);
}
