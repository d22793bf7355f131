import { spawnSync } from "node:child_process";
import { closeSync, fstatSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { plainly } from "../../../../src/main/commands/terminal/paint.js";
import { prettyLine } from "../../../../src/main/observability/pretty-line.js";

const LOG = new URL("../../../../compiled/main/observability/log.js", import.meta.url).href;
const folder = mkdtempSync(join(tmpdir(), "imagestore-log-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What is logged to a file. `streamOf`: what JOURNAL_STREAM says of it. */
function logged(
  level: string,
  streamOf: (dev: bigint, ino: bigint) => string,
  format: "json" | "pretty" = "json",
): string[] {
  const path = join(folder, "log");
  const file = openSync(path, "w");
  const { dev, ino } = fstatSync(file, { bigint: true });
  const code = `
    const { createLog } = await import(${JSON.stringify(LOG)});
    const log = createLog({ level: ${JSON.stringify(level)}, format: ${JSON.stringify(format)} }, process.env, (_look, text) => text);
    for (const level of ["trace", "debug", "info", "warn", "error", "fatal"]) log[level]({ level }, "a line\\nof two");
    log.child({ pool: "tank" }).error("by a child");`;
  const { status, stdout } = spawnSync(process.execPath, ["--input-type=module", "--eval", code], {
    env: { ...process.env, JOURNAL_STREAM: streamOf(dev, ino) },
    stdio: ["ignore", "pipe", file],
    encoding: "utf8",
  });
  closeSync(file);
  expect([status, stdout]).toEqual([0, ""]);
  return readFileSync(path, "utf8").trimEnd().split("\n");
}

test("where the journal reads it, each line has its priority", () => {
  const lines = logged("trace", (dev, ino) => `${dev}:${ino}`);
  expect(lines.map((line) => line.slice(0, 3))).toEqual(["<7>", "<7>", "<6>", "<4>", "<3>", "<2>", "<3>"]);
  for (const line of lines) expect(JSON.parse(line.slice(3))).toMatchObject({ name: "imagestore" });
  expect(logged("error", (dev, ino) => `${dev}:${ino}`).map((line) => line.slice(0, 3))).toEqual([
    ...["<3>", "<2>", "<3>"],
  ]);
});

test("where the journal reads something else, or nothing, a line is JSON", () => {
  for (const streamOf of [(dev: bigint, ino: bigint) => `${dev}:${ino + 1n}`, () => "", () => "nonsense"]) {
    const lines = logged("info", streamOf);
    expect(lines.map((line) => JSON.parse(line).level)).toHaveLength(5);
  }
});

test("for people, a line has its time, level, message and members; a client's text can't begin one", () => {
  const lines = logged("info", () => "", "pretty");
  expect(lines[0]).toMatch(/^\d\d:\d\d:\d\d\.\d{3} info a line of two$/);
  expect(lines.at(-1)).toMatch(/ error by a child {2}pool=tank$/);
  const journal = logged("info", (dev, ino) => `${dev}:${ino}`, "pretty");
  expect(journal.map((line) => line.slice(0, 3))).toEqual(["<6>", "<4>", "<3>", "<2>", "<3>"]);
});

describe("a line for people", () => {
  const line = (members: object) =>
    prettyLine(
      JSON.stringify({ level: 40, time: "2026-11-28T08:42:59.517Z", msg: "m", ...members }),
      plainly,
    );

  test("quotes what is no plain word, and steers no terminal", () => {
    expect(line({ peer: "10.0.0.9", detail: "a b", evil: "\u001b[2J\n12:00 fatal", ms: 1.5 })).toMatch(
      /warn {2}m {2}peer=10\.0\.0\.9 detail="a b" evil="\\u001b\[2J\\n12:00 fatal" ms=1\.5\n$/,
    );
    expect(line({ msg: "\u202eone\ntwo" })).toMatch(/ one two\n$/);
  });

  test("has the stack of an error below it", () => {
    expect(line({ err: { message: "x", stack: "Error: x\n    at y" } })).toMatch(
      /m\n {4}Error: x\n {8}at y\n$/,
    );
    expect(line({ err: "text" })).toMatch(/m\n {4}text\n$/);
  });

  test("is as it came where it is no JSON, and has colours where those are wanted", () => {
    expect(prettyLine("what\n", plainly)).toBe("what\n");
    expect(
      prettyLine(
        '{"level":50,"time":"2026-11-28T08:42:59.517Z","msg":"m"}',
        (look, text) => `<${look}${text}>`,
      ),
    ).toMatch(/^<dim[\d:.]+> <rederror> m\n$/);
  });
});
