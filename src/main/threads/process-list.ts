import { readdir, readFile } from "node:fs/promises";

/** A process as /proc shows it. */
export interface ProcessReport {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
  /** As proc(5) has it: R, S, D (in the kernel), T (stopped), Z (ended, not reaped), … */
  readonly state: string;
  /** The first 15 bytes of its program's name. */
  readonly name: string;
  readonly ms: number;
  /** Of one in the state D: the function of the kernel in which it waits, where we may know it. */
  readonly waitsIn?: string;
}

/** The unit of the times in /proc/PID/stat: USER_HZ is 100 on every platform of Linux. */
const MS_PER_TICK = 10;

/** What /proc shows of a process. Undefined if there is none. */
export async function readProcess(
  pid: number,
): Promise<(Omit<ProcessReport, "ms"> & { startMs: number }) | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, "latin1");
    // The format is "pid (comm) state ppid pgrp …". comm may contain anything, so start after its
    // last parenthesis. Source: proc_pid_stat(5); the start of the process is field 22.
    const end = stat.lastIndexOf(")");
    const [state = "", parent, group, ...fields] = stat.slice(end + 2).split(" ");
    const comm = stat.slice(stat.indexOf("(") + 1, end);
    // The kernel shows a process by the name of its main thread. Node 24 calls it so, 26 with its own name before.
    const name = /^(node-)?MainThread$/.test(comm) ? "node" : comm;
    const startMs = Number(fields[16]) * MS_PER_TICK;
    return { pid, parent: Number(parent), group: Number(group), state, name, startMs };
  } catch {
    return undefined;
  }
}

/** All processes of the machine that we may see, by their pids. */
async function readAll(): Promise<NonNullable<Awaited<ReturnType<typeof readProcess>>>[]> {
  const names = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(names.map((name) => readProcess(Number(name))));
  return found.filter((each) => each !== undefined);
}

/**
 * A process and all that it or its children have started, parents before their children. Asks only
 * the kernel, and reads nothing for which a process that hangs there would have to be waited for.
 */
export async function listProcesses(root: number): Promise<readonly ProcessReport[]> {
  const [all, uptime] = await Promise.all([readAll(), readFile("/proc/uptime", "latin1")]);
  const nowMs = Number.parseFloat(uptime) * 1_000;
  const listed = all.filter(({ pid }) => pid === root);
  // The list grows while it is walked.
  for (const { pid } of listed) listed.push(...all.filter(({ parent }) => parent === pid));
  return Promise.all(
    listed.map(async ({ startMs, ...each }) => {
      const waitsIn = each.state === "D" ? await readWait(each.pid) : undefined;
      const ms = Math.max(0, Math.round(nowMs - startMs));
      return { ...each, ms, ...(waitsIn === undefined ? {} : { waitsIn }) };
    }),
  );
}

/** Undefined where the kernel doesn't tell: it needs the rights of ptrace(2). */
async function readWait(pid: number): Promise<string | undefined> {
  const text = await readFile(`/proc/${pid}/wchan`, "latin1").catch(() => "0");
  return text === "0" || text === "" ? undefined : text;
}
