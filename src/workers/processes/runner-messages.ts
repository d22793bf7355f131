import type { LibraryCall, LibraryExit } from "../libzfs/library-call.js";
import type { CommandEnd, CommandLimits } from "./run-command.js";

/**
 * From an actor to its runner: run this command, make this call, follow what this command writes, end the command
 * that is followed by the request `unfollow`, or (without any) just reply.
 */
export interface RunRequest {
  readonly id: number;
  readonly command?: { readonly argv: readonly string[]; readonly limits: CommandLimits };
  readonly call?: LibraryCall;
  readonly follow?: readonly string[];
  readonly unfollow?: number;
}

/** A command that the runner runs. */
export interface RunningCommand {
  readonly argv: readonly string[];
  readonly pid: number | undefined;
  /** By the clock of Date.now. */
  readonly startedAt: number;
}

/**
 * From the runner to its actor: the command or call of that request has ended, or else what it runs. `text`: what
 * a followed command has written; more replies follow.
 */
export interface RunReply {
  readonly id: number;
  readonly text?: string;
  readonly end?: CommandEnd;
  readonly called?: LibraryExit;
  readonly running?: readonly RunningCommand[];
}
