import { spawn, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test, vi } from "vitest";
import { pageOf, type Results } from "../../../scripts/parts/compatibility-page.mjs";
import { LIBRARY_PART, nodePart, openZfsPart, testParts, uwsPart } from "../../../scripts/parts/parts.mjs";
import { type PartEnd, runByTwo, runInTurn, tableOf } from "../../../scripts/parts/run-part.mjs";
import { tallyOf } from "../../../scripts/parts/tally-reporter.mjs";

const at = (path: string) => new URL(`../../../${path}`, import.meta.url);

const run = (...lines: string[]) => runWith(runInTurn, ...lines);

/** Runs shell lines as parts, quietly. */
async function runWith(
  runParts: typeof runInTurn,
  ...lines: string[]
): Promise<{ ends: PartEnd[]; output: string }> {
  let output = "";
  const write = vi.spyOn(process.stdout, "write").mockImplementation((chunk) => {
    output += String(chunk);
    return true;
  });
  const parts = lines.map((line, index) => ({
    name: `part ${index}`,
    argv: ["sh", "-c", line],
    limitMinutes: line.startsWith("sleep") ? 0.002 : 1,
  }));
  const ends = await runParts(parts).finally(() => write.mockRestore());
  return { ends, output };
}

describe("the parts of a check", () => {
  test("run one after another, each line with its name, and one that fails stops none behind it", async () => {
    const { ends, output } = await run("echo out; echo err >&2; exit 3", "echo second");
    expect(ends.map(({ ok, why }) => ({ ok, why }))).toEqual([
      { ok: false, why: "status 3" },
      { ok: true, why: "" },
    ]);
    expect(output.split("\n").sort()).toEqual(["", "[part 0] err", "[part 0] out", "[part 1] second"]);
  });

  test("run by two, and the next begins when one of them has ended", async () => {
    const told: string[] = [];
    const folder = mkdtempSync(join(tmpdir(), "imagestore-parts-"));
    const file = join(folder, "third");
    const { ends } = await runWith(
      (parts) => runByTwo(parts, ({ name }) => told.push(name)),
      `until [ -e '${file}' ]; do sleep 0.05; done`,
      "exit 3",
      `touch '${file}'; sleep 1`,
    );
    rmSync(folder, { recursive: true });
    expect(ends.map(({ name, why }) => [name, why])).toEqual([
      ["part 1", "status 3"],
      ["part 0", ""],
      ["part 2", ""],
    ]);
    expect(told).toEqual(["part 1", "part 0", "part 2"]);
  });

  test("that are not done in time are ended and have failed", async () => {
    const { ends } = await run("sleep 600");
    expect(ends).toMatchObject([{ ok: false, why: "not done in 0.002 min" }]);
  });

  test("end with a signal to their parent, which then starts no other and tells of none", async () => {
    const code = `
      import { runInTurn } from ${JSON.stringify(at("scripts/parts/run-part.mjs").href)};
      const part = (name, line) => ({ name, argv: ["sh", "-c", line], limitMinutes: 1 });
      await runInTurn([part("a", "echo begun; exec sleep 600"), part("b", "echo second")]);
      console.log("told");`;
    const child = spawn(process.execPath, ["--input-type=module", "--eval", code]);
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => {
      output += chunk.toString();
      if (output.includes("begun")) child.kill("SIGTERM");
    });
    expect(await new Promise((resolve) => child.once("close", resolve))).toBe(1);
    expect(output).toBe("[a] begun\n");
  });

  test("are told at the end with their times, what their projects counted, and which cases failed", async () => {
    const tally = { passed: 7, failed: 1, skipped: 2, ms: 61_000 };
    const cases = { failures: ["a.test.ts: adds: expected 1"], retried: ["b.test.ts: waits: timed out"] };
    const tallies = { unit: { ...tally, ...cases } };
    const ran = JSON.stringify({ node: "24.1.0", uws: "none", tallies, uncaught: ["read ECONNRESET"] });
    const { ends } = await run(`echo '${ran}' >"$TALLY_FILE"; exit 1`, "true");
    const timed = ends.map((end, index) => ({ ...end, seconds: 119.7 - index }));
    expect(tableOf(timed, 3_661)).toBe(
      [
        "part 0   2 min 00 s  FAILED: status 1",
        "  unit   1 min 01 s  7 passed, 1 failed, 2 skipped",
        "part 1   1 min 59 s  passed",
        "in all  61 min 01 s",
        "part 0:",
        "  failed: a.test.ts: adds: expected 1",
        "  not caught by a test: read ECONNRESET",
        "  passed when tried again: b.test.ts: waits: timed out\n",
      ].join("\n"),
    );
  });

  test("of a run for a change have each project of vitest", () => {
    const config = readFileSync(at("vitest.config.ts"), "utf8");
    const all = [...config.matchAll(/^ +name: "([\w-]+)",$/gm)].map(([, name]) => name);
    const named = testParts({})
      .flatMap(({ argv }) => argv)
      .filter((_word, index, words) => words[index - 1] === "--project");
    expect(all.length).toBeGreaterThan(5);
    expect(named.sort()).toEqual(all.sort());
  });

  test("are those of npm test, which is vitest where it is given arguments", () => {
    const argv = [fileURLToPath(at("scripts/test.mjs")), "--project", "none"];
    const { status, stderr } = spawnSync(process.execPath, argv, { encoding: "utf8", timeout: 60_000 });
    expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringContaining("No projects matched") });
  });

  test("name what they run, and install nothing before their turn", () => {
    expect(nodePart(22, "all").argv.slice(0, 4)).toEqual(["node", "scripts/parts/on-node.mjs", "22", "--"]);
    const between = nodePart(22, "between").argv;
    const named = between.filter((word) => word.startsWith("test/embedded/") && !word.includes("*"));
    expect(named).toContain("test/embedded/builtin-sqlite.test.ts");
    const embedded = readdirSync(at("test/embedded")).map((name) => `test/embedded/${name}`);
    expect(embedded).toEqual(expect.arrayContaining(named));
    expect(uwsPart(24)).toMatchObject({ env: { REQUIRE_UWS: "1" } });
    const onBookworm = { OPENZFS_VM_SUITE: "bookworm", REQUIRE_OPENZFS: "1" };
    expect(openZfsPart("2.1.11", "of the release").env).toEqual({ ...onBookworm, LONG_TESTS: "elsewhere" });
    const ofAll = { CONFORMANCE_NODE_ON: "openzfs", BACKUP_INCREMENTS: "30" };
    expect(openZfsPart("2.1.11", "all").env).toEqual({ ...onBookworm, ...ofAll });
  });
});

describe("a command on another release of Node", () => {
  /** Runs `node --version` on "release 77" with that cache. */
  function onNode77(cache: string, path: string) {
    const argv = [fileURLToPath(at("scripts/parts/on-node.mjs")), "77", "--", "node", "--version"];
    const env = { XDG_CACHE_HOME: cache, PATH: path };
    const { status, stdout, stderr } = spawnSync(process.execPath, argv, { env, encoding: "utf8" });
    return { status, stdout, stderr };
  }

  test("finds that release first, ends as the command does, and says why it can't be had", () => {
    const cache = mkdtempSync(join(tmpdir(), "imagestore-parts-"));
    try {
      expect(onNode77(cache, "/nowhere")).toEqual({
        status: 1,
        stdout: "",
        stderr: "Node 77 can't be installed: spawnSync npm ENOENT\n",
      });
      const name = `node-${process.platform}-${process.arch}`;
      const folder = join(cache, "imagestore/nodes/77/node_modules", name, "bin");
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, "node"), "#!/bin/sh\necho v77 $1; exit 5\n", { mode: 0o755 });
      expect(onNode77(cache, "/usr/bin:/bin")).toEqual({ status: 5, stdout: "v77 --version\n", stderr: "" });
    } finally {
      rmSync(cache, { recursive: true, force: true });
    }
  });
});

test("files of tests that the parts name are there", () => {
  const which = "of the release";
  const nodes = [nodePart(24, which), nodePart(22, "between")];
  const parts = [openZfsPart("2.4.4", which), ...nodes, uwsPart(24), LIBRARY_PART];
  parts.push(...testParts({ LONG_TESTS: "elsewhere" }));
  const files = parts.flatMap(({ argv }) => argv.filter((word) => word.startsWith("test/")));
  expect(files.length).toBeGreaterThan(6);
  expect(files.filter((file) => !existsSync(at(file.replace(/\/\*.*/, ""))))).toEqual([]);
});

test("a tally counts the cases of each project, a file whose hook failed, and who passed at the second try", () => {
  const module = (name: string, states: readonly string[], broken = false) => ({
    project: { name },
    relativeModuleId: "a.test.ts",
    diagnostic: () => ({ duration: 5.4, setupDuration: 1, collectDuration: 2 }),
    errors: () => (broken ? [{ message: "hook timed out\nat" }] : []),
    children: {
      allSuites: () => [],
      allTests: () =>
        states.map((state) => ({
          fullName: `is ${state}`,
          result: () => ({
            state: state === "flaky" ? "passed" : state,
            errors: state === "failed" || state === "flaky" ? [{ message: "expected 1\nto be 2" }] : [],
          }),
          diagnostic: () => ({ flaky: state === "flaky" }),
        })),
    },
  });
  const modules = [module("unit", ["passed", "failed", "skipped"]), module("unit", ["flaky"], true)];
  // biome-ignore lint/suspicious/noExplicitAny: a stand-in for what vitest makes
  expect(tallyOf(modules as any)).toEqual({
    unit: {
      passed: 2,
      failed: 2,
      skipped: 1,
      ms: 16,
      failures: ["a.test.ts: is failed: expected 1", "a.test.ts: hook timed out"],
      retried: ["a.test.ts: is flaky: expected 1"],
    },
  });
});

describe("docs/compatibility.md", () => {
  const tally = { passed: 9, failed: 0, skipped: 0, ms: 1, failures: [] };
  const result = (ok: boolean, node: string, uws: string, failures: readonly string[]) => ({
    date: "2026-11-28",
    commit: "abcdef0",
    ok,
    why: ok ? "" : "status 1",
    seconds: 1,
    node,
    uws,
    tallies: { unit: { ...tally, failed: failures.length, failures } },
  });

  test("has a row for each part with its transports, and a reason for each failure", () => {
    const results: Results = {
      parts: {
        "Node 20": result(true, "20.20.1", "@some/uws 1.2.3", []),
        "Node 22": result(false, "22.23.5", "none", ["a.test.ts: is slow: timed out"]),
        "Node 24": { ...result(false, "24.1.0", "none", []), uncaught: ["read ECONNRESET"] },
        "OpenZFS 2.1.11": {
          date: "2026-11-28",
          commit: "abcdef0",
          ok: false,
          why: "status 3",
          seconds: 1,
          tallies: {},
        },
      },
      installs: [],
    };
    const page = pageOf(results);
    expect(page).toContain("| 20.20.1 | @some/uws 1.2.3 | 9 passed | not run |");
    expect(page).toContain("| 22.23.5 | node:http | 9 passed, **1 failed** | not run |");
    expect(page).toContain(
      "- Node 22: a.test.ts: is slow: timed out\n- Node 24: read ECONNRESET\n- OpenZFS 2.1.11: status 3\n",
    );
  });

  test("is what its results make", () => {
    const results = at("docs/compatibility.json");
    // Before the first run of the matrix there is none.
    if (!existsSync(results)) return expect(existsSync(at("docs/compatibility.md"))).toBe(false);
    expect(readFileSync(at("docs/compatibility.md"), "utf8")).toBe(
      pageOf(JSON.parse(readFileSync(results, "utf8"))),
    );
  });
});
