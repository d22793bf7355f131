/** Before `npm pack`: compiles src. Without the compiler it says what to run, and packs nothing. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

if (!existsSync("node_modules/typescript")) {
  process.stderr.write("npm pack compiles src, and the compiler is not installed: run `npm ci` first\n");
  process.exit(1);
}
process.exitCode = spawnSync("npm", ["run", "--silent", "build"], { stdio: ["ignore", 2, 2] }).status ?? 1;
