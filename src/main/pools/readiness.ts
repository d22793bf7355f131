import { messageOf } from "../../protocol/storage/caught-error.js";
import type { WorkReport } from "../../protocol/threads/work-report.js";
import type { Actor } from "./actor-handle.js";

/** Whether the daemon takes work, for `/readyz`. */
export interface Readiness {
  readonly stopping: boolean;
  /** For each pool "ready", or why it is not. */
  readonly pools: ReadonlyMap<string, string>;
  /** For each pool that has some: what the administrator has to look at, although it is ready. */
  readonly notices: ReadonlyMap<string, readonly string[]>;
  /**
   * For each pool that has some: the operations that are past their deadline, although it is ready; at most
   * LATE_SHOWN.
   */
  readonly late: ReadonlyMap<string, readonly WorkReport[]>;
}

/** Of one pool. `imagestore_operations_late` counts all. */
const LATE_SHOWN = 100;

export function isReady({ stopping, pools }: Readiness): boolean {
  return !stopping && [...pools.values()].every((state) => state === "ready");
}

/**
 * Asks every actor whether it works, for up to `limitMs`. Never rejects.
 * @param lateOf the late work of an actor, and of what it serves.
 */
export async function askReadiness(
  actors: readonly Actor[],
  lateOf: (actor: Actor) => readonly WorkReport[],
  stopping: boolean,
  limitMs: number,
): Promise<Readiness> {
  const notices = new Map<string, readonly string[]>();
  const states = await Promise.all(
    actors.map(async (actor): Promise<[string, string]> => {
      const answers = actor.stats(limitMs).then((stats) => {
        if (stats.notices.length > 0) notices.set(actor.pool, stats.notices);
        return "ready";
      });
      return [actor.pool, await answers.catch(messageOf)];
    }),
  );
  const late = new Map<string, readonly WorkReport[]>();
  for (const actor of actors) {
    const works = lateOf(actor);
    if (works.length > 0) late.set(actor.pool, works.slice(0, LATE_SHOWN));
  }
  return { stopping, pools: new Map(states), notices, late };
}
