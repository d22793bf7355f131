import type { DatasetName, PoolName } from "../../protocol/storage/names.js";
import type { ActorLog } from "../../protocol/threads/actor-log.js";
import type { Zfs } from "../drivers/driver.js";
import type { DatasetLocks } from "./dataset-locks.js";
import { emptyTrash } from "./operations/image-trash.js";
import { forgetLostImages } from "./operations/present-images.js";
import type { Records } from "./record-file.js";
import { trackedCalls } from "./tracked-context.js";
import type { WorkBoard } from "./work-board.js";

interface ImageLookOptions {
  readonly pool: PoolName;
  readonly zfs: Pick<Zfs, "driver" | "find" | "changeState" | "destroy">;
  readonly records: Records;
  readonly locks: DatasetLocks;
  readonly trash: Set<DatasetName>;
  readonly log: ActorLog;
  readonly everyMs: number;
  readonly board: Pick<WorkBoard, "begin" | "end">;
}

/**
 * Looks every `everyMs` whether the snapshots of all images are still there, unless the pool has
 * not changed since the last look. GetImage and ListImages answer from the records alone, so this
 * bounds how long they know an image that somebody has destroyed by hand, and how long one is in the trash
 * whose clones somebody has destroyed.
 * @returns what ends the looks.
 */
export function startImageLooks(options: ImageLookOptions): () => void {
  const { pool, zfs, records, locks, trash, log, everyMs, board } = options;
  /** The state of the pool at the last look, if that worked; undefined: look in any case. */
  let seen: string | undefined;
  /** Set by the end: a look that runs then changes no record any more. */
  let isEnded = false;
  /** A look that takes longer than the pause is not overtaken by the next. */
  let isLooking = false;

  const guarded: Records = {
    ...records,
    dropImage: async (id) => {
      if (!isEnded) await records.dropImage(id);
    },
    putImage: async (image) => {
      if (!isEnded) await records.putImage(image);
    },
  };

  async function look(): Promise<void> {
    if (isLooking) return;
    isLooking = true;
    const work = board.begin("look");
    const watched = trackedCalls(zfs, "driver", work);
    try {
      // Read before the look: what changes during it is seen by the next.
      const state = await watched.changeState();
      if (state !== undefined && state === seen) return;
      const lost = await forgetLostImages({ zfs: watched, records: guarded }, pool);
      if (lost.length > 0) log.warn("images were destroyed by others; their records are dropped", { lost });
      // Nobody deletes the clones of an embedded pool by hand.
      if (zfs.driver === "openzfs" && !isEnded) await emptyTrash({ zfs: watched, locks, trash, log });
      seen = state;
    } finally {
      isLooking = false;
      board.end(work);
    }
  }

  const timer = setInterval(() => void look(), everyMs);
  return () => {
    isEnded = true;
    clearInterval(timer);
  };
}
