import { readdir, readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

/** How long killed children may take to go: one may sit in the kernel until its txg is synced. */
const GONE_WITHIN_MS = 30_000;

/** What /proc tells of a process that runs; a zombie, which nobody waits for any more, does not. */
async function running(pid: number): Promise<{ parent: number; group: number } | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, "latin1");
    // pid (comm) state ppid pgrp …; comm may hold anything, so look behind its last parenthesis.
    const [state, parent, group] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return state === "Z" || state === "X" ? undefined : { parent: Number(parent), group: Number(group) };
  } catch {
    return undefined;
  }
}

async function isOurs(pid: number): Promise<boolean> {
  return (await running(pid))?.parent === process.pid;
}

/** Whether anybody runs in a group; its members' parents may be gone. */
async function isGroupRunning(group: number): Promise<boolean> {
  const pids = (await readdir("/proc").catch(() => [])).filter((name) => /^\d+$/.test(name));
  const members = await Promise.all(pids.map((pid) => running(Number(pid))));
  return members.some((member) => member?.group === group);
}

/** `id` as in the table: a process, or negative a group. */
function isRunning(id: number): Promise<boolean> {
  return id < 0 ? isGroupRunning(-id) : isOurs(id);
}

/** One that is gone, or that sudo made another user's, can't be killed: waiting tells. */
function kill(id: number): void {
  try {
    process.kill(id, "SIGKILL");
  } catch {}
}

/**
 * Ends the children that a crashed thread left behind and waits until they are gone,
 * so that no command of a dead actor changes the pool under its successor.
 * @returns the ids that would not go, groups negative.
 */
export async function endOrphans(shared: SharedArrayBuffer): Promise<number[]> {
  const slots = new Int32Array(shared);
  const ids = [...slots].filter((id) => id !== 0);
  slots.fill(0);
  let left: number[] = [];
  for (const id of ids) if (await isRunning(id)) left.push(id);
  for (const pid of left) kill(pid);
  const until = performance.now() + GONE_WITHIN_MS;
  while (left.length > 0 && performance.now() < until) {
    await sleep(20);
    const still: number[] = [];
    for (const pid of left) if (await isRunning(pid)) still.push(pid);
    left = still;
  }
  return left;
}
