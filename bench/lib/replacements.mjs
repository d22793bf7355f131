// @ts-check
import { fileURLToPath } from "node:url";

/**
 * A module of the daemon that a bench replaces. The product needs no switch for it.
 * @typedef {object} Replacement
 * @property {string} module the compiled module, relative to `compiled`
 * @property {string[]} names the exported functions that are replaced; the module keeps its other exports
 * @property {string} by the script in this folder that exports functions of these names
 */

/** @satisfies {Record<string, Replacement>} */
export const REPLACEMENTS = {
  tally: {
    module: "main/observability/call-tally.js",
    names: ["createCallTally"],
    by: "prom-call-tally.mjs",
  },
};

/** The command of which a module can be replaced: in `dist` they are joined. */
export const MODULES_CLI = fileURLToPath(new URL("../../compiled/main/cli.js", import.meta.url));

/** @param {string} name @returns {Replacement | undefined} */
export function findReplacement(name) {
  return Object.entries(REPLACEMENTS).find(([key]) => key === name)?.[1];
}

/** What a daemon writes to stderr when it loads a replacement. @param {Replacement} replacement */
export const replacedText = ({ module }) => `replaced ${module}\n`;

/**
 * The flags of node that start a daemon with one module replaced. The name "" replaces nothing but loads the
 * hooks all the same, so that the daemons differ in nothing else.
 * @param {keyof typeof REPLACEMENTS | ""} name
 */
export function replacingFlags(name) {
  return ["--import", new URL(`replace-module.mjs?${name}`, import.meta.url).href];
}
