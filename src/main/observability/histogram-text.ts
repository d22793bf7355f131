import type { Times } from "../../protocol/threads/time-tally.js";

interface Histogram {
  readonly name: string;
  readonly help: string;
  /** The upper bounds of its buckets, in seconds. */
  readonly bounds: readonly number[];
}

/** One series: its labels as they are written, as `method="GetImage",pool="tank"`. */
interface LabelledTimes {
  readonly labels: string;
  readonly times: Times;
}

/** A histogram of seconds in the text exposition format, for times that were counted elsewhere. */
export function histogramText({ name, help, bounds }: Histogram, series: Iterable<LabelledTimes>): string {
  const lines = [`# HELP ${name} ${help}`, `# TYPE ${name} histogram`];
  for (const { labels, times } of series) {
    let total = 0;
    for (const [index, count] of times.counts.entries()) {
      total += count;
      lines.push(`${name}_bucket{le="${bounds[index] ?? "+Inf"}",${labels}} ${total}`);
    }
    lines.push(`${name}_sum{${labels}} ${times.sum}`, `${name}_count{${labels}} ${total}`);
  }
  return `${lines.join("\n")}\n`;
}

/** Labels as a series has them. The values are words of ours, and names of pools: none needs escapes. */
export function labelsText(names: readonly string[], values: readonly string[]): string {
  return names.map((name, index) => `${name}="${values[index] ?? ""}"`).join(",");
}
