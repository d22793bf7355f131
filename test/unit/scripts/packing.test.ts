import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ROOT } from "../../support/source-tree.js";

/** Runs a script of `scripts` in an empty folder. */
function run(script: string, env: NodeJS.ProcessEnv = {}): { status: number | null; stderr: string } {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-packing-"));
  try {
    const argv = [join(ROOT, "scripts", script)];
    const { status, stderr } = spawnSync(process.execPath, argv, { cwd: folder, encoding: "utf8", env });
    return { status, stderr };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test("npm pack is refused with what to run where the compiler is not installed", () => {
  expect(run("prepack.mjs")).toEqual({
    status: 1,
    stderr: "npm pack compiles src, and the compiler is not installed: run `npm ci` first\n",
  });
});

test("npm publish is refused unless the environment names the version", () => {
  const publish = (version: string) =>
    run("guard-publish.mjs", { npm_package_version: "1.2.3", IMAGESTORE_PUBLISH: version });
  expect(publish("1.2.3")).toEqual({ status: 0, stderr: "" });
  expect(publish("")).toEqual({
    status: 1,
    stderr: "to publish imagestore 1.2.3, set IMAGESTORE_PUBLISH=1.2.3\n",
  });
});
