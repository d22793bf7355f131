// A reporter of vitest that writes what each project counted to the file TALLY_FILE, as
//   {"PROJECT": {"passed": N, "failed": N, "skipped": N, "ms": N}, …}
// `ms` is the time of its files, added up.
import { writeFileSync } from "node:fs";

/** @typedef {{ passed: number, failed: number, skipped: number, ms: number }} Tally */

export default class TallyReporter {
  /** @param {ReadonlyArray<import("vitest/node").TestModule>} modules */
  onTestRunEnd(modules) {
    const file = process.env.TALLY_FILE;
    if (!file) return;
    /** @type {Record<string, Tally>} */
    const tallies = {};
    for (const module of modules) {
      tallies[module.project.name] ??= { passed: 0, failed: 0, skipped: 0, ms: 0 };
      const tally = tallies[module.project.name];
      if (!tally) continue;
      const { duration, setupDuration, collectDuration } = module.diagnostic();
      tally.ms += duration + setupDuration + collectDuration;
      // A file that can't be collected, or whose hook fails, has a failure of its own.
      if (module.state() === "failed" && module.errors().length > 0) tally.failed++;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state === "passed" || state === "failed" || state === "skipped") tally[state]++;
      }
    }
    writeFileSync(file, JSON.stringify(tallies));
  }
}
