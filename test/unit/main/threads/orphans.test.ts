import { type ChildProcess, spawn } from "node:child_process";
import { afterEach, describe, expect, test } from "vitest";
import { endOrphans } from "../../../../src/main/threads/orphans.js";
import { CHILD_TABLE_SLOTS, createChildTable } from "../../../../src/protocol/threads/child-table.js";
import { isAlive, until } from "../../../support/until.js";

const started: ChildProcess[] = [];

function child(command: string, ...args: string[]): { process: ChildProcess; pid: number } {
  const process = spawn(command, args, { stdio: ["ignore", "pipe", "ignore"] });
  started.push(process);
  if (process.pid === undefined) throw new Error(`${command} did not start`);
  return { process, pid: process.pid };
}

afterEach(() => {
  for (const each of started.splice(0)) each.kill("SIGKILL");
});

function createShared(slots: number = CHILD_TABLE_SLOTS): SharedArrayBuffer {
  return new SharedArrayBuffer(slots * Int32Array.BYTES_PER_ELEMENT);
}

const pidsIn = (shared: SharedArrayBuffer) => [...new Int32Array(shared)].filter((pid) => pid !== 0);

describe("the table of children", () => {
  test("holds a pid until it is taken out, and its place is used again", () => {
    const shared = createShared(2);
    const table = createChildTable(shared);
    const removeFirst = table.add(11);
    table.add(12);
    expect(pidsIn(shared)).toEqual([11, 12]);
    removeFirst();
    removeFirst();
    expect(pidsIn(shared)).toEqual([12]);
    table.add(13);
    expect(pidsIn(shared).sort()).toEqual([12, 13]);
  });

  test("taking out a pid twice leaves the next one in its place alone", () => {
    const shared = createShared(1);
    const table = createChildTable(shared);
    const remove = table.add(11);
    remove();
    table.add(12);
    remove();
    expect(pidsIn(shared)).toEqual([12]);
  });

  test("a full table and a process that never started are no errors", () => {
    const shared = createShared(1);
    const table = createChildTable(shared);
    table.add(undefined)();
    expect(pidsIn(shared)).toEqual([]);
    table.add(11);
    table.add(12)();
    expect(pidsIn(shared)).toEqual([11]);
  });
});

describe("endOrphans", () => {
  test("ends the children in the table, waits until they are gone, and empties it", async () => {
    const shared = createShared();
    const table = createChildTable(shared);
    const pids = Array.from({ length: 5 }, () => child("sleep", "1000").pid);
    for (const pid of pids) table.add(pid);
    expect(await endOrphans(shared)).toEqual([]);
    expect(pids.filter(isAlive)).toEqual([]);
    expect(pidsIn(shared)).toEqual([]);
  });

  test("ends a child that ignores SIGTERM and one that writes to a full pipe", async () => {
    const shared = createShared();
    const table = createChildTable(shared);
    const deaf = child("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1000; done");
    const writing = child("cat", "/dev/zero");
    await new Promise((resolve) => deaf.process.stdout?.once("data", resolve));
    for (const { pid } of [deaf, writing]) table.add(pid);
    expect(await endOrphans(shared)).toEqual([]);
    expect([deaf.pid, writing.pid].filter(isAlive)).toEqual([]);
  });

  test("leaves alone what is not our child, so that a reused pid harms nobody", async () => {
    const shared = createShared();
    const table = createChildTable(shared);
    // A grandchild: its parent is the shell, and then, when that is gone, not us.
    const shell = child("sh", "-c", "sleep 1000 & echo $!; wait");
    const grandchild = await new Promise<number>((resolve) =>
      shell.process.stdout?.once("data", (chunk: Buffer) => resolve(Number(chunk.toString()))),
    );
    table.add(grandchild);
    table.add(process.pid);
    table.add(process.ppid);
    expect(await endOrphans(shared)).toEqual([]);
    expect(isAlive(grandchild)).toBe(true);
    expect(pidsIn(shared)).toEqual([]);
    process.kill(grandchild, "SIGKILL");
    await until("the grandchild is gone", () => !isAlive(grandchild));
  });

  test("has nothing to do for children that ended by themselves", async () => {
    const shared = createShared();
    const { process: short, pid } = child("true");
    createChildTable(shared).add(pid);
    await new Promise((resolve) => short.once("exit", resolve));
    expect(await endOrphans(shared)).toEqual([]);
  });
});
