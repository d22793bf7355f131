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
 * pids of the children of a process whose command line matches, oldest first. Starts no process:
 * tests ask often, and a test that holds large streams takes long to fork.
 */
export function childrenOf(pid: number, pattern: string): number[] {
  let threads: readonly string[] = [];
  try {
    threads = readdirSync(`/proc/${pid}/task`);
  } catch {
    // The process has ended.
  }
  const isWanted = (child: string) =>
    child !== "" && new RegExp(pattern).test(readOrNothing(`/proc/${child}/cmdline`).replaceAll("\0", " "));
  return threads
    .flatMap((thread) => readOrNothing(`/proc/${pid}/task/${thread}/children`).split(" "))
    .filter(isWanted)
    .map(Number)
    .sort((a, b) => a - b);
}

/** The same for the children of its children too, and theirs. */
export function descendantsOf(pid: number, pattern: string): number[] {
  const below = childrenOf(pid, "").flatMap((child) => descendantsOf(child, pattern));
  return [...childrenOf(pid, pattern), ...below].sort((a, b) => a - b);
}
