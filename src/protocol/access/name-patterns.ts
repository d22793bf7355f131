/** A pattern has the components of a dataset's name; `*` stands for any part of one component. */
const PATTERN = /^[a-zA-Z0-9_.: *-]+(?:\/[a-zA-Z0-9_.: *-]+)*$/;

/** @returns what is wrong with a pattern, or undefined. */
export function namePatternProblem(pattern: string): string | undefined {
  return PATTERN.test(pattern)
    ? undefined
    : "must be the name of a dataset without its pool, such as guests/team-a-*";
}

/** Says of a component whether a part of a pattern matches it. */
type PartMatch = (component: string) => boolean;

function compilePart(pattern: string): PartMatch {
  const [first = "", ...others] = pattern.split("*");
  const last = others.pop();
  if (last === undefined) return (component) => component === pattern;
  return (component) => matchesParts(component, first, others, last);
}

function matchesParts(component: string, first: string, others: readonly string[], last: string): boolean {
  if (component.length < first.length + last.length) return false;
  if (!component.startsWith(first) || !component.endsWith(last)) return false;
  let at = first.length;
  const end = component.length - last.length;
  for (const part of others) {
    const found = component.indexOf(part, at);
    if (found < 0 || found + part.length > end) return false;
    at = found + part.length;
  }
  return true;
}

/** A pattern that is asked often. Names are given by componentsOf, without their pool. */
export interface CompiledPattern {
  /** As matchesName. */
  covers(components: readonly string[]): boolean;
  /** As isAbovePattern. */
  isBelow(components: readonly string[]): boolean;
}

export function compilePattern(pattern: string): CompiledPattern {
  const parts = pattern.split("/").map(compilePart);
  return {
    covers: (components) => parts.every((matches, at) => matches(components[at] ?? "")),
    isBelow: (components) =>
      components.length < parts.length && components.every((each, at) => parts[at]?.(each) ?? false),
  };
}

/** The components of a dataset's name, or of the name of a snapshot's dataset. */
export function componentsOf(name: string): string[] {
  return (name.split("@")[0] ?? "").split("/");
}

/**
 * Whether a pattern covers a dataset, or the dataset of a snapshot: it names it, or what it is below.
 * Both are without their pool: `guests/team-a-*` covers `guests/team-a-1/disk-0@s`.
 */
export function matchesName(pattern: string, name: string): boolean {
  return compilePattern(pattern).covers(componentsOf(name));
}

/** Whether a dataset may have below it what a pattern covers. */
export function isAbovePattern(name: string, pattern: string): boolean {
  return compilePattern(pattern).isBelow(componentsOf(name));
}

/** What follows the pool in the full name of a dataset or snapshot; "" of the pool itself and its snapshots. */
export function withoutPool(name: string): string {
  const slash = name.indexOf("/");
  return slash < 0 ? "" : name.slice(slash + 1);
}

/** Whether one of the patterns covers a dataset or snapshot, by its full name. None covers the pool itself. */
export function coversName(patterns: readonly string[], name: string): boolean {
  const relative = withoutPool(name);
  return relative !== "" && patterns.some((pattern) => matchesName(pattern, relative));
}
