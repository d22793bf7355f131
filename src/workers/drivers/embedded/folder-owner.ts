import { readFileSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { codeOf } from "../../../protocol/storage/caught-error.js";

/*
 * Which process receives into a folder. One that outlives its daemon must have ended before another one goes on:
 * it could cut the file off where that has written.
 */

const OWNER_FILE = "receiver";

/** A process, and when it was started: a pid is another's some day. Undefined: it has ended. */
function processMark(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The name, in brackets, may have any characters. Field 3 is the state, field 22 the time. Source: proc(5).
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? undefined : `${pid} ${fields[19]}`;
  } catch {
    return undefined;
  }
}

/** The pid of the process that receives into `folder` now, if it is not the calling one. */
export async function findOwner(folder: string): Promise<number | undefined> {
  let mark: string;
  try {
    mark = await readFile(join(folder, OWNER_FILE), "latin1");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
  const pid = Number(mark.split(" ", 1)[0]);
  if (!Number.isInteger(pid) || pid <= 0 || pid === process.pid) return undefined;
  return processMark(pid) === mark ? pid : undefined;
}

/** Notes that the calling process receives into `folder`. */
export async function ownFolder(folder: string): Promise<void> {
  await writeFile(join(folder, OWNER_FILE), processMark(process.pid) ?? "", { mode: 0o600 });
}

const LOOK_MS = 20;
/** A receive whose input has ended has little left to sync. */
const END_BY_ITSELF_MS = 3_000;
/** A process that was killed may be in a write that takes long. */
const END_MS = 10_000;

/** Resolves when no process receives into `folder` any more. @returns false if one can't be ended. */
export async function endOwner(folder: string): Promise<boolean> {
  const startedAt = performance.now();
  for (let isKilled = false; ; await sleep(LOOK_MS)) {
    const pid = await findOwner(folder);
    if (pid === undefined) return true;
    const waitedMs = performance.now() - startedAt;
    if (waitedMs > END_BY_ITSELF_MS + END_MS) return false;
    if (isKilled || waitedMs < END_BY_ITSELF_MS) continue;
    isKilled = true;
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has just ended.
    }
  }
}
