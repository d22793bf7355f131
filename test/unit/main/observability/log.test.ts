import { spawnSync } from "node:child_process";
import { closeSync, fstatSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";

const LOG = new URL("../../../../dist/main/observability/log.js", import.meta.url).href;
const folder = mkdtempSync(join(tmpdir(), "imagestore-log-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What is logged to a file. `streamOf`: what JOURNAL_STREAM says of it. */
function logged(level: string, streamOf: (dev: bigint, ino: bigint) => string): string[] {
  const path = join(folder, "log");
  const file = openSync(path, "w");
  const { dev, ino } = fstatSync(file, { bigint: true });
  const code = `
    const { createLog } = await import(${JSON.stringify(LOG)});
    const log = createLog(${JSON.stringify(level)}, process.env);
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
