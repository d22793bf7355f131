/** How long bytes that somebody waits for may not move until that is late: as long as a command may take. */
export function stillDeadlineMs(timeouts: { readonly commandMs: number; readonly lateMs: number }): number {
  return timeouts.commandMs + timeouts.lateMs;
}

/** What a piece of an actor's work, or a download, waits for. */
export interface WaitReport {
  /**
   * `lock`: of a dataset. `queue`: of image fetches. `stream`: bytes that the streaming worker moves.
   * `copy`: data that an embedded pool copies for a clone or a rollback.
   * `driver`, `records`, `holds`, `space`: a call of that part. `thread`: the actor's thread itself.
   */
  readonly kind: "lock" | "queue" | "stream" | "copy" | "driver" | "records" | "holds" | "space" | "thread";
  /** The lock, or the call with its names. */
  readonly what: string;
  readonly ms: number;
  /** Of a stream or copy: since when none of its bytes has moved. */
  readonly stillMs?: number;
  /** Of a lock: the ids of the work that has it, the first few. */
  readonly heldBy?: readonly number[];
}

/** A command that an actor runs, or that waits for a slot. */
export interface CommandReport {
  readonly argv: readonly string[];
  /** Undefined while it waits for a slot, and where the runner doesn't answer. */
  readonly pid?: number;
  readonly state: "slot" | "running";
  /** Since it was asked for. */
  readonly ms: number;
}

/** An operation of an actor, work that it does by itself, or a download, as it is now. */
export interface WorkReport {
  /** Counts from 1 in each thread of an actor, and for downloads in main. */
  readonly id: number;
  /** The operation; `open` for the work of a start, `look` for the look at the images, `download`. */
  readonly name: string;
  /** Of the request that it serves; undefined for work of the actor's own, and for most reads. */
  readonly requestId?: string;
  /** The datasets, snapshots, image or guest that it is about. */
  readonly datasets: readonly string[];
  readonly ms: number;
  /** How long it has been late. Undefined: it is not. */
  readonly lateMs?: number;
  /** The locks that it has: `DATASET subtree|self shared|owned`. */
  readonly locks: readonly string[];
  readonly waitsFor: readonly WaitReport[];
  /** Commands that name one of its datasets. Several pieces of work may share a command. */
  readonly commands: readonly CommandReport[];
}

/** Most pieces of work of a pool that are told to those who look again and again. */
export const WORK_LISTED = 20;
