/** A table's heading and a line of it. */
const LEAST_LINES = 2;

/** The first lines of a section; the last one says how many more there are. */
function shortened(lines: readonly string[], most: number): readonly string[] {
  if (lines.length <= most) return lines;
  if (most <= LEAST_LINES) return lines.slice(0, most);
  return [...lines.slice(0, most - 1), `… and ${lines.length - most + 1} more`];
}

/** Shares out `room` lines: two for each as long as there are some, and the rest by turns. */
function shares(sections: readonly (readonly string[])[], room: number): readonly number[] {
  let left = room;
  const given = sections.map(({ length }) => {
    const least = Math.min(length, LEAST_LINES);
    const share = least <= left ? least : 0;
    left -= share;
    return share;
  });
  for (let hasGiven = true; left > 0 && hasGiven; ) {
    hasGiven = false;
    for (const [at, { length }] of sections.entries()) {
      const share = given[at] ?? 0;
      if (left === 0 || share === 0 || share >= length) continue;
      given[at] = share + 1;
      left--;
      hasGiven = true;
    }
  }
  return given;
}

/**
 * Sections below each other in at most `room` lines, the most important first. Long ones are cut, and the last
 * ones left out, where there is no room. An empty line is between them if there is room for it.
 */
export function fitSections(sections: readonly (readonly string[])[], room: number): string[] {
  const gaps = Math.max(0, sections.length - 1);
  const hasGaps = room - gaps >= sections.length * (LEAST_LINES + 1);
  const given = shares(sections, hasGaps ? room - gaps : room);
  return sections.flatMap((lines, at) => {
    const shown = shortened(lines, given[at] ?? 0);
    return hasGaps && at > 0 ? ["", ...shown] : shown;
  });
}
