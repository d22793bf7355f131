import type { Logger } from "pino";
import { fail, type Outcome, succeed } from "../protocol/storage/failures.js";
import type { Config } from "./config/schema.js";
import type { Downloads } from "./downloads/downloads.js";
import type { StreamingHandle } from "./downloads/streaming-handle.js";
import type { Events } from "./events/open-events.js";
import type { Metrics } from "./observability/metrics.js";
import { type Actor, startActor } from "./pools/actor-handle.js";
import type { Tracing } from "./tracing/tracing.js";

interface PoolParts {
  readonly config: Config;
  readonly runId: string;
  readonly log: Logger;
  readonly streaming: StreamingHandle;
  readonly metrics: Pick<Metrics, "spawned">;
  readonly downloads: Pick<Downloads, "liveTags">;
  readonly events: Pick<Events, "onPool" | "onOutside">;
  /** Undefined: nothing is traced. */
  readonly tracing: Pick<Tracing, "clock" | "add"> | undefined;
  onStarting(actor: Actor): void;
}

/** Opens all pools at once. Fails as the first one that can't be opened. */
export async function openPools({ config, streaming, ...parts }: PoolParts): Promise<Outcome<null>> {
  const { runId, log, metrics, events, downloads, tracing, onStarting } = parts;
  const opened = await Promise.all(
    config.pools.map((pool) =>
      startActor({
        settings: { pool, node: config, runId, traceClock: tracing?.clock },
        mailbox: config.limits.mailbox,
        log,
        fetch: (...fetch) => streaming.fetch(pool.name, ...fetch),
        store: (...store) => streaming.store(pool.name, ...store),
        onReady: (isReady) => events.onPool(pool.name, isReady),
        onOutside: (changes) => events.onOutside(pool.name, changes),
        onSpans: (spans) => tracing?.add(spans),
        onSpawn: (ms) => metrics.spawned(pool.name, ms),
        abandonFetches: () => streaming.abandonFetches(pool.name),
        liveTags: () => downloads.liveTags(pool.name),
        onStarting,
      }).catch((error: unknown) => fail("internal", `pool ${pool.name}: ${String(error)}`)),
    ),
  );
  for (const each of opened) if (!each.ok) return each;
  return succeed(null);
}
