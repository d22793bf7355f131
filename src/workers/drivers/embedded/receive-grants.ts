import type { ActorLog } from "../../../protocol/threads/actor-log.js";
import type { CatalogTransactions } from "./catalog-transaction.js";
import { readRoomWanted, writeRoomGrant } from "./receive-room.js";
import type { SpaceAccounting } from "./space-accounting.js";

/**
 * Gives the receives of a pool room as they grow, so that none takes what thick volumes were
 * promised. What is granted counts as taken, for all who ask for room.
 */
export interface ReceiveGrants {
  /**
   * From now on what the process in `folder`, a path, asks for is granted while there is room. `taken`: bytes that it
   * has already.
   */
  begin(folder: string, taken: bigint): void;
  /** No process receives into it any more, and what it has takes so much; undefined: that counts elsewhere, or is gone. */
  end(folder: string, taken?: bigint): void;
}

const POLL_MS = 50;
/** Granted beyond what a receive needs: what it takes between two looks. Less where there is little room. */
const MOST_AHEAD = 128n * 1024n * 1024n;
/** The part of the room that is left which may be granted ahead. */
const SHARE_AHEAD = 8n;

export function createReceiveGrants(
  accounting: Pick<SpaceAccounting, "noteReceive" | "forgetReceive" | "roomForReceive">,
  transactions: Pick<CatalogTransactions, "alone">,
  log: ActorLog,
): ReceiveGrants {
  /** By folder: what has been asked for and answered. */
  const receives = new Map<string, { answered: bigint; granted: bigint }>();
  /** Runs while there are receives. */
  let timer: NodeJS.Timeout | undefined;
  let isLooking = false;

  async function lookAtAll(): Promise<void> {
    if (isLooking) return;
    isLooking = true;
    for (const folder of [...receives.keys()]) {
      await look(folder).catch((error: unknown) => {
        // The disk may be full. The next look tries again, and the process gives up after a while.
        log.debug("room for a receive could not be granted", { error: String(error) });
      });
    }
    isLooking = false;
  }

  async function look(folder: string): Promise<void> {
    const wanted = await readRoomWanted(folder);
    const receive = receives.get(folder);
    if (!receive || wanted === undefined || wanted === receive.answered) return;
    // Alone: what is promised meanwhile would be given away twice.
    await transactions.alone(async () => {
      const room = await accounting.roomForReceive(wanted - receive.granted + SHARE_AHEAD * MOST_AHEAD);
      if (receives.get(folder) !== receive) return;
      const spare = room - (wanted - receive.granted);
      const isFull = spare < 0n;
      const ahead = spare / SHARE_AHEAD < MOST_AHEAD ? spare / SHARE_AHEAD : MOST_AHEAD;
      if (!isFull && wanted + ahead > receive.granted) receive.granted = wanted + ahead;
      if (isFull && room > 0n) receive.granted += room;
      accounting.noteReceive(folder, receive.granted);
      await writeRoomGrant(folder, { wanted: String(wanted), granted: String(receive.granted), isFull });
      receive.answered = wanted;
    });
  }

  return {
    begin: (folder, taken) => {
      receives.set(folder, { answered: 0n, granted: taken });
      accounting.noteReceive(folder, taken);
      timer ??= setInterval(() => void lookAtAll(), POLL_MS).unref();
    },
    end: (folder, taken) => {
      receives.delete(folder);
      if (taken === undefined) accounting.forgetReceive(folder);
      else accounting.noteReceive(folder, taken);
      if (receives.size > 0) return;
      clearInterval(timer);
      timer = undefined;
    },
  };
}
