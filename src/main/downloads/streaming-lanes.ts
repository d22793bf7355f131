import { availableParallelism } from "node:os";
import type { StreamingReport } from "../../protocol/threads/streaming-contract.js";
import { createStreamBodies, type StreamBodies } from "../receives/stream-bodies.js";
import { type StreamingHandle, type StreamingOptions, startStreaming } from "./streaming-handle.js";

/** A thread with so many fetches has its processor full: hashing and unpacking are work. */
const FETCHES_A_LANE = 2;
/** Beside the processors that `zfs receive` needs. */
const MOST_LANES = 4;

/** As one of them, with the streams of clients, which any of them may be given. */
export interface StreamingLanes extends StreamingHandle {
  readonly bodies: StreamBodies;
}

interface LaneOptions {
  readonly most: number;
  start(options: StreamingOptions): StreamingHandle;
}

/**
 * The streaming worker, and further threads like it once several images are fetched at the same time:
 * an image's bytes are hashed and unpacked in the thread that reads them. All downloads belong to the first
 * one. A further thread is started for the first fetch that would be the third of all that run, and stays.
 */
export function startStreamingLanes(
  options: Omit<StreamingOptions, "newId" | "bodies">,
  { most, start }: LaneOptions = {
    most: Math.min(MOST_LANES, availableParallelism()),
    start: startStreaming,
  },
): StreamingLanes {
  const bodies = createStreamBodies(options.windowBytes, options.settings.fetchIdleMs);
  /** An id is that of one transfer in all threads. */
  let lastId = 0;
  const newId = () => ++lastId;
  const first = start({ ...options, bodies, newId });
  const lanes = [first];

  /** The thread with the fewest fetches, or a new one if all have enough. */
  function laneForFetch(): StreamingHandle {
    const idlest = lanes.reduce((best, lane) => (lane.fetches < best.fetches ? lane : best));
    if (idlest.fetches < FETCHES_A_LANE || lanes.length >= most) return idlest;
    const added = start({ ...options, bodies, bulk: undefined, newId });
    lanes.push(added);
    return added;
  }

  const sum = (of: (lane: StreamingHandle) => number) => lanes.reduce((total, lane) => total + of(lane), 0);
  return {
    bodies,
    send: first.send,
    bulk: first.bulk,
    fetch: (...fetch) => laneForFetch().fetch(...fetch),
    store: (...store) => laneForFetch().store(...store),
    listStores: () => lanes.flatMap((lane) => lane.listStores()),
    abandonFetches: async (owner) => {
      await Promise.all(lanes.map((lane) => lane.abandonFetches(owner)));
    },
    get fetches() {
      return sum((lane) => lane.fetches);
    },
    listFetches: () => lanes.flatMap((lane) => lane.listFetches()).sort((a, b) => a.id - b.id),
    get restarts() {
      return sum((lane) => lane.restarts);
    },
    report: async (): Promise<StreamingReport> => {
      const [ofFirst, ...others] = await Promise.all([
        first.report(),
        ...lanes.slice(1).map((lane) => lane.report()),
      ]);
      return { ...ofFirst, pids: new Map([ofFirst, ...others].flatMap(({ pids }) => [...pids])) };
    },
    stop: async () => {
      await Promise.all(lanes.map((lane) => lane.stop()));
    },
    crash: async () => {
      await Promise.all(lanes.map((lane) => lane.crash()));
    },
  };
}
