import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { nodeFlagsOf } from "../support/daemon.js";

const CHECKOUT = fileURLToPath(new URL("../..", import.meta.url));
const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");

/** The files that `npm pack` would put into the package, of what is built now. */
function packedFiles(): string[] {
  const argv = ["pack", "--dry-run", "--json", "--ignore-scripts"];
  const [{ files }] = JSON.parse(
    execFileSync("npm", argv, { cwd: CHECKOUT, encoding: "utf8", stdio: "pipe" }),
  );
  return files.map(({ path }: { path: string }) => path);
}

test("both ways to start it give Node the same flags", () => {
  const flags = nodeFlagsOf(join(CHECKOUT, "src/main/cli.ts"));
  expect(flags).toEqual(["--max-semi-space-size=16"]);
  expect(read("packaging/imagestore.sh")).toContain(`/bin/node ${flags.join(" ")} /`);
  expect(read("docs/operations.md")).toContain(`/usr/bin/node ${flags.join(" ")} /`);
});

describe("the package", () => {
  const files = packedFiles();

  test("holds the program, good configurations and pages, and nothing else", () => {
    const expected = [
      /^dist\/main\/cli\.js$/,
      /^dist\/workers\/(?:pool-actor|streaming|runner|sqlite-thread|(?:drivers\/embedded|streams)\/[a-z]+-process)\.js$/,
      /^dist\/chunks\/[\w-]+\.js$/,
      /^dist\/client\/[\w-]+\.js$/,
      /^dist\/client\/[\w-]+\.d\.ts$/,
      /^dist\/ui\/(?:index\.html|assets\/[\w-]+\.(?:js|css|svg))(?:\.(?:br|gz))?$/,
      /^dist\/ui\/licenses\.md$/,
      /^config\/(?:default|embedded|second)\.json$/,
      /^config\/samples\/[\w-]+\.json$/,
      /^examples\/[\w/-]+\.(?:md|mjs|py|sh|ts)$/,
      /^docs\/(?:decisions\/)?[\w-]+\.md$/,
      /^(?:README|CHANGELOG|SECURITY)\.md$/,
      /^LICENSE$/,
      /^package\.json$/,
      /^deploy\/prometheus\/imagestore\.rules\.yml$/,
      /^deploy\/grafana-dashboard\.json$/,
      /^npm-shrinkwrap\.json$/,
    ];
    expect(files.filter((file) => !expected.some((pattern) => pattern.test(file)))).toEqual([]);
    for (const pattern of expected)
      expect(
        files.some((file) => pattern.test(file)),
        `${pattern}`,
      ).toBe(true);
  });

  test("holds what its entries point at", () => {
    const { bin, exports, private: isPrivate } = JSON.parse(read("package.json"));
    const client = Object.values<string>(exports["./client"]).map((path) => path.replace("./", ""));
    expect(files).toEqual(
      expect.arrayContaining([...Object.values(bin), ...client, "dist/workers/pool-actor.js"]),
    );
    expect(isPrivate).toBeUndefined();
  });
});

test("docs/dependencies.md has a row for every dependency, with its version, and no other", () => {
  const { dependencies, optionalDependencies, devDependencies } = JSON.parse(read("package.json"));
  const locked = JSON.parse(read("npm-shrinkwrap.json")).packages;
  const expected = Object.keys({ ...dependencies, ...optionalDependencies, ...devDependencies });
  const rows = [...read("docs/dependencies.md").matchAll(/^\| `(\S+)`.*?\| .*? \| (\S+) \|/gm)];
  expect(rows.map(([, name, version]) => [name, version]).sort()).toEqual(
    expected.map((name) => [name, locked[`node_modules/${name}`].version]).sort(),
  );
});

test("no source needs an optional dependency with an install script: npm leaves it out where that fails", () => {
  const { optionalDependencies } = JSON.parse(read("package.json"));
  const locked = JSON.parse(read("npm-shrinkwrap.json")).packages;
  const built = Object.keys(optionalDependencies).filter(
    (name) => locked[`node_modules/${name}`].hasInstallScript,
  );
  expect(built).toEqual(["koffi", "sqlite3"]);
  const sources = ["src", "test", "bench", "scripts"].flatMap((folder) =>
    readdirSync(join(CHECKOUT, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => /\.m?[jt]s$/.test(name))
      .map((name) => `${folder}/${name}`),
  );
  expect(sources.length).toBeGreaterThan(100);
  const importing = sources.filter((path) => built.some((name) => read(path).includes(` from "${name}"`)));
  expect(importing).toEqual([]);
});
