import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";
import { findMarked, markedEnvironment } from "../../../../src/workers/streams/marked-processes.js";

test("processes are found by their mark, with those that they have started, until they end", async () => {
  const mark = `test-${process.pid}`;
  const start = (wanted: string) =>
    spawn("sh", ["-c", "sleep 600 & echo $!; wait"], {
      env: { ...process.env, ...markedEnvironment(wanted) },
      stdio: ["ignore", "pipe", "ignore"],
      detached: true,
    });
  const marked = start(mark);
  // Its mark only begins like the other.
  const other = start(`${mark}0`);
  const [child] = await Promise.all([once(marked.stdout, "data"), once(other.stdout, "data")]);
  try {
    expect(findMarked(mark).sort()).toEqual([marked.pid, Number(child)].sort());
    expect(findMarked("")).toEqual([]);
  } finally {
    for (const { pid } of [marked, other]) process.kill(-(pid ?? 0), "SIGKILL");
  }
  await Promise.all([once(marked, "exit"), once(other, "exit")]);
  await expect.poll(() => findMarked(mark)).toEqual([]);
});
