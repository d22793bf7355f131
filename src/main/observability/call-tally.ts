import { addTime, createTimes, type Times } from "../../protocol/threads/time-tally.js";
import type { CountedCall } from "./call-report.js";
import { histogramText, labelsText } from "./histogram-text.js";

/** The upper bounds of the histogram's buckets, in seconds. A last bucket, "+Inf", takes the rest. */
const BOUNDS: readonly number[] = [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30, 120, 600];
const SECONDS = {
  name: "imagestore_call_seconds",
  help: "Time from a parsed call to its outcome.",
  bounds: BOUNDS,
};

interface Series {
  readonly labels: { readonly method: string; readonly pool: string; readonly code: string };
  count: number;
}

/** The calls of one method on one pool. */
interface Tallied {
  readonly pool: string;
  readonly labels: string;
  readonly times: Times;
  readonly series: Series[];
}

/**
 * Counts calls between scrapes. prom-client could do all of this; this second implementation is
 * here only for speed. Its counter and histogram look up their labels at every call, and that took
 * about 5 % of the time of a small call when it was measured. A property test compares the text
 * with prom-client's.
 */
export interface CallTally {
  observe(call: CountedCall): void;
  /** How many calls there were of each method, pool and code. */
  series(): Iterable<Series>;
  /** The times of calls as a histogram by method and pool, in the text exposition format. */
  secondsText(): string;
}

export function createCallTally(): CallTally {
  const methods = new Map<string, Tallied[]>();
  /** All of them, in the order of their first calls. */
  const all: Tallied[] = [];

  function talliedOf(method: string, pool: string): Tallied {
    const ofMethod = methods.get(method) ?? [];
    // There are few pools, and mostly one.
    for (const each of ofMethod) if (each.pool === pool) return each;
    const labels = labelsText(["method", "pool"], [method, pool]);
    const added = { pool, labels, times: createTimes(BOUNDS), series: [] };
    methods.set(method, [...ofMethod, added]);
    all.push(added);
    return added;
  }

  return {
    observe: ({ method, pool, code, ms }) => {
      const { times, series } = talliedOf(method, pool);
      addTime(times, BOUNDS, ms / 1000);
      // There are few codes, and nearly all calls have the first one.
      for (const each of series) {
        if (each.labels.code !== code) continue;
        each.count++;
        return;
      }
      series.push({ labels: { method, pool, code }, count: 1 });
    },
    series: function* () {
      for (const { series } of all) yield* series;
    },
    secondsText: () => histogramText(SECONDS, all),
  };
}
