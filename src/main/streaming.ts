import { MessageChannel, type MessagePort } from "node:worker_threads";
import type { Logger } from "pino";
import type { Piscina } from "piscina";
import { createChildMemory } from "../protocol/child-table.js";
import { type Failure, type Outcome, refusals } from "../protocol/failures.js";
import type { FetchOrder, FetchReport } from "../protocol/operations.js";
import type { StreamNews, StreamOrder, StreamSettings, StreamTask } from "../protocol/stream-contract.js";
import { endOrphans } from "./orphans.js";
import { createSoloThread } from "./thread.js";

/** A send under way in the streaming worker. */
export interface SendHandle {
  credit(bytes: number): void;
  cancel(): void;
}

export interface SendListener {
  onFrame(frame: Uint8Array): void;
  /** Called once. `failure` unless all bytes came and the command ended well. */
  onEnd(failure: Failure | undefined): void;
}

/** The streaming worker's handle. It survives its thread: after a crash the next order starts another. */
export interface Streaming {
  /** `skipBytes` of the output are thrown away before the first frame. */
  send(
    command: readonly string[],
    creditBytes: number,
    listener: SendListener,
    skipBytes?: number,
  ): SendHandle;
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

export function startStreaming(settings: StreamSettings, log: Logger): Streaming {
  const sends = new Map<number, SendListener>();
  const flights = new Map<number, Flight>();
  const children = createChildMemory();
  let lastId = 0;
  let stopped = false;
  let thread = startThread();

  function startThread(): { piscina: Piscina; port: MessagePort; ended: Promise<unknown> } {
    const piscina = createSoloThread("streaming");
    const { port1, port2 } = new MessageChannel();
    port1.on("message", onNews);
    const task: StreamTask = { settings, port: port2, children };
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
    for (const listener of brokenSends) listener.onEnd(refusals.interrupted.failure);
    for (const flight of brokenFlights) flight.settle(refusals.interrupted);
  }

  function onNews(news: StreamNews): void {
    switch (news.kind) {
      case "frame":
        sends.get(news.id)?.onFrame(new Uint8Array(news.frame));
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
    send: (command, creditBytes, listener, skipBytes = 0) => {
      const id = ++lastId;
      sends.set(id, listener);
      order({ kind: "send", id, command, credit: creditBytes, skipBytes });
      return {
        credit: (bytes) => order({ kind: "credit", id, bytes }),
        cancel: () => order({ kind: "cancel", id }),
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
