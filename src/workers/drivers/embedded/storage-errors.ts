import {
  type FailedOutcome,
  type FailureCode,
  fail,
  failed,
  type Outcome,
} from "../../../protocol/storage/failures.js";

/** The failure for an error of the file system or of SQLite. A bug is thrown on. */
function failureOfError(error: unknown, what: string): FailedOutcome {
  const { code, message } = error as NodeJS.ErrnoException;
  if (typeof code !== "string" || !/^(?:E[A-Z0-9]+|SQLITE_[A-Z]+)$/.test(code)) throw error;
  const known: Readonly<Record<string, FailureCode>> = {
    EROFS: "pool.read_only",
    SQLITE_READONLY: "pool.read_only",
    EACCES: "command.not_permitted",
    EPERM: "command.not_permitted",
  };
  if (code === "ENOSPC" || code === "EDQUOT" || code === "EFBIG" || code === "SQLITE_FULL") {
    return fail("pool.no_space", failed.noSpace.failure.message, message);
  }
  return fail(known[code] ?? "pool.unavailable", `${what}: ${message}`);
}

/** Runs `work`; what the file system or SQLite refuses becomes a failure that begins with `what`. */
export async function attempt<T>(what: string, work: () => Promise<Outcome<T>>): Promise<Outcome<T>> {
  try {
    return await work();
  } catch (error) {
    return failureOfError(error, what);
  }
}
