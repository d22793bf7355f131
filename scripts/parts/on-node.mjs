// node scripts/parts/on-node.mjs MAJOR [--in SUITE] -- COMMAND [ARG]…
//
// Runs a command, in which `node` is that release, here or in the root of another release of Debian.
// What it needs for that is installed first, so that its time and its failures are those of the part.
import { spawnSync } from "node:child_process";
import { parseArgs } from "node:util";
import { inDebianRoot } from "./debian-root.mjs";
import { nodeFolder, pathWith } from "./nodes.mjs";

const { values, positionals } = parseArgs({ options: { in: { type: "string" } }, allowPositionals: true });
const [major, ...command] = positionals;
try {
  const folder = nodeFolder(Number(major));
  const [program = "", ...args] = values.in ? inDebianRoot(values.in, [folder], command) : command;
  const env = { ...process.env, PATH: pathWith(folder) };
  const { status, error } = spawnSync(program, args, { env, stdio: "inherit" });
  if (error) throw error;
  process.exitCode = status ?? 1;
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
}
