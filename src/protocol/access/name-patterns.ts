/** A pattern has the components of a dataset's name; `*` stands for any part of one component. */
const PATTERN = /^[a-zA-Z0-9_.: *-]+(?:\/[a-zA-Z0-9_.: *-]+)*$/;

/** @returns what is wrong with a pattern, or undefined. */
export function namePatternProblem(pattern: string): string | undefined {
  return PATTERN.test(pattern)
    ? undefined
    : "must be the name of a dataset without its pool, such as guests/team-a-*";
}

function matchesComponent(component: string, pattern: string): boolean {
  const [first = "", ...others] = pattern.split("*");
  const last = others.pop();
  if (last === undefined) return component === pattern;
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

const componentsOf = (name: string) => (name.split("@")[0] ?? "").split("/");

/**
 * Whether a pattern covers a dataset, or the dataset of a snapshot: it names it, or what it is below.
 * Both are without their pool: `guests/team-a-*` covers `guests/team-a-1/disk-0@s`.
 */
export function matchesName(pattern: string, name: string): boolean {
  const components = componentsOf(name);
  return pattern.split("/").every((part, at) => matchesComponent(components[at] ?? "", part));
}

/** Whether a dataset may have below it what a pattern covers. */
export function isAbovePattern(name: string, pattern: string): boolean {
  const parts = pattern.split("/");
  const components = componentsOf(name);
  return (
    components.length < parts.length &&
    components.every((each, at) => matchesComponent(each, parts[at] ?? ""))
  );
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
