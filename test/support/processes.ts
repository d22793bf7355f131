import { readdirSync, readFileSync } from "node:fs";

/** What a file of /proc says; "" if its process has ended. */
function readOrNothing(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/**
 * pids of the children of a process whose command line has `script`, oldest first. Starts no process:
 * tests ask often, and a test that holds large streams takes long to fork.
 */
export function childrenOf(pid: number, script: string): number[] {
  let threads: readonly string[] = [];
  try {
    threads = readdirSync(`/proc/${pid}/task`);
  } catch {
    // The process has ended.
  }
  return threads
    .flatMap((thread) => readOrNothing(`/proc/${pid}/task/${thread}/children`).split(" "))
    .filter(
      (child) =>
        child !== "" && readOrNothing(`/proc/${child}/cmdline`).replaceAll("\0", " ").includes(script),
    )
    .map(Number)
    .sort((a, b) => a - b);
}
