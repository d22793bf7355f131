import { spawn } from "node:child_process";
import type { DataRange } from "../../../protocol/raw-disk/data-ranges.js";
import { findData, type StartReading } from "../../../protocol/raw-disk/find-data.js";

/** Starts a process to read from, in this environment. */
export function startReadingIn(
  env: NodeJS.ProcessEnv,
  [program = "", ...args]: readonly string[],
): ReturnType<StartReading> {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "ignore"], env });
  const exited = new Promise<void>((resolve) => {
    child.once("close", () => resolve());
    child.once("error", () => resolve());
  });
  const kill = () => {
    child.kill("SIGKILL");
    child.stdout.destroy();
  };
  return { stdout: child.stdout, exited, kill };
}

/** Where a raw disk may hold data, as findData says. */
export function findDiskData(path: string): Promise<readonly DataRange[] | undefined> {
  return findData(path, (argv) => startReadingIn(process.env, argv));
}
