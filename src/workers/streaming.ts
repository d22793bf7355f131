import { internalFailure } from "../protocol/storage/failures.js";
import type { FetchOrder } from "../protocol/storage/operations.js";
import { createChildTable } from "../protocol/threads/child-table.js";
import { createProgressWriter } from "../protocol/threads/fetch-progress.js";
import { openHostSlots } from "../protocol/threads/host-slots.js";
import type {
  StreamEvent,
  StreamingReport,
  StreamOrder,
  StreamTask,
} from "../protocol/threads/streaming-contract.js";
import { openTrace, traced } from "../protocol/threads/trace-points.js";
import { type BodyRing, openBodyRing } from "./streams/body-ring.js";
import { openBulkListener } from "./streams/bulk-listener.js";
import { copyStream } from "./streams/copy-stream.js";
import { sourceTrust } from "./streams/http-source.js";
import { fetchImage } from "./streams/image-fetch.js";
import { receiveBody } from "./streams/receive-body.js";
import { type Send, startSend } from "./streams/snapshot-send.js";

/** While the bytes of a fetch move, main hears of it no more often. */
const MOVED_PERIOD_MS = 200;

/**
 * The streaming worker: it moves bulk bytes and decides nothing. A download's bytes go into a
 * ring that main reads, or from their command to the client by themselves; an image's go from the
 * socket to `zfs receive` within this thread.
 * When main closes the port, everything that is running here is ended.
 */
export default function runStreaming(task: StreamTask): Promise<void> {
  const { port, settings, folder } = task;
  const trace = openTrace(process.env, "streaming");
  const children = traced(trace, "children", createChildTable(task.children));
  const sends = new Map<number, Send>();
  /** What ends each fetch, and each order for a store. */
  const fetches = new Map<number, AbortController>();
  /** The process of each of them that has started one, by the id of the fetch. */
  const receivers = new Map<number, number | undefined>();

  /** What clients send to each of those that take it from there. */
  const bodies = new Map<number, BodyRing>();

  const secureContext = sourceTrust(settings.ca);
  const hostSlots = openHostSlots(settings.atHost.taken, task.atHost, settings.atHost.limit);

  const trustOf = ({ ca }: FetchOrder) => (ca === undefined ? secureContext : sourceTrust([ca]));

  const notify = (event: StreamEvent) => {
    trace?.(`event.${event.kind}`);
    port.postMessage(event);
  };

  function send({ id, command, ring, skipBytes }: Extract<StreamOrder, { kind: "send" }>): void {
    const started = startSend({
      command,
      ring,
      skipBytes,
      children,
      folder,
      onBytes: () => notify({ kind: "bytes", id }),
      onEnd: (failure) => {
        sends.delete(id);
        notify({ kind: "sent", id, failure });
      },
    });
    sends.set(id, started);
  }

  async function fetch({
    id,
    order,
    progress,
    body,
  }: Extract<StreamOrder, { kind: "fetch" }>): Promise<void> {
    const abort = new AbortController();
    fetches.set(id, abort);
    const { fetchConnectMs: connectMs, fetchIdleMs: idleMs, repeats, ranges } = settings;
    let toldAt = 0;
    const onMoved = () => {
      const now = performance.now();
      if (now - toldAt < MOVED_PERIOD_MS) return;
      toldAt = now;
      notify({ kind: "moved", id });
    };
    const { sender } = order;
    const shared = {
      children,
      signal: abort.signal,
      onMoved,
      onStart: (pid: number | undefined) => void receivers.set(id, pid),
      ...createProgressWriter(progress),
    };
    const ofBody = body && openBodyRing(body.ring, () => notify({ kind: "taken", id }));
    if (ofBody) bodies.set(id, ofBody);
    const moving = sender
      ? copyStream({ order: { ...order, sender }, folder, ...shared })
      : order.body !== undefined
        ? receiveBody({ order, body: ofBody, length: body?.length, ...shared })
        : fetchImage({
            order,
            connectMs,
            idleMs,
            repeats,
            ranges,
            hostSlots,
            secureContext: trustOf(order),
            ...shared,
          });
    const outcome = await moving.catch(internalFailure);
    fetches.delete(id);
    receivers.delete(id);
    bodies.delete(id);
    notify({ kind: "fetched", id, outcome });
  }

  async function store({ id, order, progress }: Extract<StreamOrder, { kind: "store" }>): Promise<void> {
    const abort = new AbortController();
    fetches.set(id, abort);
    const { onProgress } = createProgressWriter(progress);
    let toldAt = 0;
    // The client of a store is loaded with the first order: few nodes have a store.
    const { runStoreOrder } = await import("./backups/run-store-order.js");
    const outcome = await runStoreOrder({
      order,
      children,
      signal: abort.signal,
      idleMs: settings.fetchIdleMs,
      onStart: (pid) => receivers.set(id, pid),
      onProgress: (bytes) => {
        onProgress(bytes, bytes);
        const now = performance.now();
        if (now - toldAt < MOVED_PERIOD_MS) return;
        toldAt = now;
        notify({ kind: "moved", id });
      },
    }).catch(internalFailure);
    fetches.delete(id);
    receivers.delete(id);
    notify({ kind: "stored", id, outcome });
  }

  const bulk = task.bulk && openBulkListener({ settings: task.bulk, children, notify });

  function report(): StreamingReport {
    const pids = new Map<number, number>();
    for (const [id, { pid }] of [...sends, ...(bulk?.sends ?? [])]) if (pid !== undefined) pids.set(id, pid);
    for (const [id, pid] of receivers) if (pid !== undefined) pids.set(id, pid);
    return { pids, bulkConnections: bulk?.connections ?? 0 };
  }

  port.on("message", (order: StreamOrder) => {
    trace?.(`order.${order.kind}`);
    switch (order.kind) {
      case "send":
        return send(order);
      case "fetch":
        return void fetch(order);
      case "store":
        return void store(order);
      case "written":
        return bodies.get(order.id)?.onBytes();
      case "bodyEnded":
        return bodies.get(order.id)?.onEnd(order.isWhole);
      case "room":
        return sends.get(order.id)?.resume();
      case "ping":
        return notify({ kind: "pong", id: order.id, said: report() });
      case "cancel":
        // An id belongs to one transfer of any kind.
        sends.get(order.id)?.cancel();
        fetches.get(order.id)?.abort();
        bulk?.cancel(order.id);
        return;
      default:
        return bulk?.take(order);
    }
  });

  return new Promise((resolve) => {
    port.on("close", () => {
      for (const send of sends.values()) send.cancel();
      for (const fetch of fetches.values()) fetch.abort();
      bulk?.close();
      resolve();
    });
  });
}
