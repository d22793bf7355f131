import { readdirSync, readFileSync } from "node:fs";

/** A process that a daemon under test has started, or the daemon itself. */
export interface RunProcess {
  readonly pid: number;
  readonly parent: number;
  readonly command: string;
}

function readText(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}

/** The variable of the environment that marks the processes of a run. */
export const RUN_MARK = "FAULTS_RUN";

/** All processes with the mark of a run in their environment. Zombies are none. */
export function processesOf(run: string): RunProcess[] {
  const found: RunProcess[] = [];
  for (const entry of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    if (!readText(`/proc/${entry}/environ`).split("\0").includes(`${RUN_MARK}=${run}`)) continue;
    const stat = readText(`/proc/${entry}/stat`);
    const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (state === undefined || state === "Z" || state === "X") continue;
    const command = readText(`/proc/${entry}/cmdline`).replaceAll("\0", " ").trim();
    found.push({ pid: Number(entry), parent: Number(parent), command });
  }
  return found;
}
