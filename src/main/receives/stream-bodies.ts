import type { IncomingBody } from "../../protocol/http/transport.js";
import { createRingMemory } from "../../protocol/threads/byte-ring.js";
import { StreamBody } from "./stream-body.js";

/** The streams that clients send now, by the numbers that orders name them by. */
export interface StreamBodies {
  /** How many there are. */
  readonly count: number;
  /** How many bytes have come of all of them, those that have ended too. */
  readonly receivedBytes: number;
  /** Call it while the request is handled. */
  open(incoming: IncomingBody): { readonly number: number; readonly body: StreamBody };
  find(number: number | undefined): StreamBody | undefined;
  close(number: number): void;
}

/** `windowBytes`: of each ring. `idleMs`: as of StreamBody. */
export function createStreamBodies(windowBytes: number, idleMs: number): StreamBodies {
  const bodies = new Map<number, StreamBody>();
  let lastNumber = 0;
  let endedBytes = 0;
  return {
    get count() {
      return bodies.size;
    },
    get receivedBytes() {
      return [...bodies.values()].reduce((sum, body) => sum + body.receivedBytes, endedBytes);
    },
    open: (incoming) => {
      const number = ++lastNumber;
      const body = new StreamBody(incoming, createRingMemory(windowBytes), idleMs);
      bodies.set(number, body);
      return { number, body };
    },
    find: (number) => (number === undefined ? undefined : bodies.get(number)),
    close: (number) => {
      const body = bodies.get(number);
      if (!body) return;
      body.close();
      bodies.delete(number);
      endedBytes += body.receivedBytes;
    },
  };
}
