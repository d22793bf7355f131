import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { open, rm } from "node:fs/promises";
import { join } from "node:path";
import { codeOf } from "../../../protocol/storage/caught-error.js";
import type { ActorLog } from "../../../protocol/threads/actor-log.js";
import type { VolumeFiles } from "./volume-files.js";

/** What the catalog and its journal need for many deletions. */
const RESERVE_BYTES = 1024 * 1024;
/** How much must be free for the reserve to be made: what it takes, and a little for the file system. */
const FREE_BYTES = BigInt(RESERVE_BYTES + 256 * 1024);

const FULL: readonly string[] = ["ENOSPC", "EDQUOT", "SQLITE_FULL"];

/** The file in the folder of a pool. */
const RESERVE_FILE = "reserve";

/**
 * Runs `work` on the pool in a folder. If it rejects since the disk is full, gives the reserve
 * away, and runs it once more.
 */
export async function giveRoom<T>(folder: string, log: ActorLog, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const path = join(folder, RESERVE_FILE);
    if (!FULL.includes(codeOf(error)) || !existsSync(path)) throw error;
    await rm(path, { force: true });
    log.warn("the disk is full: the room that was kept for deletions is used", { folder });
    return work();
  }
}

/** Room that is kept on the disk for starts and deletions, without which a full disk stays full. */
export interface SpaceReserve {
  /** As giveRoom. */
  use<T>(work: () => Promise<T>): Promise<T>;
  /** Makes the reserve if it is missing and there is room. Never rejects. */
  restore(): Promise<void>;
}

/** `folder`: that of the pool. The reserve is a file there. */
export function createSpaceReserve(
  folder: string,
  available: VolumeFiles["available"],
  log: ActorLog,
): SpaceReserve {
  const path = join(folder, RESERVE_FILE);

  return {
    use: (work) => giveRoom(folder, log, work),
    async restore() {
      try {
        if (existsSync(path) || (await available()) < FREE_BYTES) return;
        await using file = await open(path, "wx", 0o600);
        // Zeros might take no room.
        await file.writeFile(randomBytes(RESERVE_BYTES));
        await file.sync();
      } catch (error) {
        await rm(path, { force: true }).catch(() => {});
        log.warn("room for deletions on a full disk could not be kept", { folder, error: String(error) });
      }
    },
  };
}
