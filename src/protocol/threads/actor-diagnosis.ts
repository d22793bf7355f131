import type { CommandReport, WorkReport } from "./work-report.js";

/** The commands of one kind: so many may run at once, so many do, and so many wait for a slot. */
export interface SlotReport {
  readonly kind: "read" | "hold" | "change" | "destroy";
  readonly most: number;
  readonly running: number;
  readonly waiting: number;
}

/** A hold that the actor has put on a snapshot, or that a running download has from an earlier thread. */
export interface HoldReport {
  readonly tag: string;
  /** The snapshot, as it was called when it was held. Undefined for holds from before this thread. */
  readonly name?: string;
  /** The downloads that share it. */
  readonly users: number;
}

/** What an actor says of itself when somebody looks for what is wrong. */
export interface ActorDiagnosis {
  /** All work under way, the operations that run and the actor's own. */
  readonly works: number;
  /** The oldest of it, up to WORKS_SHOWN. */
  readonly work: readonly WorkReport[];
  /** The oldest commands under way, up to COMMANDS_SHOWN. */
  readonly commands: readonly CommandReport[];
  /** `none`: the pool needs no runner. `silent`: it does not answer, so no command has a pid. */
  readonly runner: "none" | "answers" | "silent";
  /** By kind of command; empty without a runner. */
  readonly slots: readonly SlotReport[];
  /** Image fetches that run, and that wait for their turn. */
  readonly fetches: { readonly running: number; readonly waiting: number };
  readonly holds: readonly HoldReport[];
}

/** Most pieces of work in a diagnosis: thousands may wait for one lock. */
export const WORKS_SHOWN = 100;
/** Most commands in a diagnosis. */
export const COMMANDS_SHOWN = 100;
