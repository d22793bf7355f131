// npm run fuzz -- [--transport uws|node|both] [--requests N] [--seed N] [--first N]
//
// Sends N random requests by each transport to a daemon on an embedded pool (test/fuzz). The seed is
// printed, and repeats a run; --first begins with a later case, so that --first C --requests 1 sends
// case C alone.
import { spawnSync } from "node:child_process";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    transport: { type: "string", default: "both" },
    requests: { type: "string", default: "100000" },
    seed: { type: "string" },
    first: { type: "string" },
  },
});
if (!["uws", "node", "both"].includes(values.transport)) {
  process.stderr.write(`fuzz: --transport must be uws, node or both, not ${values.transport}\n`);
  process.exit(2);
}
const given = Object.entries({
  FUZZ_TRANSPORT: values.transport,
  FUZZ_REQUESTS: values.requests,
  FUZZ_SEED: values.seed,
  FUZZ_FIRST: values.first,
}).filter(([, value]) => value !== undefined);
const { status } = spawnSync("npx", ["vitest", "run", "--project", "fuzz", "--retry", "0"], {
  env: { ...process.env, ...Object.fromEntries(given) },
  stdio: "inherit",
});
process.exit(status ?? 1);
