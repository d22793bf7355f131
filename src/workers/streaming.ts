import { internalFailure } from "../protocol/storage/failures.js";
import { createChildTable } from "../protocol/threads/child-table.js";
import type { StreamEvent, StreamOrder, StreamTask } from "../protocol/threads/streaming-contract.js";
import { fetchImage } from "./streams/image-fetch.js";
import { type Send, startSend } from "./streams/snapshot-send.js";

/**
 * The streaming worker: moves bulk bytes and decides nothing. Downloads go into a ring
 * that main reads; image fetches run from socket to `zfs receive` without
 * leaving this thread. Ends, with everything it started, when main closes the port.
 */
export default function runStreaming(task: StreamTask): Promise<void> {
  const { port, settings, folder } = task;
  const children = createChildTable(task.children);
  const sends = new Map<number, Send>();
  const fetches = new Map<number, AbortController>();

  const tell = (event: StreamEvent) => port.postMessage(event);

  function send({ id, command, ring, skipBytes }: Extract<StreamOrder, { kind: "send" }>): void {
    const started = startSend({
      command,
      ring,
      skipBytes,
      children,
      folder,
      onBytes: () => tell({ kind: "bytes", id }),
      onEnd: (failure) => {
        sends.delete(id);
        tell({ kind: "sent", id, failure });
      },
    });
    sends.set(id, started);
  }

  async function fetch({ id, order }: Extract<StreamOrder, { kind: "fetch" }>): Promise<void> {
    const abort = new AbortController();
    fetches.set(id, abort);
    const { fetchConnectMs: connectMs, fetchIdleMs: idleMs } = settings;
    const outcome = await fetchImage({ order, connectMs, idleMs, children, signal: abort.signal }).catch(
      internalFailure,
    );
    fetches.delete(id);
    tell({ kind: "fetched", id, outcome });
  }

  port.on("message", (order: StreamOrder) => {
    switch (order.kind) {
      case "send":
        return send(order);
      case "fetch":
        return void fetch(order);
      case "room":
        return sends.get(order.id)?.goOn();
      case "cancel":
        sends.get(order.id)?.cancel();
        fetches.get(order.id)?.abort();
    }
  });

  return new Promise((resolve) => {
    port.on("close", () => {
      for (const each of sends.values()) each.cancel();
      for (const each of fetches.values()) each.abort();
      resolve();
    });
  });
}
