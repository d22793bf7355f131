import type { Logger } from "pino";
import { messageOf } from "../../protocol/storage/caught-error.js";
import type { WorkReport } from "../../protocol/threads/work-report.js";
import type { Actor } from "./actor-handle.js";

/** Notices an actor whose thread answers nothing any more, so that it can't report its late work itself. */
export interface ActorWatch {
  /** The late work that the actor has reported last, and first the actor itself if it does not answer. */
  lateOf(actor: Actor): readonly WorkReport[];
  stop(): Promise<void>;
}

interface WatchOptions {
  readonly actors: readonly Actor[];
  readonly log: Logger;
  /** How long an actor may take to answer. */
  readonly answerMs: number;
  /** It is late when it has not answered for so much longer. */
  readonly lateMs: number;
}

/** Longest period of the questions. It is `lateMs` if that is shorter. */
const LONGEST_PERIOD_MS = 5_000;

export function watchActors({ actors, log, answerMs, lateMs }: WatchOptions): ActorWatch {
  /** When each actor was asked that has not answered since, and when that is reported again. */
  const silent = new Map<Actor, { readonly since: number; nextReportAt: number }>();
  /** Actors with a question under way. */
  const asked = new Set<Actor>();
  const timer = setInterval(askAll, Math.min(LONGEST_PERIOD_MS, lateMs));
  timer.unref();

  function askAll(): void {
    for (const actor of actors) void ask(actor);
  }

  async function ask(actor: Actor): Promise<void> {
    // An actor that restarts is no secret: its state says it, and the log.
    if (asked.has(actor) || actor.state !== "ready") return;
    asked.add(actor);
    const since = performance.now();
    const problem = await actor.stats(answerMs).then(() => undefined, messageOf);
    asked.delete(actor);
    const now = performance.now();
    const known = silent.get(actor);
    if (problem === undefined || actor.state !== "ready") {
      silent.delete(actor);
      if (known && now - known.since >= lateMs)
        log.warn({ pool: actor.pool, ms: Math.round(now - known.since) }, "the actor answers again");
      return;
    }
    const noted = known ?? { since, nextReportAt: since + lateMs };
    silent.set(actor, noted);
    if (now < noted.nextReportAt) return;
    noted.nextReportAt = now + (now - noted.since);
    const { pool, pending } = actor;
    log.warn({ pool, pending, problem, ms: Math.round(now - noted.since) }, "the actor does not answer");
  }

  return {
    lateOf: (actor) => {
      const noted = silent.get(actor);
      const ms = noted ? Math.round(performance.now() - noted.since) : 0;
      if (!noted || ms < lateMs) return actor.late;
      const wait = { kind: "thread", what: "an answer of the actor, or of its runner", ms } as const;
      const itself = { id: 0, name: "actor", datasets: [], ms, lateMs: ms - lateMs, locks: [] };
      return [{ ...itself, waitsFor: [wait], commands: [] }, ...actor.late];
    },
    stop: async () => clearInterval(timer),
  };
}
