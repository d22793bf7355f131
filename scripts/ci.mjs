// Everything that must pass before a change lands. First what `npm test` runs, on this machine's
// Node and one release of OpenZFS, while the VMs of the other releases are built. Then, side by
// side, the other releases of OpenZFS, and those of Node. Prints the time of each part at its end.
import { nodePart, openZfsPart, uwsPart, vmPart } from "./parts/parts.mjs";
import { runInTurn, tableOf } from "./parts/run-part.mjs";

const begin = performance.now();
const ends = await runInTurn([
  { name: "npm ci", argv: ["npm", "ci"], limitMinutes: 10 },
  { name: "lint", argv: ["npm", "run", "lint"], limitMinutes: 5 },
  { name: "types", argv: ["npm", "run", "types"], limitMinutes: 5 },
]);
// Without these nothing below can tell anything.
if (ends.every(({ ok }) => ok)) {
  const [tests, vms] = await Promise.all([
    runInTurn([{ name: "npm test", argv: ["npm", "test"], limitMinutes: 55 }]),
    runInTurn([vmPart("2.1.11"), vmPart("2.4.4")]),
  ]);
  const [ofOpenZfs, ofNode] = await Promise.all([
    runInTurn([openZfsPart("2.1.11", "of the release"), openZfsPart("2.4.4", "of the release")]),
    runInTurn([nodePart(22), nodePart(24), uwsPart(24)]),
  ]);
  ends.push(...tests, ...vms, ...ofOpenZfs, ...ofNode);
}
process.stdout.write(`\n${tableOf(ends, (performance.now() - begin) / 1000)}`);
process.exitCode = ends.every(({ ok }) => ok) ? 0 : 1;
