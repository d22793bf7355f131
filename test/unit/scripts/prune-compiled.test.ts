import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

const SCRIPT = fileURLToPath(new URL("../../../scripts/prune-compiled.mjs", import.meta.url));

let project = "";
const at = (path: string) => join(project, path);

function writeFiles(...paths: string[]): void {
  for (const path of paths) {
    mkdirSync(dirname(at(path)), { recursive: true });
    writeFileSync(at(path), "");
  }
}

/** Runs the script. @returns whether it kept what was compiled. */
function keepsCompiled(): boolean {
  const { status, stderr } = spawnSync(process.execPath, [SCRIPT], { cwd: project, encoding: "utf8" });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(existsSync(at("compiled"))).toBe(existsSync(at(".tsbuildinfo")));
  return existsSync(at("compiled"));
}

beforeEach(() => {
  project = mkdtempSync(join(tmpdir(), "imagestore-prune-"));
  writeFiles("src/cli.ts", "src/rooms/door.ts", ".tsbuildinfo");
  for (const path of ["compiled/cli", "compiled/rooms/door"]) writeFiles(`${path}.js`, `${path}.js.map`);
});
afterEach(() => rmSync(project, { recursive: true, force: true }));

describe("before a build", () => {
  test("what was compiled stays when it is what src compiles to", () => expect(keepsCompiled()).toBe(true));

  test("what was compiled goes when a source was deleted", () => {
    rmSync(at("src/rooms/door.ts"));
    expect(keepsCompiled()).toBe(false);
  });

  test("what was compiled goes when a source was moved", () => {
    renameSync(at("src/rooms/door.ts"), at("src/door.ts"));
    expect(keepsCompiled()).toBe(false);
  });

  test("what was compiled goes when an output is missing, which tsc would not notice", () => {
    rmSync(at("compiled/cli.js"));
    expect(keepsCompiled()).toBe(false);
  });

  test("what was compiled goes when it holds a file of another origin", () => {
    writeFiles("compiled/rooms/old.js");
    expect(keepsCompiled()).toBe(false);
  });

  test("what was built of it stays, but for the client's files without a source", () => {
    writeFiles("src/client/client.ts", "compiled/client/client.js", "compiled/client/client.js.map");
    for (const name of ["client", "gone"]) writeFiles(`dist/client/${name}.d.ts`, `dist/client/${name}.js`);
    writeFiles("dist/ui/index.html", "dist/main/cli.js");
    expect(keepsCompiled()).toBe(true);
    rmSync(at("src/rooms/door.ts"));
    expect(keepsCompiled()).toBe(false);
    expect(readdirSync(at("dist")).sort()).toEqual(["client", "main", "ui"]);
    expect(readdirSync(at("dist/client")).sort()).toEqual(["client.d.ts", "client.js"]);
  });

  test("tsc's record goes with an output that is not there", () => {
    rmSync(at("compiled"), { recursive: true });
    expect(keepsCompiled()).toBe(false);
  });
});
