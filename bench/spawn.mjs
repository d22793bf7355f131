// @ts-check
import { runCommand, scriptOf } from "./lib/process.mjs";

const SIZES_MIB = [100, 1024];
const KINDS = /** @type {const} */ ({
  runner: "through the runner",
  direct: "by the process itself",
});

/** @type {import("./run.mjs").Bench} */
export default {
  title: "commands a second, eight at a time, by the memory of the process that starts them",
  run: async ({ settings, add, compare, say }) => {
    for (let run = 0; run < settings.runs; run++) {
      for (const mib of SIZES_MIB) {
        for (const [kind, name] of Object.entries(KINDS)) {
          const argv = [
            process.execPath,
            scriptOf("spawner.mjs"),
            kind,
            String(mib),
            String(settings.seconds),
          ];
          const report = JSON.parse(await runCommand(argv));
          const label = `${name}, ${mib} MiB`;
          add("commands", label, "commands/s", report.perSecond);
          add("memory", `${label}: RSS`, "MiB", report.rssMib);
          say(`run ${run + 1}: ${label}: ${Math.round(report.perSecond)} commands/s`);
        }
      }
    }
    const label = (/** @type {keyof typeof KINDS} */ kind, /** @type {number} */ mib) =>
      `${KINDS[kind]}, ${mib} MiB`;
    compare({
      label: "the runner at 1024 MiB to itself at 100 MiB",
      of: label("runner", 1024),
      to: label("runner", 100),
      atLeast: 0.8,
    });
    compare({
      label: "the process itself at 1024 MiB to itself at 100 MiB",
      of: label("direct", 1024),
      to: label("direct", 100),
    });
    compare({
      label: "the runner to the process itself, at 1024 MiB",
      of: label("runner", 1024),
      to: label("direct", 1024),
    });
  },
};
