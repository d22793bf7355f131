import { MessageChannel, type MessagePort } from "node:worker_threads";
import type { Logger } from "pino";
import type { Piscina } from "piscina";
import type { StoreDone, StoreOrder } from "../../protocol/backups/store-orders.js";
import { type Failure, fail, type Outcome } from "../../protocol/storage/failures.js";
import type { FetchOrder, FetchReport } from "../../protocol/storage/operations.js";
import type { BulkSettings } from "../../protocol/threads/bulk-contract.js";
import { clearRing, createRingMemory, createRingReader } from "../../protocol/threads/byte-ring.js";
import { createChildMemory } from "../../protocol/threads/child-table.js";
import { createHostMemory, giveBackSlots } from "../../protocol/threads/host-slots.js";
import type {
  StreamEvent,
  StreamingReport,
  StreamOrder,
  StreamSettings,
  StreamTask,
} from "../../protocol/threads/streaming-contract.js";
import { waitAtMost } from "../pools/time-limit.js";
import type { StreamBodies } from "../receives/stream-bodies.js";
import { endOrphans } from "../threads/orphans.js";
import { createSoloThread } from "../threads/solo-thread.js";
import { type BulkDoor, createBulkHandle } from "./bulk-handle.js";
import {
  createPendingFetch,
  type FetchEnd,
  type FetchState,
  orderFetch,
  type PendingFetch,
  stateOfFetch,
} from "./pending-fetch.js";
import { createPendingStores, type StoreState } from "./pending-stores.js";

/** How long each step of a stop may take. Killed children end at once, unless the kernel holds them. */
const STOP_LIMIT_MS = 2_000;

const threadEnded = fail(
  "service.interrupted",
  "the streaming thread ended before the transfer did; ask again",
);

/** A send that runs in the streaming worker. Positions are bytes since the start of its output. */
export interface SendHandle {
  /** As `report` of StreamingHandle knows it. */
  readonly id: number;
  /** How far the output has come. `onBytes` reports the next bytes after that. */
  poll(): number;
  /** The bytes from a position on, at most `limit`, in one piece; valid until they are released. */
  view(position: number, limit: number): Uint8Array;
  /** Makes room: the bytes before `position` are not needed any more. */
  release(position: number): void;
  /** Kills the command. `onEnd` is still called. */
  cancel(): void;
  /** Frees the ring. Call it once, after `onEnd`; views are not valid afterwards. */
  close(): void;
}

export interface SendListener {
  /** Bytes have arrived since the last poll. */
  onBytes(): void;
  /** Called once. Without `failure`, all bytes have arrived and the command succeeded. */
  onEnd(failure: Failure | undefined): void;
}

/**
 * The handle of the streaming worker. It outlives the worker's thread: when that crashes, whatever
 * was running fails with service.interrupted, and a new thread is started.
 */
export interface StreamingHandle {
  /** Runs a command. The first `skipBytes` of its output are dropped and not counted. */
  send(command: readonly string[], listener: SendListener, skipBytes?: number): SendHandle;
  /**
   * Fetches an image, until `cancelled` is aborted. `owner` is a group of fetches that can be cancelled
   * together. `onMoved` is called now and then while its receiver takes bytes.
   */
  fetch(
    owner: string,
    order: FetchOrder,
    cancelled?: AbortSignal,
    onMoved?: () => void,
  ): Promise<Outcome<FetchReport>>;
  /** Has an order for a store done, until `cancelled` is aborted. `owner` and `onMoved` as of a fetch. */
  store(
    owner: string,
    order: StoreOrder,
    cancelled?: AbortSignal,
    onMoved?: () => void,
  ): Promise<Outcome<StoreDone>>;
  /** The orders for stores that are not answered, oldest first. */
  listStores(): readonly StoreState[];
  /** Cancels the owner's fetches and orders for stores; resolves when their processes are gone. */
  abandonFetches(owner: string): Promise<void>;
  /** Fetches and orders for stores in flight. */
  readonly fetches: number;
  /** The same, oldest first. Known also while the thread answers nothing. */
  listFetches(): readonly FetchState[];
  /** How often the thread has ended unexpectedly, so that a new one had to start. */
  readonly restarts: number;
  /** What the thread says of itself. Never settles while it answers nothing. */
  report(): Promise<StreamingReport>;
  /** The port for bulk downloads; undefined without one. */
  readonly bulk: BulkDoor | undefined;
  /** Cancels everything and ends the thread. */
  stop(): Promise<void>;
  /** Ends the thread as a crash would. For tests of recovery. */
  crash(): Promise<void>;
}

export interface StreamingOptions {
  readonly settings: StreamSettings;
  /** Size of the ring through which a send's output passes from the worker to main. */
  readonly windowBytes: number;
  /** A folder that the daemon may write to. */
  readonly folder: string;
  /** Where the worker listens for bulk downloads; undefined: nowhere. */
  readonly bulk: Omit<BulkSettings, "firstRequest"> | undefined;
  /** Makes the id of a transfer, which no other has, whatever its kind and its thread. */
  newId(): number;
  /** What clients send, which orders name. */
  readonly bodies: Pick<StreamBodies, "find">;
  /** Called once for each image fetch, before its caller is answered. */
  onFetchEnd(end: FetchEnd): void;
  readonly log: Logger;
}

export function startStreaming(options: StreamingOptions): StreamingHandle {
  const { settings, windowBytes, folder, newId, log } = options;
  const sends = new Map<number, SendListener>();
  const fetches = new Map<number, PendingFetch>();
  const stores = createPendingStores({ newId: options.newId, order: (message) => order(message) });
  /** What resolves the calls of `report` that have no answer, by the id of their ping. */
  const pings = new Map<number, (said: StreamingReport) => void>();
  let restarts = 0;
  const children = createChildMemory();
  const atHost = createHostMemory();
  /** Kept for reuse: shared memory is freed late, once both threads have collected their garbage. */
  const freeRings: SharedArrayBuffer[] = [];
  /** Set once, by `stop`: a thread that ends afterwards is not replaced. */
  let stopped = false;
  const bulk =
    options.bulk &&
    createBulkHandle({
      settings: options.bulk,
      order: (message) => order(message),
      newId,
      onDeaf: (problem) => log.error({ problem }, "can't listen for bulk downloads; it is tried again"),
    });
  /**
   * The newest thread. From its crash until it is replaced, orders to it are lost; what they
   * started then fails together with what was running.
   */
  let thread = startThread();

  function startThread(): { piscina: Piscina; port: MessagePort; ended: Promise<unknown> } {
    const piscina = createSoloThread("streaming");
    const { port1, port2 } = new MessageChannel();
    port1.on("message", onEvent);
    const task: StreamTask = { settings, bulk: bulk?.settings(), folder, port: port2, children, atHost };
    const ended = piscina.run(task, { transferList: [port2] }).then(
      () => undefined,
      (error: unknown) => error,
    );
    const started = { piscina, port: port1, ended };
    void ended.then((error) => onThreadEnded(started, error));
    return started;
  }

  async function onThreadEnded(
    ended: { piscina: Piscina; port: MessagePort },
    error: unknown,
  ): Promise<void> {
    ended.port.close();
    giveBackSlots(settings.atHost.taken, atHost);
    if (stopped) return;
    restarts++;
    // Nobody waits for these answers for long.
    pings.clear();
    log.error({ error: String(error) }, "the streaming thread ended; it is started again");
    try {
      await endOrphans(children);
      await ended.piscina.destroy();
    } catch (failure) {
      log.error({ error: String(failure) }, "what the streaming thread left could not be ended");
    }
    const [brokenSends, brokenFetches] = [[...sends.values()], [...fetches.values()]];
    sends.clear();
    fetches.clear();
    bulk?.onThreadEnded();
    const failStores = stores.onThreadEnded();
    try {
      if (!stopped) thread = startThread();
    } finally {
      for (const listener of brokenSends) listener.onEnd(threadEnded.failure);
      for (const each of brokenFetches) each.settle(threadEnded);
      failStores(threadEnded);
    }
  }

  function onEvent(event: StreamEvent): void {
    switch (event.kind) {
      case "bytes":
        sends.get(event.id)?.onBytes();
        break;
      case "sent": {
        const listener = sends.get(event.id);
        sends.delete(event.id);
        listener?.onEnd(event.failure);
        break;
      }
      case "moved":
        fetches.get(event.id)?.onMoved();
        stores.onMoved(event.id);
        break;
      case "taken":
        return fetches.get(event.id)?.body?.onRoom();
      case "fetched": {
        const fetch = fetches.get(event.id);
        fetches.delete(event.id);
        fetch?.settle(event.outcome);
        break;
      }
      case "stored":
        stores.onStored(event.id, event.outcome);
        break;
      case "pong":
        pings.get(event.id)?.(event.said);
        pings.delete(event.id);
        break;
      default:
        bulk?.onEvent(event);
    }
  }

  const order = (message: StreamOrder) => thread.port.postMessage(message);
  return {
    get fetches() {
      return fetches.size + stores.list().length;
    },
    store: stores.store,
    listStores: stores.list,
    listFetches: () => Array.from(fetches, ([id, fetch]) => stateOfFetch(id, fetch)),
    get restarts() {
      return restarts;
    },
    bulk: bulk?.door,
    report: () =>
      new Promise((resolve) => {
        const id = newId();
        pings.set(id, resolve);
        order({ kind: "ping", id });
      }),
    send: (command, listener, skipBytes = 0) => {
      const id = newId();
      const ring = freeRings.pop() ?? createRingMemory(windowBytes);
      const reader = createRingReader(ring);
      sends.set(id, listener);
      order({ kind: "send", id, command, ring, skipBytes });
      return {
        id,
        poll: reader.poll,
        view: reader.view,
        release: (position) => {
          if (reader.release(position)) order({ kind: "room", id });
        },
        cancel: () => order({ kind: "cancel", id }),
        close: () => {
          clearRing(ring);
          freeRings.push(ring);
        },
      };
    },
    fetch: (owner, fetchOrder, cancelled, onMoved = () => {}) => {
      const id = newId();
      const body = options.bodies.find(fetchOrder.body);
      const fetch = createPendingFetch(owner, fetchOrder, onMoved, options.onFetchEnd, body);
      fetches.set(id, fetch);
      orderFetch(id, fetch, order);
      cancelled?.addEventListener("abort", () => order({ kind: "cancel", id }), { once: true });
      return fetch.settled;
    },
    abandonFetches: async (owner) => {
      const owned = [...fetches].filter(([, fetch]) => fetch.owner === owner);
      for (const [id] of owned) order({ kind: "cancel", id });
      await Promise.all([...owned.map(([, fetch]) => fetch.settled), stores.abandon(owner)]);
    },
    stop: async () => {
      stopped = true;
      for (const id of [...sends.keys(), ...fetches.keys(), ...(bulk?.ids ?? [])])
        order({ kind: "cancel", id });
      const settled = [...[...fetches.values()].map((fetch) => fetch.settled), stores.abandon()];
      await waitAtMost(STOP_LIMIT_MS, Promise.all(settled));
      thread.port.close();
      await waitAtMost(STOP_LIMIT_MS, thread.ended);
      await thread.piscina.destroy();
      await endOrphans(children);
    },
    crash: async () => {
      await thread.piscina.threads[0]?.terminate();
    },
  };
}
