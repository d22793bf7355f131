/** How long many things took: how many of each bucket that no smaller bucket has, and their sum in seconds. */
export interface Times {
  /** One for each upper bound, and a last one for what is above them all. */
  readonly counts: number[];
  sum: number;
}

export function createTimes(bounds: readonly number[]): Times {
  return { counts: new Array<number>(bounds.length + 1).fill(0), sum: 0 };
}

/** Counts one of them. `bounds`: the upper bounds of the buckets, in seconds, from the smallest up. */
export function addTime(times: Times, bounds: readonly number[], seconds: number): void {
  let bucket = 0;
  while (seconds > (bounds[bucket] ?? Number.POSITIVE_INFINITY)) bucket++;
  times.counts[bucket] = (times.counts[bucket] ?? 0) + 1;
  times.sum += seconds;
}

/** Times by what they are of, its words in the order of the labels of a metric. */
export interface TimesOf {
  readonly of: readonly string[];
  readonly times: Times;
}

/** Counts times by a few words each. There may be as many series as there are combinations of them. */
export interface TimeTally {
  observe(of: readonly string[], ms: number): void;
  list(): readonly TimesOf[];
}

export function createTimeTally(bounds: readonly number[]): TimeTally {
  const series = new Map<string, TimesOf>();
  return {
    observe: (of, ms) => {
      const key = of.join("\0");
      let found = series.get(key);
      if (!found) {
        found = { of, times: createTimes(bounds) };
        series.set(key, found);
      }
      addTime(found.times, bounds, ms / 1000);
    },
    list: () => [...series.values()],
  };
}
