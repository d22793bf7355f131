import type { ProcessExit } from "../processes/child-process.js";

/** What the copy process gets, as JSON in its one argument. */
export interface CopyRequest {
  /** The argv of a command that writes a stream to its stdout, and of one that reads it from its stdin. */
  readonly send: readonly string[];
  readonly receive: readonly string[];
  /** A folder that it may write to. */
  readonly folder: string;
}

interface CopyEnd {
  readonly exit: ProcessExit;
  readonly stderr: string;
}

/** A line that it writes to its stdout, as JSON: bytes so far, now and then, and at last how both have ended. */
export type CopyReport =
  | { readonly bytes: number }
  /** `first`: which has ended before the other. */
  | { readonly sent: CopyEnd; readonly received: CopyEnd; readonly first: "sent" | "received" };
