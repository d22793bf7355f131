import { codeOf, messageOf } from "../../../protocol/storage/caught-error.js";
import {
  type FailedOutcome,
  type FailureCode,
  fail,
  failed,
  type Outcome,
  withCause,
} from "../../../protocol/storage/failures.js";
import { withoutPaths } from "../../../protocol/storage/path-text.js";

/** Who reads a message. Clients see no paths of this machine. */
type MessageReader = "client" | "administrator";

const FAILURE_CODES: Readonly<Record<string, FailureCode>> = {
  EROFS: "pool.read_only",
  SQLITE_READONLY: "pool.read_only",
  EACCES: "command.not_permitted",
  EPERM: "command.not_permitted",
  ECANCELED: "service.stopping",
};

const NO_SPACE: readonly string[] = ["ENOSPC", "EDQUOT", "EFBIG", "SQLITE_FULL"];

/** Turns an error of the file system or of SQLite into a failure. Throws any other error again: it is a bug. */
function failureOfError(error: unknown, messagePrefix: string, reader: MessageReader): FailedOutcome {
  const code = codeOf(error);
  if (!/^(?:E[A-Z0-9]+|SQLITE_[A-Z]+)$/.test(code)) throw error;
  const message = messageOf(error);
  if (NO_SPACE.includes(code)) return withCause(failed.noSpace, message);
  const failure = FAILURE_CODES[code] ?? "pool.unavailable";
  if (reader === "administrator") return fail(failure, `${messagePrefix}: ${message}`);
  return withCause(fail(failure, `${messagePrefix}: ${withoutPaths(message)}`), message);
}

/**
 * Runs `work`; an error of the file system or of SQLite becomes a failure whose message
 * begins with `messagePrefix`. Rejects with any other error.
 */
export async function catchStorageErrors<T>(
  messagePrefix: string,
  work: () => Promise<Outcome<T>>,
  reader: MessageReader = "client",
): Promise<Outcome<T>> {
  try {
    return await work();
  } catch (error) {
    return failureOfError(error, messagePrefix, reader);
  }
}
