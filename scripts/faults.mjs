// npm run faults -- [--minutes N] [--seed N] [--driver embedded|openzfs] [--campaign NAME] [--count N]
//
// Runs the fault injection of test/faults for as long as one likes. docs/fault-injection.md says
// what it does.
import { spawnSync } from "node:child_process";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    minutes: { type: "string" },
    seed: { type: "string" },
    driver: { type: "string", default: "embedded" },
    campaign: { type: "string" },
    count: { type: "string" },
  },
});

const files = {
  embedded: ["faults", "test/faults/embedded.test.ts"],
  openzfs: ["openzfs", "test/openzfs/faults.test.ts"],
};
const chosen = Object.entries(files).find(([driver]) => driver === values.driver);
if (!chosen) {
  process.stderr.write(`faults: --driver must be embedded or openzfs, not ${values.driver}\n`);
  process.exit(2);
}
const [project = "", file = ""] = chosen[1];
const given = Object.entries({
  FAULTS_MINUTES: values.minutes ?? (values.count === undefined ? undefined : "600"),
  FAULTS_SEED: values.seed,
  FAULTS_CAMPAIGN: values.campaign,
  FAULTS_COUNT: values.count,
}).filter(([, value]) => value !== undefined);
const { status } = spawnSync("npx", ["vitest", "run", "--project", project, "--retry", "0", file], {
  env: { ...process.env, ...Object.fromEntries(given) },
  stdio: "inherit",
});
process.exit(status ?? 1);
