// Everything that must pass before a change lands: `npm test`, on this machine's Node and one release of OpenZFS, whose
// VM is built from the first moment, beside `npm ci`. The VMs of the other releases are built beside the tests, with the time
// that they leave. Then, two at a time, what depends on the release is tested on the other releases of OpenZFS and of Node.
// Prints the time of each part at its end. All run what is compiled before them; `npm test` compiles again, and writes nothing then.
//
// CI_RESULTS=FILE  where it also writes what came of the parts, for `npm run matrix -- --from FILE`
import { writeFileSync } from "node:fs";
import { LIBRARY_PART, nodePart, openZfsPart, TEST_PART, uwsPart, vmPart } from "./parts/parts.mjs";
import { runByTwo, runInTurn, tableOf } from "./parts/run-part.mjs";

const begin = performance.now();
// It needs nothing that npm installs. The tests wait for it, by its lock, and would make it themselves if it failed.
const firstVm = runInTurn([vmPart("2.3.2", "at once")]);
const ends = await runInTurn([
  { name: "npm ci", argv: ["npm", "ci"], limitMinutes: 10 },
  { name: "lint", argv: ["npm", "run", "lint"], limitMinutes: 5 },
  { name: "types", argv: ["npm", "run", "types"], limitMinutes: 5 },
  { name: "build", argv: ["npm", "run", "build"], limitMinutes: 5 },
]);
// Without these nothing below can tell anything.
if (ends.every(({ ok }) => ok)) {
  const [vms, tests] = await Promise.all([
    firstVm.then(() => runInTurn([vmPart("2.1.11", "beside"), vmPart("2.4.4", "beside")])),
    runInTurn([TEST_PART]),
  ]);
  // One in a VM beside one on Node as long as there are both: it leaves a processor idle now and then.
  const others = await runByTwo([
    ...[openZfsPart("2.1.11", "of the release"), nodePart(24, "of the release")],
    ...[openZfsPart("2.4.4", "of the release"), LIBRARY_PART, nodePart(22, "between"), uwsPart(24)],
  ]);
  ends.push(...vms, ...tests, ...others);
}
ends.push(...(await firstVm));
process.stdout.write(`\n${tableOf(ends, (performance.now() - begin) / 1000)}`);
if (process.env.CI_RESULTS) writeFileSync(process.env.CI_RESULTS, JSON.stringify(ends));
process.exitCode = ends.every(({ ok }) => ok) ? 0 : 1;
