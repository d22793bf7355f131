import type { WorkReport } from "../../protocol/threads/work-report.js";
import type { Actor } from "../pools/actor-handle.js";
import { ask } from "./gather-diagnosis.js";

type ListedActor = Pick<Actor, "pool" | "state" | "pending" | "work">;

interface WorkListOptions {
  actors(): readonly ListedActor[];
  /** How many operations an actor may have pending. */
  readonly mailbox: number;
  /** How long an actor may take. */
  readonly answerMs: number;
}

/** What is told of a piece of work: names of a wait that is for no lock may have an address in them. */
function toldOf({ id, name, datasets, ms, lateMs, locks, waitsFor }: WorkReport): object {
  const waits = waitsFor.map(({ kind, what, ms, heldBy }) =>
    kind === "lock" ? { kind, what, ms, heldBy: heldBy ?? [] } : { kind, ms },
  );
  return { id, name, datasets, ms, ...(lateMs === undefined ? {} : { lateMs }), locks, waitsFor: waits };
}

/**
 * The oldest work of each pool, with the locks that it has and waits for, as JSON for `GET /work`. Cheap enough
 * for each second: it is a look into memory, and those who ask at the same time share it.
 */
export function createWorkList({ actors, mailbox, answerMs }: WorkListOptions): () => Promise<string> {
  /** The look that is under way. */
  let looking: Promise<string> | undefined;

  async function poolOf(actor: ListedActor): Promise<object> {
    const said = await ask(() => actor.work(answerMs));
    const { pool, state, pending } = actor;
    const work = said.ok ? { work: said.value.map(toldOf) } : { work: null, silent: said.why };
    return { pool, state, pending, mailbox, ...work };
  }

  async function look(): Promise<string> {
    return `${JSON.stringify({ pools: await Promise.all(actors().map(poolOf)) })}\n`;
  }

  return () => {
    looking ??= look().finally(() => {
      looking = undefined;
    });
    return looking;
  };
}
