/** A series of the text format of Prometheus, at one moment. */
export interface Series {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** All series of a scrape, by the name of their metric. */
export type Exposition = ReadonlyMap<string, readonly Series[]>;

const LINE = /^([a-z_][a-z0-9_]*)(?:\{(.*)\})? (\S+)$/gm;
const LABEL = /\b([a-z_]+)="((?:[^"\\]|\\.)*)"/g;

/** Reads the text format of Prometheus. */
export function readExposition(text: string): Exposition {
  const all = new Map<string, Series[]>();
  for (const [, name = "", labels = "", digits = ""] of text.matchAll(LINE)) {
    const series = {
      labels: Object.fromEntries(
        Array.from(labels.matchAll(LABEL), ([, key = "", value = ""]) => [key, value]),
      ),
      value: Number(digits),
    };
    const others = all.get(name);
    if (others) others.push(series);
    else all.set(name, [series]);
  }
  return all;
}

/** The upper bound of a bucket of a histogram; the last has none. */
export function boundOf({ labels: { le = "" } }: Series): number {
  return le === "+Inf" ? Number.POSITIVE_INFINITY : Number(le);
}

/**
 * The value below which `part` of what a histogram has counted stayed, supposing that it is spread evenly in its
 * bucket. `counts`: up to each bound. Undefined where nothing was counted.
 */
export function quantileOf(counts: ReadonlyMap<number, number>, part: number): number | undefined {
  const rising = [...counts].sort(([a], [b]) => a - b);
  const all = rising.at(-1)?.[1] ?? 0;
  if (all <= 0) return undefined;
  let [lower, below] = [0, 0];
  for (const [bound, count] of rising) {
    if (count >= all * part) {
      if (bound === Number.POSITIVE_INFINITY) return lower;
      return lower + ((bound - lower) * (all * part - below)) / Math.max(1, count - below);
    }
    [lower, below] = [bound, count];
  }
  return undefined;
}
