// Everything that must pass before a change lands: what `npm test` runs, on this machine's Node and
// one release of OpenZFS, whose emulated VM leaves a processor idle most of the time. Beside it the
// VMs of the other releases are built, those releases and the other ones of Node are tested, and
// what is left when `npm test` has ended runs by two. The shorter parts come last, so that both end
// at about the same time. Prints the time of each part at its end. All run what is compiled before
// them; `npm test` compiles again, and writes nothing then.
//
// CI_RESULTS=FILE  where it also writes what came of the parts, for `npm run matrix -- --from FILE`
import { writeFileSync } from "node:fs";
import { LIBRARY_PART, nodePart, openZfsPart, uwsPart, vmPart } from "./parts/parts.mjs";
import { runByTwo, runInTurn, tableOf } from "./parts/run-part.mjs";

const begin = performance.now();
const ends = await runInTurn([
  { name: "npm ci", argv: ["npm", "ci"], limitMinutes: 10 },
  { name: "lint", argv: ["npm", "run", "lint"], limitMinutes: 5 },
  { name: "types", argv: ["npm", "run", "types"], limitMinutes: 5 },
  { name: "build", argv: ["npm", "run", "build"], limitMinutes: 5 },
]);
// Without these nothing below can tell anything.
if (ends.every(({ ok }) => ok)) {
  ends.push(
    ...(await runByTwo([
      { name: "npm test", argv: ["npm", "test"], env: { LIBRARY_WAY: "elsewhere" }, limitMinutes: 85 },
      ...[vmPart("2.1.11"), vmPart("2.4.4")],
      ...[openZfsPart("2.1.11", "of the release"), openZfsPart("2.4.4", "of the release")],
      ...[nodePart(22), nodePart(24), LIBRARY_PART, uwsPart(24)],
    ])),
  );
}
process.stdout.write(`\n${tableOf(ends, (performance.now() - begin) / 1000)}`);
if (process.env.CI_RESULTS) writeFileSync(process.env.CI_RESULTS, JSON.stringify(ends));
process.exitCode = ends.every(({ ok }) => ok) ? 0 : 1;
