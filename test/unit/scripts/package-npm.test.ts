import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bundledPackages, isBundledFile, manifestInBundle } from "../../../scripts/bundle/bundle.mjs";
import { ROOT } from "../../support/source-tree.js";

const UWS_OLDER = "node_modules/@trufflesuite/uws-js-unofficial";
const lock: { packages: Record<string, { dev?: boolean; dependencies?: Record<string, string> }> } =
  JSON.parse(readFileSync(join(ROOT, "npm-shrinkwrap.json"), "utf8"));
const isInstalled = (path: string) => existsSync(join(ROOT, path, "package.json"));

describe("the packages in a bundle", () => {
  const all = bundledPackages(lock.packages, isInstalled);

  test("are all that the program names, and none that only builds, tests or installs", () => {
    const { dependencies } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
    expect(all).toEqual(
      expect.arrayContaining(Object.keys(dependencies).map((name) => `node_modules/${name}`)),
    );
    expect(all).toContain(UWS_OLDER);
    // npm leaves sqlite3 out where it can't be compiled, with what it needs.
    expect(all.includes("node_modules/bindings")).toBe(isInstalled("node_modules/sqlite3"));
    for (const name of ["vitest", "node-gyp", "prebuild-install", "autocannon", "bufferutil"])
      expect(all).not.toContain(`node_modules/${name}`);
    expect(all.filter((path) => lock.packages[path]?.dev)).toEqual([]);
  });

  test("are found as Node finds them: the nearest one first", () => {
    const packages = {
      "": { dependencies: { a: "1" } },
      "node_modules/a": { dependencies: { b: "2", c: "1" }, optionalDependencies: { d: "1" } },
      "node_modules/a/node_modules/b": {},
      "node_modules/b": {},
      "node_modules/c": { dependencies: { b: "1" } },
      "node_modules/d": {},
    };
    expect(bundledPackages(packages, (path) => path !== "node_modules/d")).toEqual([
      "node_modules/a",
      "node_modules/a/node_modules/b",
      "node_modules/b",
      "node_modules/c",
    ]);
  });

  test("name nothing that npm would fetch or leave out, and no script that it would run", () => {
    const manifest = {
      name: "a",
      scripts: { install: "node-gyp rebuild" },
      gypfile: true,
      files: ["lib"],
      dependencies: { b: "^2" },
      optionalDependencies: { c: "^1", d: "^1" },
    };
    const bundled = ["node_modules/a", "node_modules/a/node_modules/b", "node_modules/c"];
    expect(manifestInBundle("node_modules/a", manifest, bundled)).toEqual({
      name: "a",
      dependencies: { b: "^2", c: "^1" },
    });
  });
});

test.each([
  ["node_modules/@btc-vision/uwebsockets.js", "uws_linux_x64_137.node", true],
  ["node_modules/@btc-vision/uwebsockets.js", "uws_linux_arm64_137.node", false],
  ["node_modules/@btc-vision/uwebsockets.js", "uws_darwin_x64_137.node", false],
  [UWS_OLDER, "binaries/uws_linux_x64_115.node", true],
  [UWS_OLDER, "binaries/uws_linux_x64_108.node", false],
  [UWS_OLDER, "dist", false],
  ["node_modules/sqlite3", "build/Release/node_sqlite3.node", true],
  ["node_modules/sqlite3", "deps", false],
  ["node_modules/koffi", "src/koffi/index.cjs", true],
  ["node_modules/koffi", "src/koffi/src", false],
  ["node_modules/koffi", "vendor", false],
  ["node_modules/koffi", "cnoke.cjs", false],
  ["node_modules/@koromix/koffi-linux-x64", "linux_x64/koffi.node", true],
  ["node_modules/@koromix/koffi-linux-arm64", "linux_arm64/koffi.node", false],
  ["node_modules/zod", "index.d.cts", false],
  ["node_modules/zod", "index.js", true],
  ["node_modules/zod", "README.md", false],
  ["node_modules/zod", "LICENSE.md", true],
  ["node_modules/pino", ".github", false],
  ["node_modules/pino", "lib/tests", true],
])("a bundle for Linux on x64 has of %s the file %s: %s", (path, inner, expected) => {
  expect(isBundledFile(path, inner, { platform: "linux", arch: "x64" })).toBe(expected);
});

test.each([
  ["137", true],
  ["115", false],
  ["141", false],
])("a package for Node's ABI 137 alone has the native file for %s: %s", (abi, expected) => {
  const [newer, inner] = ["node_modules/@btc-vision/uwebsockets.js", `uws_linux_x64_${abi}.node`];
  expect(isBundledFile(newer, inner, { platform: "linux", arch: "x64", abi: "137" })).toBe(expected);
});

const hasSqlite = existsSync(join(ROOT, "node_modules/sqlite3/build/Release/node_sqlite3.node"));

describe.skipIf(!hasSqlite)(`a bundle${hasSqlite ? "" : " (skipped: sqlite3 has no binary here)"}`, () => {
  let folder = "";
  let files: string[] = [];
  let manifest: Record<string, unknown> = {};
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "imagestore-bundle-"));
    const argv = [join(ROOT, "scripts/package-npm.mjs"), "--out", folder, "--ignore-scripts"];
    const made = spawnSync(process.execPath, argv, { encoding: "utf8" });
    expect(made).toMatchObject({ status: 0, stderr: "" });
    const archive = made.stdout.trim();
    files = spawnSync("tar", ["-tzf", archive], { encoding: "utf8" }).stdout.trim().split("\n");
    manifest = JSON.parse(
      spawnSync("tar", ["-xzOf", archive, "package/package.json"], { encoding: "utf8" }).stdout,
    );
  }, 300_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test("is for this platform, names exact versions, and has no script", () => {
    expect(manifest).toMatchObject({ os: [process.platform], cpu: [process.arch] });
    const { dependencies, bundleDependencies } = manifest;
    expect(Object.keys(dependencies ?? {})).toEqual(bundleDependencies);
    for (const version of Object.values(dependencies ?? {})) expect(version).toMatch(/^\d/);
    expect(manifest).not.toHaveProperty("scripts");
    expect(manifest).not.toHaveProperty("optionalDependencies");
  });

  test("holds the program and its packages, with native files for this platform alone", () => {
    expect(files).toContain("package/dist/main/cli.js");
    expect(files).toContain("package/node_modules/sqlite3/build/Release/node_sqlite3.node");
    expect(files).toContain("package/node_modules/pino/package.json");
    expect(files).not.toContain("package/npm-shrinkwrap.json");
    const native = files.filter((path) => /uws_.*\.node$/.test(path));
    expect(native.length).toBeGreaterThan(1);
    expect(native.filter((path) => !path.includes(`uws_${process.platform}_${process.arch}_`))).toEqual([]);
  });
});
