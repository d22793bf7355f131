// Everything that must pass before a change lands. On one side what `npm test` runs, on this machine's
// Node and one release of OpenZFS, whose emulated VM leaves a processor idle most of the time. Beside
// it the VMs of the other releases are built, the other releases of Node are tested, and then those
// of OpenZFS. Prints the time of each part at its end. Both sides run what is compiled before them;
// `npm test` compiles again, and writes nothing then.
//
// CI_RESULTS=FILE  where it also writes what came of the parts, for `npm run matrix -- --from FILE`
import { writeFileSync } from "node:fs";
import { LIBRARY_PART, nodePart, openZfsPart, uwsPart, vmPart } from "./parts/parts.mjs";
import { runInTurn, tableOf } from "./parts/run-part.mjs";

const begin = performance.now();
const ends = await runInTurn([
  { name: "npm ci", argv: ["npm", "ci"], limitMinutes: 10 },
  { name: "lint", argv: ["npm", "run", "lint"], limitMinutes: 5 },
  { name: "types", argv: ["npm", "run", "types"], limitMinutes: 5 },
  { name: "build", argv: ["npm", "run", "build"], limitMinutes: 5 },
]);
// Without these nothing below can tell anything.
if (ends.every(({ ok }) => ok)) {
  const sides = await Promise.all([
    runInTurn([
      { name: "npm test", argv: ["npm", "test"], env: { LIBRARY_WAY: "elsewhere" }, limitMinutes: 85 },
    ]),
    runInTurn([
      ...[vmPart("2.1.11"), vmPart("2.4.4"), nodePart(22), nodePart(24), uwsPart(24), LIBRARY_PART],
      ...[openZfsPart("2.1.11", "of the release"), openZfsPart("2.4.4", "of the release")],
    ]),
  ]);
  ends.push(...sides.flat());
}
process.stdout.write(`\n${tableOf(ends, (performance.now() - begin) / 1000)}`);
if (process.env.CI_RESULTS) writeFileSync(process.env.CI_RESULTS, JSON.stringify(ends));
process.exitCode = ends.every(({ ok }) => ok) ? 0 : 1;
