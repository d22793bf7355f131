import { StreamFailure } from "../../../protocol/zfs-stream/stream-failure.js";

/** Why a command can't do what it was asked, in one line that says what to mend. */
export class CommandFailure extends Error {}

/** What is wrong with a stream, as a CommandFailure that names its file; any other error as it is. */
export function aboutFile(file: string, error: unknown): unknown {
  if (!(error instanceof StreamFailure) && !(error instanceof CommandFailure)) return error;
  return new CommandFailure(`${file === "-" ? "stdin" : file}: ${error.message}`, { cause: error });
}

/** One line about an error that a user can mend: ours, or the system's. undefined for a bug. */
export function problemLine(error: unknown): string | undefined {
  if (error instanceof CommandFailure) return error.message;
  const { syscall, message } = error as NodeJS.ErrnoException;
  return syscall === undefined ? undefined : message;
}
