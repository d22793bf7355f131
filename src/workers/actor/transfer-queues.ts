import type { ImageChange } from "../../protocol/storage/known-images.js";
import type { NodeSettings } from "../../protocol/storage/pool-settings.js";
import type { CompleteImage, PulledVolume, VolumeRecord } from "../../protocol/storage/records.js";
import type { CallerLeft } from "../../protocol/threads/actor-contract.js";
import { callerLeft, createFetchQueue, type FetchQueue } from "./fetch-queue.js";

/** What waits for its turn to move bytes, and how its callers leave it. */
interface TransferQueues {
  readonly fetches: FetchQueue<CompleteImage>;
  readonly pulls: FetchQueue<PulledVolume>;
  /** Of volumes, by the names that they get. */
  readonly copies: FetchQueue<VolumeRecord>;
  /** Transfers from and to stores, each of one caller. */
  readonly turns: FetchQueue<null>;
  onCallerLeft(notice: CallerLeft): void;
}

/** Backups, restores and checks of one pool that run at once. Each has memory for parts, and keeps a processor busy. */
const STORE_TRANSFERS = 2;

/** As many pulls, and as many copies, may run and wait as fetches. Main is told which images are being fetched. */
export function createTransferQueues(
  { numFetchers, maxPending }: Pick<NodeSettings, "numFetchers" | "maxPending">,
  announce: (change: ImageChange) => void,
): TransferQueues {
  const fetches = createFetchQueue<CompleteImage>(numFetchers, maxPending, (id, isUnderWay) =>
    announce(isUnderWay ? { fetching: id } : { settled: id }),
  );
  const pulls = createFetchQueue<PulledVolume>(numFetchers, maxPending);
  const copies = createFetchQueue<VolumeRecord>(numFetchers, maxPending);
  const turns = createFetchQueue<null>(STORE_TRANSFERS, maxPending);
  return {
    ...{ fetches, pulls, copies, turns },
    onCallerLeft: (notice) => {
      for (const queue of [fetches, pulls, copies, turns]) callerLeft(queue, notice);
    },
  };
}
