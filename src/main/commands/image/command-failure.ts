import { StreamFailure } from "../../../protocol/zfs-stream/stream-failure.js";

/** Why a command can't continue. Its message is one line that tells the user what to change. */
export class CommandFailure extends Error {}

/** Turns a failure of a stream into a CommandFailure that names the stream's file. Other errors stay as they are. */
export function aboutFile(file: string, error: unknown): unknown {
  if (!(error instanceof StreamFailure) && !(error instanceof CommandFailure)) return error;
  return new CommandFailure(`${file === "-" ? "stdin" : file}: ${error.message}`, { cause: error });
}

/** One line for the user about a CommandFailure or a failed system call. Undefined for any other error, which is a bug. */
export function problemLine(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { syscall, message }: NodeJS.ErrnoException = error;
  return error instanceof CommandFailure || syscall !== undefined ? message : undefined;
}
