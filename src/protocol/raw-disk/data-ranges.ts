/** A part of a file that may hold data, in bytes: from `start` up to, not including, `end`. */
export interface DataRange {
  readonly start: number;
  readonly end: number;
}

/** Ranges that are so close are given as one: to read zeros costs less than to begin anew behind them. */
const JOINED_BYTES = 1024 * 1024;

/** Gathers ranges that are given in ascending order, and joins those that are close. */
export function createRangeList() {
  const ranges: { start: number; end: number }[] = [];
  return {
    /** An empty range is none. */
    add(start: number, end: number): void {
      const last = ranges.at(-1);
      if (end <= start) return;
      if (last && start - last.end < JOINED_BYTES) last.end = end;
      else ranges.push({ start, end });
    },
    get ranges(): readonly DataRange[] {
      return ranges;
    },
  };
}

/**
 * The places of the pieces of `pieceBytes` that touch any of `ranges` and begin below `length`.
 * `ranges`: ascending, may overlap.
 */
export function* piecesWithin(
  ranges: Iterable<DataRange>,
  length: number,
  pieceBytes: number,
): Generator<number> {
  /** The next piece that was not given yet. */
  let next = 0;
  for (const { start, end } of ranges) {
    next = Math.max(next, Math.floor(start / pieceBytes) * pieceBytes);
    for (; next < Math.min(end, length); next += pieceBytes) yield next;
  }
}

/** The ranges of two files together, ascending. */
export function mergeRanges(a: readonly DataRange[], b: readonly DataRange[]): DataRange[] {
  return [...a, ...b].sort((one, other) => one.start - other.start);
}

/** What of ranges is at `start` or behind it. */
export function rangesFrom(start: number, ranges: readonly DataRange[]): DataRange[] {
  return ranges
    .filter(({ end }) => end > start)
    .map((range) => ({ start: Math.max(start, range.start), end: range.end }));
}
