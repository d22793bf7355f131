import type { PoolName } from "../../protocol/storage/names.js";
import { withTimeout } from "./time-limit.js";

/** A scrape may show an answer that came so long ago: that to the scrape before, where it was late. */
const SHOWN_FOR_MS = 60_000;

/** An answer, when it came, and the question that has no answer yet. */
interface Known<Answer> {
  answer: Answer | undefined;
  at: number;
  asked: Promise<void> | undefined;
}

interface Asking<Asked, Answer> {
  /** Those that are asked, by their pools. */
  actors(): Iterable<Asked>;
  /** Gives undefined or rejects where there is no answer. */
  ask(actor: Asked): Promise<Answer | undefined>;
  readonly timeoutMs: number;
  readonly now?: (() => number) | undefined;
}

/**
 * @returns asks all actors, for a scrape. What one that does not answer within `timeoutMs` has answered last
 * is shown for a minute, and left out then. Never rejects.
 */
export function createLastAnswers<Asked extends { readonly pool: PoolName }, Answer>({
  actors,
  ask,
  timeoutMs,
  now = () => performance.now(),
}: Asking<Asked, Answer>): () => Promise<readonly { readonly pool: PoolName; readonly answer: Answer }[]> {
  const knownPools = new Map<PoolName, Known<Answer>>();

  async function askAnew(known: Known<Answer>, actor: Asked): Promise<void> {
    known.answer = await ask(actor).catch(() => undefined);
    known.asked = undefined;
    known.at = now();
  }

  async function answerOf(actor: Asked) {
    const { pool } = actor;
    const known = knownPools.get(pool) ?? { answer: undefined, at: 0, asked: undefined };
    knownPools.set(pool, known);
    known.asked ??= askAnew(known, actor);
    await withTimeout(known.asked, timeoutMs).catch(() => {});
    const { answer } = known;
    return answer === undefined || now() - known.at > SHOWN_FOR_MS ? [] : [{ pool, answer }];
  }

  return async () => (await Promise.all(Array.from(actors(), answerOf))).flat();
}
