import { readFileSync } from "node:fs";

/** The shell block below a heading of the README. */
export function blockBelow(heading: string): string {
  const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
  const [, block] = readme.slice(readme.indexOf(`## ${heading}\n`)).split(/^```(?:sh)?\n/m);
  if (!block) throw new Error(`the README has no block below ${heading}`);
  return block;
}
