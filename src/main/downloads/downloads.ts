import { setTimeout as sleep } from "node:timers/promises";
import { bodyTooLarge } from "../../protocol/http/body-reader.js";
import { allowing, PLAIN_TEXT, RETRY_AFTER } from "../../protocol/http/headers.js";
import type { HttpReply, HttpRequest } from "../../protocol/http/transport.js";
import { messageOf20 } from "../../protocol/json-rpc/failure-text.js";
import { type DownloadRequest, planDownload } from "../../protocol/json-rpc/methods/snapshots.js";
import {
  FAILURES,
  type Failure,
  failed,
  internalFailure,
  limitReached,
} from "../../protocol/storage/failures.js";
import type { PoolName, SnapshotName } from "../../protocol/storage/names.js";
import type { SendTicket } from "../../protocol/storage/operations.js";
import type { CallReport } from "../observability/call-report.js";
import type { Actor } from "../pools/actor-handle.js";
import { createDownloadPump, type DownloadPump, type PumpState } from "./download-pump.js";
import { createFairScheduler } from "./fair-scheduler.js";
import { createSharedSends } from "./shared-sends.js";
import type { StreamingHandle } from "./streaming-handle.js";

export interface DownloadOptions {
  readonly pools: readonly PoolName[];
  readonly streaming: StreamingHandle;
  readonly maxDownloads: number;
  /** What a request's body may have, for messages. */
  readonly bodyBytes: number;
  /** Size of the ring between the streaming worker and the client's socket. */
  readonly windowBytes: number;
  /** A reader that takes nothing for this long is cut off. */
  readonly stalledReaderMs: number;
  /** The actor that serves a pool; undefined while the daemon stops. */
  actorOf(pool: PoolName): Actor | undefined;
  /** Counts bytes that were handed to clients' sockets. */
  onBytes(bytes: number): void;
  report(call: CallReport): void;
}

/** A download under way. Times are by the clock of Date.now. */
export interface DownloadState extends PumpState {
  readonly pool: PoolName;
  readonly snapshot: SnapshotName;
  readonly requestId: string;
  /** The client's address. */
  readonly peer: string;
  readonly startedAt: number;
  /** Bytes that were handed to the client's socket. */
  readonly bytes: number;
  /** When the last of them were; 0 before the first. */
  readonly lastByteAt: number;
}

export interface Downloads {
  /** Rejects for a bug. */
  handle(request: HttpRequest, reply: HttpReply): void | Promise<void>;
  /** How many downloads are running, from the hold to the first try to release it. */
  readonly active: number;
  /** The tags of the holds that a pool's downloads have, and of those that could not be released yet. */
  liveTags(pool: PoolName): string[];
  /** Each download that has a hold, and what it waits for. */
  list(): readonly ListedDownload[];
  /** The same downloads, and how far they have come. */
  states(): readonly DownloadState[];
  /** Cancels every download; resolves when all holds are released. */
  endAll(): Promise<void>;
}

/** A download. `waitsFor`: bytes of its send, or the release of its hold; undefined while its client is slow. */
export interface ListedDownload {
  readonly download: Pick<Download, "pool" | "requestId" | "startedAt" | "ticket">;
  readonly waitsFor: { readonly kind: "stream" | "holds"; readonly since: number } | undefined;
}

/** What all downloads together write in one turn of the event loop. */
const TURN_BYTES = 128 * 1024;
/** Clients that start before a stream has passed this length share it. */
const PREFIX_BYTES = 4 * 1024 * 1024;
/** Longer than the pauses of a client that is merely busy, shorter than others should wait for it. */
const LAG_MS = 2_000;
/** The pause before a release is tried again. It doubles up to the longest. */
const FIRST_RELEASE_PAUSE_MS = 1_000;
const LONGEST_RELEASE_PAUSE_MS = 30_000;

interface Download {
  readonly pool: PoolName;
  readonly requestId: string;
  readonly startedAt: number;
  readonly ticket: SendTicket;
  readonly pump: DownloadPump;
  /** When its send and its reply had ended; undefined until then. */
  endedAt: number | undefined;
  /** The client's address. */
  readonly peer: string;
  /** Of DownloadState. */
  readonly moved: { bytes: number; lastByteAt: number };
  /** Resolves when the hold is released, or a stop has come before it could be. Never rejects. */
  readonly done: Promise<void>;
}

/** Serves downloads: has the actor hold each snapshot, pumps its stream, and has the hold released. */
export function createDownloads(options: DownloadOptions): Downloads {
  const active = new Set<Download>();
  /** Downloads that have ended, and whose hold could not be released at the first try. */
  const unreleased = new Set<Download>();
  const scheduler = createFairScheduler(TURN_BYTES);
  const sends = createSharedSends({
    send: options.streaming.send,
    windowBytes: options.windowBytes,
    prefixBytes: PREFIX_BYTES,
    lagMs: LAG_MS,
  });
  /** Aborted by `endAll`: then no release is retried. */
  const ending = new AbortController();
  /** Downloads that wait for their ticket: with those in `active`, they count against `maxDownloads`. */
  let opening = 0;

  const tooMany = limitReached("limits.downloads", `at most ${options.maxDownloads} at once`);

  function refuse(reply: HttpReply, failure: Failure): void {
    const { http } = FAILURES[failure.code];
    const text = failure.code === "service.overloaded" ? messageOf20(failure) : failure.message;
    reply.send(http, http === 503 ? [...PLAIN_TEXT, ...RETRY_AFTER] : PLAIN_TEXT, `${text}\n`);
  }

  function handle(request: HttpRequest, reply: HttpReply): void | Promise<void> {
    const startedAt = performance.now();
    const planned = planDownload(downloadRequest(request), options.pools);
    // The reply knows its peer only until it is answered.
    const { requestId, peer } = reply;
    const report = (pool: string, failure: Failure | undefined) =>
      options.report({
        method: "download",
        pool,
        code: failure?.code ?? "ok",
        ms: performance.now() - startedAt,
        requestId,
        peer,
        operation: planned.ok ? planned.value.operation : undefined,
        message: failure?.message,
        detail: failure?.cause ?? failure?.detail,
      });
    const refuseAndReport = (failure: Failure, pool = "") => {
      refuse(reply, failure);
      report(pool, failure);
    };
    if (request.method !== "GET" && request.method !== "POST") {
      return reply.send(405, allowing("GET, POST"), `method not allowed: ${request.method}\n`);
    }
    if (request.tooLarge) return reply.send(413, PLAIN_TEXT, `${bodyTooLarge(options.bodyBytes)}\n`);
    if (!planned.ok) return refuseAndReport(planned.failure);
    const { pool, operation } = planned.value;
    const actor = options.actorOf(pool);
    if (!actor) return refuseAndReport(failed.stopping.failure, pool);
    if (active.size + opening >= options.maxDownloads) return refuseAndReport(tooMany.failure, pool);
    opening++;
    return actor
      .call<SendTicket>(operation, reply)
      .finally(() => opening--)
      .then((ticket) => {
        if (ticket.ok)
          start(actor, ticket.value, reply, { requestId, peer }, (failure) => report(pool, failure));
        else refuseAndReport(ticket.failure, pool);
      });
  }

  function start(
    actor: Actor,
    ticket: SendTicket,
    reply: HttpReply,
    client: Pick<DownloadState, "requestId" | "peer">,
    report: (failure: Failure | undefined) => void,
  ): void {
    const moved = { bytes: 0, lastByteAt: 0 };
    const pump = openPump(actor, ticket, reply, (bytes) => {
      moved.bytes += bytes;
      if (bytes > 0) moved.lastByteAt = Date.now();
      options.onBytes(bytes);
    });
    // Not in one chain with the release: a report that can't be made is a bug, and keeps no hold.
    void pump.ended.then(report);
    const done = pump.ended.then(async () => {
      download.endedAt = performance.now();
      await release(actor, download);
      active.delete(download);
      unreleased.delete(download);
    });
    const download: Download = {
      pool: actor.pool,
      ...client,
      startedAt: performance.now(),
      moved,
      ticket,
      pump,
      endedAt: undefined,
      done,
    };
    active.add(download);
  }

  /** Never throws: the hold is there, and whoever waits for `ended` releases it. */
  function openPump(
    actor: Actor,
    ticket: SendTicket,
    reply: HttpReply,
    onBytes: (bytes: number) => void,
  ): DownloadPump {
    try {
      return createDownloadPump({
        reply,
        scheduler,
        stalledReaderMs: options.stalledReaderMs,
        openSend: (listener) => sends.send(`${actor.pool} ${ticket.tag}`, ticket.command, listener),
        refuse: (failure) => refuse(reply, failure),
        onBytes,
      });
    } catch (error) {
      // No memory for another ring, for example.
      const { failure } = internalFailure(error);
      refuse(reply, failure);
      const state = (): PumpState => ({ phase: "ended", isBlocked: false, waitingBytes: 0, sendId: 0 });
      return { state, cancel: () => {}, waitsSince: undefined, ended: Promise.resolve(failure) };
    }
  }

  /**
   * Tries until it succeeds: a hold that stays would keep its snapshot forever, and what made it
   * fail may pass, as a full disk does. Not during a stop, which it would delay: the next start
   * releases what the records still have.
   */
  async function release(actor: Actor, download: Download): Promise<void> {
    const { signal } = ending;
    const { name, tag } = download.ticket;
    for (let pauseMs = FIRST_RELEASE_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_RELEASE_PAUSE_MS)) {
      const closed = await actor.callAlways<null>({ op: "CloseSend", name, tag }).catch(internalFailure);
      if (closed.ok || actor.state === "stopped" || signal.aborted) return;
      // It no longer counts against `maxDownloads`.
      unreleased.add(download);
      active.delete(download);
      await sleep(pauseMs, undefined, { signal, ref: false }).catch(() => {});
    }
  }

  return {
    handle,
    get active() {
      return active.size;
    },
    liveTags: (pool) =>
      [...active, ...unreleased].filter((each) => each.pool === pool).map((each) => each.ticket.tag),
    list: () => [...active, ...unreleased].map(listed),
    states: () => [...active, ...unreleased].map(stateOf),
    endAll: async () => {
      ending.abort();
      for (const { pump } of active) pump.cancel(failed.stopping.failure);
      await Promise.all([...active, ...unreleased].map((download) => download.done));
    },
  };
}

function stateOf({ pool, ticket, requestId, peer, startedAt, moved, pump }: Download): DownloadState {
  const begunAt = performance.timeOrigin + startedAt;
  return { pool, snapshot: ticket.name, requestId, peer, startedAt: begunAt, ...moved, ...pump.state() };
}

function listed(download: Download): ListedDownload {
  const { pump, endedAt } = download;
  if (endedAt !== undefined) return { download, waitsFor: { kind: "holds", since: endedAt } };
  const since = pump.waitsSince;
  return { download, waitsFor: since === undefined ? undefined : { kind: "stream", since } };
}

/** `?id=…`, or a body that is a bare SnapshotRequest. */
function downloadRequest({ query, body }: HttpRequest): DownloadRequest {
  const fields = new URLSearchParams(query);
  const id = fields.get("id");
  return id === null ? { body } : { id, pool: fields.get("pool") ?? "" };
}
