import { spawnSync } from "node:child_process";

/** pids of the children of a process whose command line has `script`, oldest first. */
export function childrenOf(pid: number, script: string): number[] {
  const { stdout } = spawnSync("pgrep", ["-P", String(pid), "-f", script]);
  return String(stdout).split("\n").filter(Boolean).map(Number);
}
