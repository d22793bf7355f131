import { MessageChannel, type MessagePort } from "node:worker_threads";
import type { Logger } from "pino";
import type { Piscina } from "piscina";
import { type Failure, failed, type Outcome } from "../../protocol/storage/failures.js";
import type { FetchOrder, FetchReport } from "../../protocol/storage/operations.js";
import { clearRing, createRingMemory, createRingReader } from "../../protocol/threads/byte-ring.js";
import { createChildMemory } from "../../protocol/threads/child-table.js";
import type {
  StreamEvent,
  StreamOrder,
  StreamSettings,
  StreamTask,
} from "../../protocol/threads/streaming-contract.js";
import { endOrphans } from "../threads/orphans.js";
import { createSoloThread } from "../threads/solo-thread.js";

/** The output of a send under way in the streaming worker. Positions are bytes since its beginning. */
export interface SendHandle {
  /** The end of what has come so far. */
  look(): number;
  /** The bytes from a position on, `limit` at most, in one piece; good until they are released. */
  view(position: number, limit: number): Uint8Array;
  /** Makes room: what is before `position` is not needed any more. */
  release(position: number): void;
  /** Ends the command at once; `onEnd` still comes. */
  cancel(): void;
  /** Nothing will be looked at any more. To be called once, after `onEnd`. */
  close(): void;
}

export interface SendListener {
  /** More has come since the last look. */
  onBytes(): void;
  /** Called once. `failure` unless all bytes came and the command ended well. */
  onEnd(failure: Failure | undefined): void;
}

/** The streaming worker's handle. It survives its thread: after a crash the next order starts another. */
export interface Streaming {
  /** `skipBytes` at the beginning of the output are thrown away and not counted. */
  send(command: readonly string[], listener: SendListener, skipBytes?: number): SendHandle;
  /** `owner` groups fetches, to give them up together. */
  fetch(owner: string, order: FetchOrder): Promise<Outcome<FetchReport>>;
  /** Gives up the owner's fetches; resolves when their processes are gone. */
  abandonFetches(owner: string): Promise<void>;
  readonly sends: number;
  readonly fetches: number;
  stop(): Promise<void>;
  /** Ends the thread as a crash would. For tests of that. */
  crash(): Promise<void>;
}

interface Flight {
  readonly owner: string;
  settle(outcome: Outcome<FetchReport>): void;
  readonly settled: Promise<unknown>;
}

export interface StreamingOptions {
  readonly settings: StreamSettings;
  /** Bytes of a send that may be under way between the threads. */
  readonly windowBytes: number;
  /** A folder that the daemon may write to. */
  readonly folder: string;
  readonly log: Logger;
}

export function startStreaming({ settings, windowBytes, folder, log }: StreamingOptions): Streaming {
  const sends = new Map<number, SendListener>();
  const flights = new Map<number, Flight>();
  const children = createChildMemory();
  /** Used again: memory between threads is freed late, when both have collected their garbage. */
  const freeRings: SharedArrayBuffer[] = [];
  let lastId = 0;
  let stopped = false;
  let thread = startThread();

  function startThread(): { piscina: Piscina; port: MessagePort; ended: Promise<unknown> } {
    const piscina = createSoloThread("streaming");
    const { port1, port2 } = new MessageChannel();
    port1.on("message", onNews);
    const task: StreamTask = { settings, folder, port: port2, children };
    const ended = piscina.run(task, { transferList: [port2] }).then(
      () => undefined,
      (error: unknown) => error,
    );
    const started = { piscina, port: port1, ended };
    void ended.then((error) => onEnded(started, error));
    return started;
  }

  async function onEnded(ended: { piscina: Piscina; port: MessagePort }, error: unknown): Promise<void> {
    ended.port.close();
    if (stopped) return;
    log.error({ error: String(error) }, "the streaming thread ended; it is started again");
    await endOrphans(children);
    await ended.piscina.destroy().catch(() => {});
    const brokenSends = [...sends.values()];
    const brokenFlights = [...flights.values()];
    sends.clear();
    flights.clear();
    if (!stopped) thread = startThread();
    for (const listener of brokenSends) listener.onEnd(failed.interrupted.failure);
    for (const flight of brokenFlights) flight.settle(failed.interrupted);
  }

  function onNews(news: StreamEvent): void {
    switch (news.kind) {
      case "bytes":
        sends.get(news.id)?.onBytes();
        break;
      case "sent": {
        const listener = sends.get(news.id);
        sends.delete(news.id);
        listener?.onEnd(news.failure);
        break;
      }
      case "fetched": {
        const flight = flights.get(news.id);
        flights.delete(news.id);
        flight?.settle(news.outcome);
      }
    }
  }

  const order = (message: StreamOrder) => thread.port.postMessage(message);

  return {
    get sends() {
      return sends.size;
    },
    get fetches() {
      return flights.size;
    },
    send: (command, listener, skipBytes = 0) => {
      const id = ++lastId;
      const ring = freeRings.pop() ?? createRingMemory(windowBytes);
      const reader = createRingReader(ring);
      sends.set(id, listener);
      order({ kind: "send", id, command, ring, skipBytes });
      return {
        look: reader.poll,
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
    fetch: (owner, fetchOrder) => {
      const id = ++lastId;
      let settle: Flight["settle"] = () => {};
      const settled = new Promise<Outcome<FetchReport>>((resolve) => {
        settle = resolve;
      });
      flights.set(id, { owner, settle, settled });
      order({ kind: "fetch", id, order: fetchOrder });
      return settled;
    },
    abandonFetches: async (owner) => {
      const theirs = [...flights].filter(([, flight]) => flight.owner === owner);
      for (const [id] of theirs) order({ kind: "cancel", id });
      await Promise.all(theirs.map(([, flight]) => flight.settled));
    },
    stop: async () => {
      stopped = true;
      for (const id of [...sends.keys(), ...flights.keys()]) order({ kind: "cancel", id });
      await patiently(Promise.all([...flights.values()].map((flight) => flight.settled)));
      thread.port.close();
      await patiently(thread.ended);
      await thread.piscina.destroy();
      await endOrphans(children);
    },
    crash: async () => {
      await thread.piscina.threads[0]?.terminate();
    },
  };
}

/** Killed children end at once, unless the kernel holds them. */
const STOP_PATIENCE_MS = 2_000;

async function patiently(end: Promise<unknown>): Promise<void> {
  await Promise.race([end, new Promise((resolve) => setTimeout(resolve, STOP_PATIENCE_MS).unref())]);
}
