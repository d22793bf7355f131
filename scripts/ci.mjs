// Everything that must pass before a change lands: `npm test`, on this machine's Node and one release of OpenZFS, whose
// VM it builds before its first test. Meanwhile the VMs of the other releases are built, with the time that it leaves. Then,
// two at a time, what depends on the release is tested on the other releases of OpenZFS and of Node. Prints the time of each
// part at its end. All run what is compiled before them; `npm test` compiles again, and writes nothing then.
//
// CI_RESULTS=FILE  where it also writes what came of the parts, for `npm run matrix -- --from FILE`
import { writeFileSync } from "node:fs";
import { LIBRARY_PART, nodePart, openZfsPart, TEST_PART, uwsPart, vmPart } from "./parts/parts.mjs";
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
  const [vms, tests] = await Promise.all([
    runInTurn([vmPart("2.1.11"), vmPart("2.4.4")]),
    runInTurn([TEST_PART]),
  ]);
  // One in a VM beside one on Node as long as there are both: it leaves a processor idle now and then.
  const others = await runByTwo([
    ...[openZfsPart("2.1.11", "of the release"), nodePart(24, "of the release")],
    ...[openZfsPart("2.4.4", "of the release"), LIBRARY_PART, nodePart(22, "between"), uwsPart(24)],
  ]);
  ends.push(...vms, ...tests, ...others);
}
process.stdout.write(`\n${tableOf(ends, (performance.now() - begin) / 1000)}`);
if (process.env.CI_RESULTS) writeFileSync(process.env.CI_RESULTS, JSON.stringify(ends));
process.exitCode = ends.every(({ ok }) => ok) ? 0 : 1;
