import { rmSync } from "node:fs";
import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { codeOf } from "../../../protocol/storage/caught-error.js";
import { COPY_PARENT } from "../../processes/copy-parent.js";
import type { ReceiveRequest } from "./child-messages.js";

/*
 * How a receive process and the actor of its pool agree on room, by two files in the folder of what
 * is received. The process says how much it needs so far, the actor how much it may take: the
 * actor alone knows what thick volumes were promised.
 */

/** Bytes in all that the process needs to go on: a decimal. */
const ASK_FILE = "room-wanted";
/** A RoomGrant. */
const GRANT_FILE = "room-granted";

/** Decimal bytes, of all that is received. `isFull`: that is less than what was `wanted`, and there is no more. */
export interface RoomGrant {
  /** What it answers. */
  readonly wanted: string;
  readonly granted: string;
  readonly isFull: boolean;
}

/** How often the process looks for a grant that it waits for. */
const WAIT_MS = 10;
/** An actor that grants nothing for so long never will. */
const WAIT_LIMIT_MS = 60_000;

/** Whoever reads the file finds all of it, or what was there before. */
async function put(folder: string, name: string, text: string): Promise<void> {
  const path = join(folder, name);
  await writeFile(`${path}.new`, text, { mode: 0o600 });
  await rename(`${path}.new`, path);
}

async function find(folder: string, name: string): Promise<string | undefined> {
  try {
    return await readFile(join(folder, name), "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** How much the process in this folder needs so far. Undefined: it has not asked. */
export async function readRoomWanted(folder: string): Promise<bigint | undefined> {
  const text = await find(folder, ASK_FILE);
  return text === undefined ? undefined : BigInt(text);
}

/** Forgets what an earlier process in this folder has asked for, and was granted. */
export function forgetRoom(folder: string): void {
  for (const name of [ASK_FILE, GRANT_FILE]) rmSync(join(folder, name), { force: true });
}

export function writeRoomGrant(folder: string, grant: RoomGrant): Promise<void> {
  return put(folder, GRANT_FILE, JSON.stringify(grant));
}

async function readRoomGrant(folder: string): Promise<RoomGrant> {
  // The actor's file is of this version of this program.
  const text = await find(folder, GRANT_FILE);
  return text === undefined ? { wanted: "0", granted: "0", isFull: false } : JSON.parse(text);
}

/**
 * Of the receive process: a function that waits until so many more bytes may be written. It asks
 * ahead, when half of the last grant is used, so that it seldom waits. `refuse` makes the error
 * that is thrown where there is no room.
 */
export function createRoomGate(
  { folder, daemonPid, taken }: Pick<ReceiveRequest, "folder" | "daemonPid" | "taken">,
  refuse: (why: string) => Error,
): (bytes: number) => Promise<void> {
  // A copy has a parent of its own, which ends with the daemon.
  const parents = [daemonPid, Number(process.env[COPY_PARENT])];
  let granted = BigInt(taken);
  /** When less than this is left of the grant, more is asked for. */
  let reserve = 0n;
  let needed = granted;
  let asked = granted;

  async function ask(): Promise<void> {
    asked = needed;
    await put(folder, ASK_FILE, String(needed));
  }

  async function look(): Promise<RoomGrant> {
    const grant = await readRoomGrant(folder);
    const now = BigInt(grant.granted);
    if (now > granted) {
      granted = now;
      reserve = (granted - needed) / 2n;
    }
    return grant;
  }

  return async (bytes) => {
    needed += BigInt(bytes);
    if (needed <= granted - reserve) return;
    if (asked <= granted - reserve) await ask();
    if (needed <= granted) return;
    await look();
    if (needed <= granted) return;
    if (asked < needed) await ask();
    for (const startedAt = performance.now(); ; await sleep(WAIT_MS)) {
      // Nobody grants anything then, and nobody wants the data.
      if (!parents.includes(process.ppid)) throw new Error("the daemon has ended");
      const { wanted, isFull } = await look();
      if (needed <= granted) return;
      if (isFull && wanted === String(asked))
        throw refuse(`it needs at least ${needed} bytes, and ${granted} are free and not promised`);
      if (performance.now() - startedAt > WAIT_LIMIT_MS)
        throw refuse(`no room for ${needed} bytes was granted`);
    }
  };
}
