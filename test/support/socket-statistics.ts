import { spawnSync } from "node:child_process";

/** Whether there is ss(8), which tells the daemon how much was sent of a bulk download. */
export function hasSs(): boolean {
  return spawnSync("ss", ["-V"]).error === undefined;
}
