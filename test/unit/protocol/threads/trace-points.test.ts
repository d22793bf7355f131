import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openTrace, traced } from "../../../../src/protocol/threads/trace-points.js";

const MODULE = fileURLToPath(
  new URL("../../../../compiled/protocol/threads/trace-points.js", import.meta.url),
);

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "imagestore-trace-"));
  path = join(folder, "points");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const lines = () => readFileSync(path, "utf8").trim().split("\n");

describe("without IMAGESTORE_TRACE", () => {
  test("there is no trace, and what would be traced is left as it is", () => {
    const trace = openTrace({ IMAGESTORE_TRACE_FAULT: "actor.x#1:kill" }, "actor");
    expect(trace).toBeUndefined();
    const target = { call: () => 1 };
    expect(traced(trace, "x", target)).toBe(target);
  });
});

describe("with IMAGESTORE_TRACE", () => {
  test("each call is noted before it begins and when it or its promise has ended", async () => {
    const trace = openTrace({ IMAGESTORE_TRACE: path }, "actor");
    const seen: string[][] = [];
    const target = {
      size: 3,
      now: (value: number) => value + 1,
      later: async (value: string) => {
        seen.push(lines());
        return `${value}!`;
      },
      fails: () => Promise.reject(new Error("as it must")),
    };
    const wrapped = traced(trace, "part", target);
    expect(wrapped.size).toBe(3);
    expect(wrapped.now(1)).toBe(2);
    expect(await wrapped.later("a")).toBe("a!");
    await expect(wrapped.fails()).rejects.toThrow("as it must");
    const now = ["actor.part.now.begin", "actor.part.now.end"];
    expect(seen).toEqual([[...now, "actor.part.later.begin"]]);
    const fails = ["actor.part.fails.begin", "actor.part.fails.end"];
    expect(lines()).toEqual([...now, "actor.part.later.begin", "actor.part.later.end", ...fails]);
    // A copy by spread has the same points.
    expect({ ...wrapped }.now(4)).toBe(5);
    expect(lines().slice(-2)).toEqual(now);
  });

  test("only the named calls are points", () => {
    const trace = openTrace({ IMAGESTORE_TRACE: path }, "actor");
    const wrapped = traced(trace, "part", { a: () => 1, b: () => 2 }, ["b"]);
    expect([wrapped.a(), wrapped.b()]).toEqual([1, 2]);
    expect(lines()).toEqual(["actor.part.b.begin", "actor.part.b.end"]);
  });

  test.each(["kill", "actor.x:kill", "actor.x#0:kill", "actor.x#1:burn", "actor.x#1:delay-"])(
    "a fault %s is refused",
    (fault) => {
      const env = { IMAGESTORE_TRACE: path, IMAGESTORE_TRACE_FAULT: fault };
      expect(() => openTrace(env, "actor")).toThrow("must be POINT#VISIT:ACTION");
    },
  );

  test("a delay holds up the thread at its visit, once in the life of all threads", () => {
    const env = { IMAGESTORE_TRACE: path, IMAGESTORE_TRACE_FAULT: "actor.x#2:delay-200" };
    const visit = (trace: ReturnType<typeof openTrace>) => {
      const startedAt = performance.now();
      trace?.("x");
      return performance.now() - startedAt >= 190;
    };
    const first = openTrace(env, "actor");
    expect([visit(first), visit(first), visit(first)]).toEqual([false, true, false]);
    expect(existsSync(`${path}.acted`)).toBe(true);
    // The thread that takes its place counts anew.
    const second = openTrace(env, "actor");
    expect([visit(second), visit(second)]).toEqual([false, false]);
    // A point of that name in another part is another point.
    rmSync(`${path}.acted`);
    const other = openTrace(env, "main");
    expect([visit(other), visit(other)]).toEqual([false, false]);
  });

  /** Comes to the point x three times in a process of its own. */
  const visitInProcess = (action: string) =>
    spawnSync(
      process.execPath,
      [
        "--input-type=module",
        "-e",
        `import { openTrace } from ${JSON.stringify(MODULE)};
         const trace = openTrace(process.env, "actor");
         for (let visit = 0; visit < 3; visit++) { trace("x"); await new Promise(setImmediate); }`,
      ],
      {
        env: { ...process.env, IMAGESTORE_TRACE: path, IMAGESTORE_TRACE_FAULT: `actor.x#2:${action}` },
        encoding: "utf8",
      },
    );

  test("kill ends the process at its visit, whose line is written before", () => {
    expect(visitInProcess("kill").signal).toBe("SIGKILL");
    expect(lines()).toEqual(["actor.x", "actor.x"]);
  });

  test("crash throws outside of any call", () => {
    const { status, stderr } = visitInProcess("crash");
    expect(status).not.toBe(0);
    expect(stderr).toContain("a crash at a trace point");
    expect(lines()).toEqual(["actor.x", "actor.x"]);
  });
});
