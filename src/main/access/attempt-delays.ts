/**
 * Slows down who tries tokens: the answer to a wrong one comes later with each that an address has
 * sent before. 256 bits can't be guessed; this keeps logs and processors from being filled.
 */
export interface AttemptDelays {
  /** Counts a failed attempt of an address. @returns how long its answer must wait, in ms. */
  failed(peer: string): number;
}

/** An agent that has just been given a new token may have sent a few calls with the old one. */
const FREE_ATTEMPTS = 5;
const FIRST_DELAY_MS = 50;
const MOST_DELAY_MS = 2_000;
/** After so long without another one, they are forgotten. */
const FORGET_MS = 60_000;
const MOST_PEERS = 4_096;

export function createAttemptDelays(now: () => number = performance.now.bind(performance)): AttemptDelays {
  /** The one that failed last comes last. */
  const peers = new Map<string, { count: number; at: number }>();

  return {
    failed: (peer) => {
      const at = now();
      const known = peers.get(peer);
      const count = known && at - known.at < FORGET_MS ? known.count + 1 : 1;
      peers.delete(peer);
      peers.set(peer, { count, at });
      for (const [oldest, each] of peers) {
        if (peers.size <= MOST_PEERS && at - each.at < FORGET_MS) break;
        peers.delete(oldest);
      }
      const over = count - FREE_ATTEMPTS;
      return over <= 0 ? 0 : Math.min(MOST_DELAY_MS, FIRST_DELAY_MS * 2 ** (over - 1));
    },
  };
}
