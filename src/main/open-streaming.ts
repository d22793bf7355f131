import type { Logger } from "pino";
import { type Outcome, succeed } from "../protocol/storage/failures.js";
import type { PaceSettings } from "../protocol/threads/bulk-contract.js";
import { createHostMemory } from "../protocol/threads/host-slots.js";
import { createPace, createPaceMemory, type Pace } from "../protocol/threads/pace.js";
import type { StreamSettings } from "../protocol/threads/streaming-contract.js";
import { type Trace, traced } from "../protocol/threads/trace-points.js";
import { readImageCa } from "./config/image-ca.js";
import type { Config } from "./config/schema.js";
import type { BulkDoor, BulkReply } from "./downloads/bulk-handle.js";
import type { FetchEnd } from "./downloads/pending-fetch.js";
import { type StreamingLanes, startStreamingLanes } from "./downloads/streaming-lanes.js";
import { type FrontDoor, guard, type OpenedDoor, type RequestHandler } from "./front-door.js";
import type { Gate } from "./gate.js";
import { listenFailure } from "./listen-failure.js";

/** The port for bulk downloads, which the streaming thread serves. */
export interface BulkPort {
  readonly host: string;
  readonly port: number;
  /** How many connections there may be. */
  readonly connections: number;
  readonly door: BulkDoor;
}

interface OpenedStreaming {
  readonly streaming: StreamingLanes;
  readonly bulk: BulkPort | undefined;
  /** What all downloads are held to together; undefined: nothing. */
  readonly pace: Pace | undefined;
}

/**
 * Starts the streaming worker, whose orders from here are trace points, and waits until it listens for
 * bulk downloads, if it is to. Fails as takePort and readImageCa do, and leaves nothing
 * then.
 */
export async function openStreaming(
  config: Config,
  connections: number,
  log: Logger,
  trace: Trace | undefined,
  onFetchEnd: (end: FetchEnd) => void,
): Promise<Outcome<OpenedStreaming>> {
  const shared = paceSettings(config);
  const pace = shared && createPace(shared.bytesPerSecond, shared.memory);
  const settings = bulkSettings(config, connections, shared);
  const ca = readImageCa(config.images.caFile);
  if (!ca.ok) return ca;
  const handle = startStreamingLanes({
    settings: fetchSettings(config, ca.value),
    windowBytes: config.limits.streamWindowBytes,
    folder: config.dataDir,
    bulk: settings,
    onFetchEnd,
    log,
  });
  const streaming = traced(trace, "streaming", handle, ["fetch", "abandonFetches", "stop"]);
  const door = handle.bulk;
  const listening = await door?.listening;
  if (!settings || !door || !listening) return succeed({ streaming, pace, bulk: undefined });
  const { host, port, limits } = settings;
  if ("port" in listening) {
    const bulk = { host, port: listening.port, connections: limits.connections, door };
    return succeed({ streaming, pace, bulk });
  }
  await handle.stop();
  const error = Object.assign(new Error(listening.message), { code: listening.code });
  return listenFailure(error, host, port, "choose another in listen.bulk.port");
}

/** Before a fetch is repeated: of the first repeat, and of any. */
const FIRST_DELAY_MS = 500;
const MOST_DELAY_MS = 30_000;

function fetchSettings({ timeouts, images }: Config, ca: StreamSettings["ca"]): StreamSettings {
  const { fetchConnectMs, fetchIdleMs } = timeouts;
  const delays = { firstDelayMs: FIRST_DELAY_MS, mostDelayMs: MOST_DELAY_MS };
  const { attempts, ranges, requestsPerHost } = images;
  const atHost = { limit: requestsPerHost, taken: createHostMemory() };
  return { fetchConnectMs, fetchIdleMs, ca, ranges, atHost, repeats: { attempts, ...delays } };
}

/** Its connections are downloads, and as many that wait to be answered. */
function bulkSettings(
  { listen, limits, timeouts }: Config,
  connections: number,
  pace: PaceSettings | undefined,
) {
  const { bulk } = listen;
  if (!bulk) return undefined;
  const { bodyBytes, bodyBytesInFlight } = limits;
  const { bodyMs, replyMs, stalledReaderMs } = timeouts;
  const most = Math.min(connections, 2 * limits.downloads);
  return {
    host: bulk.host ?? listen.host,
    port: bulk.port,
    limits: { bodyBytes, bodyBytesInFlight, bodyMs, replyMs, connections: most },
    stalledReaderMs,
    pace,
  };
}

/** What main and the streaming worker hold all downloads to. */
function paceSettings({ limits: { sendBytesPerSecond } }: Config): PaceSettings | undefined {
  if (sendBytesPerSecond === 0) return undefined;
  return { bytesPerSecond: sendBytesPerSecond, memory: createPaceMemory() };
}

/** Has other handlers answer what comes to the main port, and to the port for bulk downloads. */
export type OpenDoors = (main: MainDoor, bulk: RequestHandler<BulkReply>) => void;

export type MainDoor = Pick<OpenedDoor, "handle" | "accept">;

interface DoorOptions {
  readonly openMain: FrontDoor["open"];
  readonly bulk: BulkPort | undefined;
  /** See TransportOptions. The port for bulk downloads has no use for it: its bodies are in another thread. */
  readonly admit: Gate["admit"];
  onRefused(): void;
  readonly log: Logger;
}

export function createDoors({ openMain, bulk, admit, onRefused, log }: DoorOptions): OpenDoors {
  return (main, ofBulk) => {
    openMain({ ...main, admit, onRefused });
    bulk?.door.open({ handle: guard(ofBulk, log), onRefused });
  };
}
