// node scripts/parts/on-engine.mjs ENGINE COMMAND [ARG]…
//
// Runs a command if the packages of an object store of test/engines are there. Otherwise it tells which
// are missing, and ends well: what nobody has installed has not failed.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const [engine = "", program = "", ...args] = process.argv.slice(2);
const script = fileURLToPath(new URL(`../../test/engines/${engine}.sh`, import.meta.url));
const check = spawnSync(script, ["--check"], { encoding: "utf8" });
if (check.error) throw check.error;
if (check.status === 0) {
  const { status, error } = spawnSync(program, args, { stdio: "inherit" });
  if (error) throw error;
  process.exitCode = status ?? 1;
} else process.stdout.write(`nothing is tried on ${engine}: ${check.stderr.trim()}\n`);
