import { type FailedOutcome, fail } from "./failures.js";
import type { Operation } from "./operations.js";

/** Whether an operation leaves the pool as it is, so that callers who wait at once may share its answer. */
export function isRead({ op }: Operation): boolean {
  return op.startsWith("List") || op.startsWith("Get") || op === "VerifyDisks";
}

/** A text that is equal for two operations exactly if they ask for the same. */
export function keyOf(operation: Operation): string {
  return JSON.stringify(operation, (_key, value: unknown) =>
    typeof value === "bigint" ? String(value) : value,
  );
}

/** Whether an operation answers with as many records as the pool has. */
export function isList(operation: Operation): boolean {
  return operation.op.startsWith("List") || ("recursive" in operation && operation.recursive);
}

/**
 * The failure of a call whose answer does not fit into its reply. It is no sign that a change was
 * not made: the message says which of the two it was.
 */
export function replyTooLarge(operation: Operation, limitBytes: number): FailedOutcome {
  const allowed = `limits.replyBytes (${limitBytes} bytes) allows`;
  const message = isRead(operation)
    ? `the answer is longer than ${allowed}${isList(operation) ? ": ask for pages of it, by limit and after" : ""}`
    : `the change was made, and its answer is longer than ${allowed}`;
  return fail("service.reply_too_large", message);
}
