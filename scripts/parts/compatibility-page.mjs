// docs/compatibility.md, made of what the matrix of tests came to.

/**
 * @typedef {object} PartResult
 * @property {string} date
 * @property {string} commit - that it ran at
 * @property {boolean} ok
 * @property {number} seconds
 * @property {Record<string, import("./tally-reporter.mjs").Tally>} tallies
 *
 * @typedef {object} Results
 * @property {Record<string, PartResult>} parts - by their names
 * @property {import("../test-install.mjs").Installed[]} installs
 */

/** @param {import("./tally-reporter.mjs").Tally | undefined} tally */
function cell(tally) {
  if (!tally) return "not run";
  const { passed, failed, skipped } = tally;
  return [
    `${passed} passed`,
    ...(failed > 0 ? [`**${failed} failed**`] : []),
    ...(skipped > 0 ? [`${skipped} skipped`] : []),
  ].join(", ");
}

/** @param {readonly string[]} heading @param {readonly (readonly string[])[]} rows */
function table(heading, rows) {
  const line = (/** @type {readonly string[]} */ cells) => `| ${cells.join(" | ")} |`;
  return [line(heading), line(heading.map(() => "---")), ...rows.map(line)].join("\n");
}

/**
 * A row for each part whose name begins so.
 * @param {Results} results @param {RegExp} name @param {readonly string[]} projects
 */
function rowsOf({ parts }, name, projects) {
  return Object.entries(parts)
    .filter(([key]) => name.test(key))
    .map(([key, { date, commit, tallies }]) => [
      key.replace(/^(?:OpenZFS|Node) /, ""),
      ...projects.map((project) => cell(tallies[project])),
      `${date}, ${commit}`,
    ]);
}

/** @param {Results} results */
export function pageOf(results) {
  const ofOpenZfs = ["conformance-uws", "conformance-node", "openzfs"];
  const ofNode = ["unit", "conformance-embedded", "embedded"];
  return `# What works with what

This page is written by \`npm run matrix\`. A number is of test cases; what is skipped prints its reason in the run.

## OpenZFS

Each release is Debian's own, in a VM with a kernel that it supports (test/openzfs-vm). No suite of Debian has 2.2, so it
is not tested.

${table(["OpenZFS", "conformance, uWebSockets.js", "conformance, node:http", "test/openzfs", "run on"], rowsOf(results, /^OpenZFS /, ofOpenZfs))}

| | 2.1 | 2.2 | 2.3 | 2.4 |
| --- | --- | --- | --- | --- |
| a held snapshot is told by | \`userrefs\` | \`userrefs\` | zfs itself from 2.3.3 on (Debian: 2.3.2) | zfs itself |
| whose kstats they are is told by | their history, which follows \`zpool sync\` | the kstat \`guid\` | the kstat \`guid\` | the kstat \`guid\` |

## Node

On Debian 12, whose C library is 2.36: uWebSockets.js on Node 20, node:http on the others. The SQLite is the package
sqlite3 wherever its binary is there.

${table(["Node", "unit", "conformance", "test/embedded", "run on"], rowsOf(results, /^Node \d+$/, ofNode))}

In a root of Debian 13, whose C library is 2.41: uWebSockets.js on all of them. Only what serves HTTP is tried there.

${table(["Node", "test/unit/main/http", "conformance", "run on"], rowsOf(results, /^Node \d+ in/, ["unit", "conformance-embedded"]))}

## npm

\`npm install --global\` of the packed package, by an ordinary user with an empty home on Debian 12; then \`imagestore serve\`,
one call, and a stop in order.

${table(
  ["Node", "npm", "installed", "served", "transport", "SQLite", "size, MiB", "remark"],
  results.installs.map(
    ({ node, npm, installed, served, transport = "", sqlite = "", mib = "", reason = "" }) => [
      String(node),
      String(npm),
      installed ? "yes" : "no",
      served ? "yes" : "no",
      transport,
      sqlite,
      String(mib),
      reason,
    ],
  ),
)}
`;
}
