import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

const SCRIPT = fileURLToPath(new URL("../../../scripts/prune-dist.mjs", import.meta.url));

let project = "";
const at = (path: string) => join(project, path);

function writeFiles(...paths: string[]): void {
  for (const path of paths) {
    mkdirSync(dirname(at(path)), { recursive: true });
    writeFileSync(at(path), "");
  }
}

/** Runs the script. @returns whether it kept what was compiled. */
function keepsDist(): boolean {
  const { status, stderr } = spawnSync(process.execPath, [SCRIPT], { cwd: project, encoding: "utf8" });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(existsSync(at("dist"))).toBe(existsSync(at(".tsbuildinfo")));
  return existsSync(at("dist"));
}

beforeEach(() => {
  project = mkdtempSync(join(tmpdir(), "imagestore-prune-"));
  writeFiles("src/cli.ts", "src/rooms/door.ts", ".tsbuildinfo");
  for (const path of ["dist/cli", "dist/rooms/door"]) writeFiles(`${path}.js`, `${path}.js.map`);
});
afterEach(() => rmSync(project, { recursive: true, force: true }));

describe("before a build", () => {
  test("dist stays when it is what src compiles to", () => expect(keepsDist()).toBe(true));

  test("dist goes when a source was deleted", () => {
    rmSync(at("src/rooms/door.ts"));
    expect(keepsDist()).toBe(false);
  });

  test("dist goes when a source was moved", () => {
    renameSync(at("src/rooms/door.ts"), at("src/door.ts"));
    expect(keepsDist()).toBe(false);
  });

  test("dist goes when an output is missing, which tsc would not notice", () => {
    rmSync(at("dist/cli.js"));
    expect(keepsDist()).toBe(false);
  });

  test("dist goes when it holds a file of another origin", () => {
    writeFiles("dist/rooms/old.js");
    expect(keepsDist()).toBe(false);
  });

  test("the page stays, with what was compiled and without it", () => {
    writeFiles("dist/ui/index.html", "dist/ui/assets/index-1.js");
    expect(keepsDist()).toBe(true);
    rmSync(at("src/rooms/door.ts"));
    const { status } = spawnSync(process.execPath, [SCRIPT], { cwd: project });
    expect(status).toBe(0);
    expect(readdirSync(at("dist"))).toEqual(["ui"]);
    expect(existsSync(at("dist/ui/assets/index-1.js"))).toBe(true);
    expect(existsSync(at(".tsbuildinfo"))).toBe(false);
  });

  test("tsc's record goes with a dist that is not there", () => {
    rmSync(at("dist"), { recursive: true });
    expect(keepsDist()).toBe(false);
  });
});
