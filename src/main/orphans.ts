import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

/** How long killed children may take to go: one may sit in the kernel until its txg is synced. */
const GONE_WITHIN_MS = 30_000;

/** Ours and alive: a process that nobody waits for any more stays as a zombie of ours. */
async function isRunning(pid: number): Promise<boolean> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, "latin1");
    // pid (comm) state ppid …; comm may hold anything, so look behind its last parenthesis.
    const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return state !== "Z" && state !== "X" && Number(parent) === process.pid;
  } catch {
    return false;
  }
}

/** One that is gone, or that sudo made another user's, can't be killed: waiting tells. */
function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {}
}

/**
 * Ends the children that a crashed thread left behind and waits until they are gone,
 * so that no command of a dead actor changes the pool under its successor.
 * @returns the pids that would not go.
 */
export async function endOrphans(shared: SharedArrayBuffer): Promise<number[]> {
  const slots = new Int32Array(shared);
  const pids = [...slots].filter((pid) => pid !== 0);
  slots.fill(0);
  let left: number[] = [];
  for (const pid of pids) if (await isRunning(pid)) left.push(pid);
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
