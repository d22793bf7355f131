import { readdir } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { readProcess } from "./process-list.js";

/** How long killed children may take to end: one may sit in the kernel until its txg is synced. */
const END_LIMIT_MS = 30_000;
const POLL_MS = 20;

/** Undefined for a zombie, which has ended already. */
async function readRunning(pid: number): ReturnType<typeof readProcess> {
  const found = await readProcess(pid);
  return found?.state === "Z" || found?.state === "X" ? undefined : found;
}

/** Whether a pid is still that of our child, and not reused by another process. */
async function isOurChild(pid: number): Promise<boolean> {
  return (await readRunning(pid))?.parent === process.pid;
}

/** Whether a process group has any running member. Their parent may have ended, so it is not checked. */
async function isGroupRunning(group: number): Promise<boolean> {
  const pids = (await readdir("/proc").catch(() => [])).filter((name) => /^\d+$/.test(name));
  const processes = await Promise.all(pids.map((pid) => readRunning(Number(pid))));
  return processes.some((each) => each?.group === group);
}

/** `id` as in the ChildTable: a pid, or the negative id of a process group. */
function isRunning(id: number): Promise<boolean> {
  return id < 0 ? isGroupRunning(-id) : isOurChild(id);
}

async function filterRunning(ids: readonly number[]): Promise<number[]> {
  const running: number[] = [];
  for (const id of ids) if (await isRunning(id)) running.push(id);
  return running;
}

/** Errors don't matter: the process has ended, or sudo gave it to another user and it stays in the list. */
function kill(id: number): void {
  try {
    process.kill(id, "SIGKILL");
  } catch {}
}

/**
 * Kills the children that a crashed thread left behind, waits until they have ended, and empties
 * the table. So no command of a dead actor changes the pool while its successor runs.
 * @returns the ids of those that are still running after 30 s, groups negative.
 */
export async function endOrphans(table: SharedArrayBuffer): Promise<number[]> {
  const slots = new Int32Array(table);
  const ids = [...slots].filter((id) => id !== 0);
  slots.fill(0);
  let running = await filterRunning(ids);
  for (const id of running) kill(id);
  const deadline = performance.now() + END_LIMIT_MS;
  while (running.length > 0 && performance.now() < deadline) {
    await sleep(POLL_MS);
    running = await filterRunning(running);
  }
  return running;
}
