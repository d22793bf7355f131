// docs/compatibility.md, made of what the matrix of tests came to.

/**
 * @typedef {object} PartResult
 * @property {string} date
 * @property {string} commit - that it ran at
 * @property {boolean} ok
 * @property {string} [why] - it failed; empty if it did not
 * @property {number} seconds
 * @property {string} [node] - its whole version
 * @property {string} [uws] - the build of uWebSockets.js that loads there, or "none"
 * @property {Record<string, import("./tally-reporter.mjs").Tally>} tallies
 * @property {readonly string[]} [uncaught] - errors that no test caught
 *
 * @typedef {object} Results
 * @property {Record<string, PartResult>} parts - by their names
 * @property {import("../test-install.mjs").Installed[]} installs
 * @property {readonly { suite: string, transport: string, steps: readonly string[] }[]} [debs]
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

/** What served HTTP. @param {PartResult} result */
function transport({ uws = "not told" }) {
  return uws === "none" ? "node:http" : uws;
}

/**
 * A row for each part whose name begins so.
 * @param {Results} results @param {RegExp} name @param {readonly string[]} projects
 */
function rowsOf({ parts }, name, projects) {
  return Object.entries(parts)
    .filter(([key]) => name.test(key))
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([key, result]) => [
      /^OpenZFS (.*)/.exec(key)?.[1] ?? result.node ?? key.replace(/^Node /, ""),
      transport(result),
      ...projects.map((project) => cell(result.tallies[project])),
      `${result.date}, ${result.commit}`,
    ]);
}

/** What came of backups to each store. @param {Results} results */
function engineTable({ parts }) {
  const rows = Object.entries(parts).flatMap(([key, { tallies, date, commit }]) => {
    const [, engine] = /^backups to (.*)/.exec(key) ?? [];
    return engine === undefined ? [] : [[engine, cell(tallies.embedded), `${date}, ${commit}`]];
  });
  return table(["store", "test/embedded", "run on"], rows);
}

/** A line for each part that failed and each case that failed in it. @param {Results} results */
function failuresOf({ parts }) {
  const lines = Object.entries(parts).flatMap(([name, { ok, why = "not told", tallies, uncaught = [] }]) => {
    const cases = [...Object.values(tallies).flatMap(({ failures = [] }) => failures), ...uncaught];
    if (cases.length > 0) return cases.map((text) => `- ${name}: ${text}`);
    return ok ? [] : [`- ${name}: ${why}`];
  });
  return lines.length === 0 ? "Nothing failed in these runs." : lines.join("\n");
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

${table(["OpenZFS", "uWebSockets.js", "conformance, uWebSockets.js", "conformance, node:http", "test/openzfs", "run on"], rowsOf(results, /^OpenZFS /, ofOpenZfs))}

| | 2.1 | 2.2 | 2.3 | 2.4 |
| --- | --- | --- | --- | --- |
| a held snapshot is told by | \`userrefs\` | \`userrefs\` | zfs itself from 2.3.3 on (Debian: 2.3.2) | zfs itself |
| whose kstats they are is told by | their history, which follows \`zpool sync\` | the kstat \`guid\` | the kstat \`guid\` | the kstat \`guid\` |

## Node

On Debian 12, whose C library is 2.36: a build of uWebSockets.js loads on Node 20 alone. The SQLite is the package
sqlite3 wherever its binary is there.

${table(["Node", "served by", "unit", "conformance", "test/embedded", "run on"], rowsOf(results, /^Node \d+$/, ofNode))}

In a root of Debian 13, whose C library is 2.41: a build loads on all of them. Only what serves HTTP is tried there.

${table(["Node", "served by", "test/unit/main/http", "conformance", "run on"], rowsOf(results, /^Node \d+ in/, ["unit", "conformance-embedded"]))}

## Object stores

Backups of pools in folders, on Node of this machine. [backups.md](backups.md#stores) tells which releases they are.

${engineTable(results)}

## Failures

${failuresOf(results)}

## npm

\`npm install --global\` of the package, by an ordinary user with an empty home on Debian 12; then \`imagestore serve\`,
one call, and a stop in order.

${table(
  ["package", "Node", "npm", "installed", "served", "transport", "SQLite", "size, MiB", "remark"],
  results.installs.map(
    ({ package: made, node, npm, installed, served, transport = "", sqlite = "", mib = "", reason = "" }) => [
      `\`${made}\``,
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

## Debian

\`npm run test:deb\` in a root of each release that has the smallest set of its packages, with the Node that is in the
package: install, serve, upgrade, remove, purge.

${table(
  ["release", "transport", "steps that passed"],
  (results.debs ?? []).map(({ suite, transport, steps }) => [suite, transport, String(steps.length)]),
)}
`;
}
