import {
  appendFileSync,
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
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openStateLog } from "../../../../src/main/jobs/state-log.js";

let folder: string;
let said: string[];
const log = {
  error: (_fields: object, message: string) => said.push(message),
  warn: (_fields: object, message: string) => said.push(message),
};
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  said = [];
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const file = () => join(folder, "jobs.log");
const open = () => openStateLog(folder, log as unknown as Parameters<typeof openStateLog>[1]);

describe("the file of jobs", () => {
  test("gives back what was written, and begins anew with what still counts", async () => {
    const state = open().begin([{ n: 1 }], () => []);
    state.append({ n: 2 });
    await state.synced();
    state.close();
    const opened = open();
    expect(opened.lines).toEqual([{ n: 1 }, { n: 2 }]);
    opened.begin([{ n: 2 }], () => []).close();
    expect(open().lines).toEqual([{ n: 2 }]);
    expect(said).toEqual([]);
  });

  test("may end in the middle of a line, after a crash", () => {
    open()
      .begin([{ n: 1 }], () => [])
      .close();
    appendFileSync(file(), '{"n":2');
    expect(open().lines).toEqual([{ n: 1 }]);
    expect(said).toEqual([]);
  });

  test("is put aside where it is damaged, and what can be read of it counts", () => {
    writeFileSync(file(), '{"n":1}\n\0\0\0garbage\n{"n":3}\n');
    const opened = open();
    expect(opened.lines).toEqual([{ n: 1 }, { n: 3 }]);
    opened.begin([], () => []).close();
    const aside = readdirSync(folder).find((name) => name.includes("damaged")) ?? "";
    expect(readFileSync(join(folder, aside), "utf8")).toContain("garbage");
    expect(said).toEqual(["a file of jobs is damaged, and put aside"]);
  });

  test("that can't be had is told once, and stops nothing", async () => {
    mkdirSync(file());
    const state = open().begin([{ n: 1 }], () => []);
    state.append({ n: 2 });
    await state.synced();
    state.close();
    expect(said).toEqual(["jobs can't be read", "jobs are not kept over a restart"]);
  });

  test("that grows long becomes the older one, and the next begins with what has not ended", () => {
    const state = open().begin([], () => [{ live: true }]);
    const text = "x".repeat(1024 * 1024);
    for (let n = 0; n < 34; n++) state.append({ n, text });
    state.close();
    expect(existsSync(join(folder, "jobs.log.1"))).toBe(true);
    const { lines } = open();
    expect(lines.length).toBe(35);
    expect(lines).toContainEqual({ live: true });
  });
});
