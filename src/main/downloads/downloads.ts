import { setTimeout as sleep } from "node:timers/promises";
import { planDownload, type SnapshotRequest, snapshotRequest } from "../../protocol/json-rpc/methods.js";
import { readObject } from "../../protocol/json-rpc/params.js";
import { FAILURES, type Failure, fail, failed, type Outcome } from "../../protocol/storage/failures.js";
import type { PoolName } from "../../protocol/storage/names.js";
import type { SendTicket } from "../../protocol/storage/operations.js";
import { allowing, PLAIN_TEXT, RETRY_AFTER } from "../http/headers.js";
import type { BodySink, Headers, HttpReply, HttpRequest } from "../http/transport.js";
import type { Actor } from "../pools/actor-handle.js";
import type { CallReport } from "../rpc/rpc.js";
import { createFairScheduler } from "./fair-scheduler.js";
import { createSharedSends, type SharedSend } from "./shared-sends.js";
import type { StreamingHandle } from "./streaming-handle.js";

export interface DownloadOptions {
  readonly pools: readonly PoolName[];
  readonly streaming: StreamingHandle;
  readonly maxDownloads: number;
  /** Bytes that may be under way between the streaming worker and the client's socket. */
  readonly windowBytes: number;
  readonly stalledReaderMs: number;
  actorOf(pool: PoolName): Actor | undefined;
  onBytes(bytes: number): void;
  report(call: CallReport): void;
}

export interface Downloads {
  handle(request: HttpRequest, reply: HttpReply): void;
  /** Downloads under way, from the hold to its release. */
  readonly active: number;
  /** Tags of the holds that running downloads of a pool have. */
  liveTags(pool: PoolName): string[];
  /** Cuts off every download; resolves when all holds are released. */
  endAll(): Promise<void>;
}

const STREAM: Headers = [["Content-Type", "application/octet-stream"]];
/** What all downloads together write before other requests get their turn. */
const TURN_BYTES = 128 * 1024;
/** What one download writes before another one does: a client that is woken for less costs more. */
const STEP_BYTES = 64 * 1024;
/** Clients that come while a stream is no longer than this share it from its beginning. */
const PREFIX_BYTES = 4 * 1024 * 1024;
/** Longer than a busy client is away for once, shorter than others should wait for it. */
const LAG_MS = 2_000;
/** Tries to release a hold while its actor starts again. */
const RELEASE_TRIES = 30;
const RELEASE_PAUSE_MS = 1_000;

interface Download {
  readonly pool: PoolName;
  readonly ticket: SendTicket;
  /** Gives the client up. */
  abort(): void;
  readonly done: Promise<void>;
}

export function createDownloads(options: DownloadOptions): Downloads {
  const active = new Set<Download>();
  const scheduler = createFairScheduler(TURN_BYTES);
  const sends = createSharedSends({
    send: options.streaming.send,
    windowBytes: options.windowBytes,
    prefixBytes: PREFIX_BYTES,
    lagMs: LAG_MS,
  });
  let opening = 0;

  function refuse(reply: HttpReply, failure: Failure): void {
    const { http } = FAILURES[failure.code];
    reply.send(http, http === 503 ? [...PLAIN_TEXT, ...RETRY_AFTER] : PLAIN_TEXT, `${failure.message}\n`);
  }

  function handle(request: HttpRequest, reply: HttpReply): void {
    const startedAt = performance.now();
    const report = (pool: string, failure: Failure | undefined) =>
      options.report({
        method: "download",
        pool,
        code: failure?.code ?? "ok",
        ms: performance.now() - startedAt,
        detail: failure?.detail,
      });
    const refuseAndReport = (failure: Failure, pool = "") => {
      refuse(reply, failure);
      report(pool, failure);
    };
    if (request.method !== "GET" && request.method !== "POST") {
      return reply.send(405, allowing("GET, POST"), `method not allowed: ${request.method}\n`);
    }
    if (request.tooLarge)
      return reply.send(413, PLAIN_TEXT, "the body is larger than limits.bodyBytes allows\n");
    const read = readDownload(request);
    const planned = read.ok ? planDownload(read.value, options.pools) : read;
    if (!planned.ok) return refuseAndReport(planned.failure);
    const { pool, operation } = planned.value;
    const actor = options.actorOf(pool);
    if (!actor) return refuseAndReport(failed.stopping.failure, pool);
    if (active.size + opening >= options.maxDownloads)
      return refuseAndReport(failed.overloaded.failure, pool);
    opening++;
    void actor.call<SendTicket>(operation).then((ticket) => {
      opening--;
      if (ticket.ok) start(actor, ticket.value, reply, (failure) => report(pool, failure));
      else refuseAndReport(ticket.failure, pool);
    });
  }

  function start(
    actor: Actor,
    ticket: SendTicket,
    reply: HttpReply,
    report: (failure: Failure | undefined) => void,
  ): void {
    const pump = createPump(actor.pool, ticket, reply);
    const done = pump.ended.then(async (failure) => {
      report(failure);
      await release(actor, ticket);
      active.delete(download);
    });
    const download: Download = { pool: actor.pool, ticket, abort: pump.abort, done };
    active.add(download);
  }

  /** A hold that stays would keep its snapshot for ever: try on while the actor starts again. */
  async function release(actor: Actor, { name, tag }: SendTicket): Promise<void> {
    for (let attempt = 0; attempt < RELEASE_TRIES; attempt++) {
      const closed = await actor.callAlways<null>({ op: "CloseSend", name, tag });
      if (closed.ok || !FAILURES[closed.failure.code].retryable || actor.state === "stopped") return;
      await sleep(RELEASE_PAUSE_MS);
    }
  }

  /** Moves bytes to the client, as fast as it takes them. */
  function createPump(
    pool: PoolName,
    ticket: SendTicket,
    reply: HttpReply,
  ): { abort(): void; ended: Promise<Failure | undefined> } {
    let sink: BodySink | undefined;
    let isFinished = false;
    let sent: { failure: Failure | undefined } | undefined;
    let patience: NodeJS.Timeout | undefined;
    let settle: (failure: Failure | undefined) => void = () => {};
    const ended = new Promise<Failure | undefined>((resolve) => {
      settle = (failure) => {
        clearTimeout(patience);
        send.close();
        resolve(failure);
      };
    });
    const gone = fail("service.interrupted", "the client went away").failure;

    const wait = () => {
      clearTimeout(patience);
      patience = setTimeout(abort, options.stalledReaderMs);
    };
    const openSink = () =>
      reply.stream(200, STREAM, send, () => {
        clearTimeout(patience);
        scheduler.add(step);
      });
    /** Writes some pieces. @returns their bytes, 0 when there are none or the client must take some first. */
    const step = (): number => {
      if (isFinished || reply.isDisconnected || sink?.isBlocked) return 0;
      if (send.available > 0) sink ??= openSink();
      let bytes = 0;
      for (let piece = 1; piece > 0 && bytes < STEP_BYTES; bytes += piece) piece = sink?.pump() ?? 0;
      if (bytes > 0) options.onBytes(bytes);
      if (sink?.isBlocked) wait();
      else if (bytes === 0 && sent) finish(sent.failure);
      return bytes;
    };
    const finish = (failure: Failure | undefined) => {
      isFinished = true;
      if (failure) {
        if (sink) sink.reset();
        else refuse(reply, failure);
        return settle(failure);
      }
      sink ??= openSink();
      options.onBytes(send.available);
      wait();
      sink.end(() => settle(undefined));
    };
    const giveUp = () => {
      clearTimeout(patience);
      send.close();
      // The process may be gone already: then nobody else will say that this is the end.
      if (sent) settle(gone);
    };
    const abort = () => {
      sink?.reset();
      giveUp();
    };

    const send: SharedSend = sends.send(`${pool} ${ticket.tag}`, ticket.command, {
      onBytes: () => scheduler.add(step),
      onEnd: (failure) => {
        sent = { failure };
        if (reply.isDisconnected) settle(failure ?? gone);
        else if (failure) finish(failure);
        else scheduler.add(step);
      },
    });
    reply.onDisconnect(giveUp);
    if (reply.isDisconnected) giveUp();
    return { abort, ended };
  }

  return {
    handle,
    get active() {
      return active.size;
    },
    liveTags: (pool) => [...active].filter((each) => each.pool === pool).map((each) => each.ticket.tag),
    endAll: async () => {
      for (const download of active) download.abort();
      await Promise.all([...active].map((download) => download.done));
    },
  };
}

/** Reads `?id=…` or a body that is a bare SnapshotRequest. */
function readDownload(request: HttpRequest): Outcome<SnapshotRequest> {
  const query = new URLSearchParams(request.query);
  const id = query.get("id");
  if (id !== null) return { ok: true, value: { ...snapshotRequest.zero, id, pool: query.get("pool") ?? "" } };
  return readObject(snapshotRequest, "SnapshotRequest", request.body);
}
