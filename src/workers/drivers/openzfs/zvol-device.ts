import { access } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { type DatasetName, devicePath, ZVOL_DEVICES } from "../../../protocol/storage/names.js";

const FIRST_PAUSE_MS = 5;
const LONGEST_PAUSE_MS = 200;

/**
 * Waits until udev has made the device of a volume, which happens some time after the command
 * that created the volume has ended.
 * @param limitMs how long to wait; 0: don't look, for the device is on another machine.
 * @returns false if the device is not there after `limitMs`.
 */
export async function waitForZvolDevice(volume: DatasetName, limitMs: number): Promise<boolean> {
  if (limitMs === 0) return true;
  const device = devicePath(volume, ZVOL_DEVICES);
  const deadline = performance.now() + limitMs;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    if (await exists(device)) return true;
    if (performance.now() > deadline) return false;
    await sleep(pauseMs);
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false;
  }
}
