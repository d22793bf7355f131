import type { FailureCode } from "../storage/failures.js";
import { type JsonSchema, text } from "./json-schema.js";

/**
 * What a method is, for people and for programs that are made from it: `rpc.discover`, docs/api.md,
 * the client `imagestore/client`. Its role and its aliases are in the row that runs it
 * (src/protocol/json-rpc/methods), and the test of this room holds the two against each other.
 */
export interface MethodDefinition {
  /** A clause without a full stop: what it does. */
  readonly summary: string;
  /** Whole sentences in Markdown: what the summary leaves open. */
  readonly description?: string;
  /** By their names, in the order of the documentation. */
  readonly params: Readonly<Record<string, Parameter>>;
  readonly result: JsonSchema;
  readonly effect: Effect;
  /** Its call is a job, whether its client waits or not. */
  readonly mayLast?: true;
  /** What a late repeat of a `repeatable` change loses, though it answers as the first did. */
  readonly repeatLoses?: string;
  /** Who answers it: the actor of a pool, or the daemon itself. */
  readonly answeredBy: "pool" | "daemon";
  /**
   * The failures of its own, with when it answers them. Words in backquotes are the message, which
   * old clients compare. Others that it may answer are in COMMON_FAILURES.
   */
  readonly failures: Readonly<Partial<Record<FailureCode, string>>>;
  /** The release that was the first to have it. */
  readonly since: string;
  /** The first one is shown in docs/api.md. */
  readonly examples: readonly [Example, ...Example[]];
}

/**
 * - `read`: changes nothing.
 * - `repeatable`: a change whose repeat answers as the first did.
 * - `once`: a change whose repeat is refused, because it has happened.
 */
export type Effect = "read" | "repeatable" | "once";

export interface Parameter {
  readonly schema: JsonSchema;
  /** Without it the method is always refused. */
  readonly isRequired: boolean;
}

export interface Example {
  readonly name: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly result: unknown;
}

export function required(schema: JsonSchema): Parameter {
  return { schema, isRequired: true };
}

export function optional(schema: JsonSchema): Parameter {
  return { schema, isRequired: false };
}

/** The parameter that every method of a pool has. */
export const pool = optional(
  text("The pool, where the daemon has several. Without it the first one serves."),
);

/**
 * Whether a change may be made again later without a look. A deletion, and a volume that gets the name of another,
 * may meet what was made since; a new snapshot or a promoted volume would find itself.
 */
export function isRepeatSafe({
  effect,
  repeatLoses,
}: Pick<MethodDefinition, "effect" | "repeatLoses">): boolean {
  return effect !== "once" && repeatLoses === undefined;
}

/** What any method may answer, whatever it is about. */
const ANY = [
  "request.malformed",
  "access.denied",
  "service.overloaded",
  "service.stopping",
  "service.reply_too_large",
  "internal",
] as const;
const READ_OF_A_POOL = [
  ...ANY,
  "pool.not_found",
  "pool.unavailable",
  "service.interrupted",
  "command.not_permitted",
  "command.missing",
  "command.timed_out",
  "command.failed",
] as const;
const CHANGE_OF_A_POOL = [
  ...READ_OF_A_POOL,
  "pool.read_only",
  "records.unavailable",
  // Of a volume that has moved to another node.
  "dataset.fenced",
  // Of an idempotencyKey that is none, or of another request.
  "request.invalid",
  // Of a repeat whose first request has no job any more.
  "job.not_found",
] as const;

/** What methods may answer beside the failures of their own. */
export const COMMON_FAILURES = {
  ofTheDaemon: ANY,
  readOfAPool: READ_OF_A_POOL,
  changeOfAPool: CHANGE_OF_A_POOL,
} as const;

/** What a method may answer beside the failures of its own. */
export function commonFailures({
  effect,
  answeredBy,
}: Pick<MethodDefinition, "effect" | "answeredBy">): readonly FailureCode[] {
  if (answeredBy === "daemon") return COMMON_FAILURES.ofTheDaemon;
  return effect === "read" ? COMMON_FAILURES.readOfAPool : COMMON_FAILURES.changeOfAPool;
}
