import { randomBytes } from "node:crypto";
import { bodyTooLarge } from "../../protocol/http/body-reader.js";
import { allowing, PLAIN_TEXT } from "../../protocol/http/headers.js";
import type { HttpReply, HttpRequest, WholeReply } from "../../protocol/http/transport.js";
import { type Failure, failed, limitReached } from "../../protocol/storage/failures.js";
import type { PoolName } from "../../protocol/storage/names.js";
import type { SendTicket } from "../../protocol/storage/operations.js";
import { createPace, joinPaces, type Pace } from "../../protocol/threads/pace.js";
import type { Caller } from "../access/caller.js";
import type { JobRegistry } from "../jobs/job-registry.js";
import type { CallReport } from "../observability/call-report.js";
import type { Actor } from "../pools/actor-handle.js";
import type { BulkReply } from "./bulk-handle.js";
import { createBulkPump } from "./bulk-pump.js";
import { answerHead } from "./describe-send.js";
import { createDownloadPump } from "./download-pump.js";
import { reportDownload } from "./download-report.js";
import {
  asAsked,
  asksForRedirect,
  bulkLocation,
  headersOf,
  type PlannedDownload,
  planAllowedDownload,
  refuseDownload,
} from "./download-requests.js";
import { createDownloadResults, type DownloadResults } from "./download-results.js";
import { createFairScheduler } from "./fair-scheduler.js";
import { releaseHold } from "./hold-release.js";
import { type OpenPump, openOrRefuse, sendWhole } from "./open-pump.js";
import { createRecentReaders } from "./recent-readers.js";
import {
  type Download,
  type DownloadChange,
  type DownloadPath,
  type DownloadState,
  holdsOf,
  jobOf,
  type ListedDownload,
  listed,
  stateOf,
} from "./running-download.js";
import { createSharedSends } from "./shared-sends.js";
import type { StreamingHandle } from "./streaming-handle.js";

export interface DownloadOptions {
  readonly pools: readonly PoolName[];
  readonly streaming: Pick<StreamingHandle, "send">;
  /** Those by the ring and bulk downloads together. */
  readonly maxDownloads: number;
  /** What a request's body may have, for messages. */
  readonly bodyBytes: number;
  /** Size of the ring between the streaming worker and the client's socket. */
  readonly windowBytes: number;
  /** A reader that takes nothing for this long is cut off. */
  readonly stalledReaderMs: number;
  /** What all downloads are held to together; undefined: nothing. */
  readonly pace?: Pace | undefined;
  /** Where bulk downloads are served; undefined: nowhere. */
  readonly bulkPort: number | undefined;
  /** The actor that serves a pool; undefined while the daemon stops. */
  actorOf(pool: PoolName): Actor | undefined;
  /** Counts bytes that were handed to clients' sockets. */
  onBytes(bytes: number): void;
  report(call: CallReport): void;
  readonly jobs: Pick<JobRegistry, "begin">;
  /** Called when a download has its hold, and when it has ended. */
  onChange(change: DownloadChange): void;
}

export interface Downloads {
  /** Serves a download on the main port, or redirects it. Rejects for a bug. */
  handle(request: HttpRequest, reply: HttpReply, caller: Caller): void | Promise<void>;
  /** Serves a download on the port for bulk downloads. Rejects for a bug. */
  handleBulk(request: HttpRequest, reply: BulkReply, caller: Caller): void | Promise<void>;
  /** Tells how a download ended. */
  readonly handleResult: DownloadResults["handle"];
  /** How many downloads are running, from the hold to the first try to release it. */
  readonly active: number;
  /** How many of them are bulk downloads. */
  readonly activeBulk: number;
  /** The tags of the holds that a pool's downloads have, and of those that could not be released yet. */
  liveTags(pool: PoolName): string[];
  /** Each download that has a hold, and what it waits for. */
  list(): readonly ListedDownload[];
  /** The same downloads, and how far they have come. */
  states(): readonly DownloadState[];
  /** Cancels every download; resolves when all holds are released. */
  endAll(): Promise<void>;
}

const METHODS: readonly string[] = ["GET", "HEAD", "POST"];
/** What all downloads together write in one turn of the event loop. */
const TURN_BYTES = 128 * 1024;
/** Clients that start before a stream has passed this length share it. */
const PREFIX_BYTES = 4 * 1024 * 1024;
/** Longer than the pauses of a client that is merely busy, shorter than others should wait for it. */
const LAG_MS = 2_000;
/** Readers of one snapshot that ask within this time for the fastest path share a send. */
const TOGETHER_MS = 2_000;

/** A request for a download, and whose it is. */
interface Asked {
  readonly request: HttpRequest;
  readonly reply: WholeReply;
  readonly caller: Caller;
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
  const readers = createRecentReaders(TOGETHER_MS);
  const results = createDownloadResults({ find: findRunning });
  /** Aborted by `endAll`: then no release is retried. */
  const ending = new AbortController();
  /** Downloads that wait for their ticket: with those in `active`, they count against `maxDownloads`. */
  let opening = 0;
  /** Ids of downloads are unique over all runs of the daemon: a client may ask the next one. */
  const idPrefix = randomBytes(6).toString("hex");
  let lastId = 0;

  const { stalledReaderMs, bulkPort } = options;
  const tooMany = limitReached("limits.downloads", `at most ${options.maxDownloads} at once`);
  /** What is sent once for all who ask for it at about the same time. */
  const keyOf = ({
    pool,
    ticket: { tag, kind = "" },
    rate = 0,
  }: Pick<Download, "pool" | "ticket" | "rate">) =>
    kind === null ? undefined : `${pool} ${tag} ${rate} ${kind}`;

  function handle(request: HttpRequest, reply: HttpReply, caller: Caller): void | Promise<void> {
    const openPump: OpenPump = ({ headers, onBytes, ...of }) =>
      createDownloadPump({
        reply,
        headers,
        scheduler,
        stalledReaderMs,
        pace: joinPaces([options.pace, of.rate === undefined ? undefined : createPace(of.rate)]),
        openSend: (listener) => sends.send(keyOf(of), of.ticket.command, listener),
        refuse: (failure) => refuseDownload(reply, failure),
        onBytes,
      });
    return open({ request, reply, caller }, "ring", openPump);
  }

  function handleBulk(request: HttpRequest, reply: BulkReply, caller: Caller): void | Promise<void> {
    const openPump: OpenPump = ({ ticket, rate, headers, onBytes }) =>
      createBulkPump({
        reply,
        headers,
        command: ticket.command,
        bytesPerSecond: rate,
        stalledReaderMs,
        refuse: (failure) => refuseDownload(reply, failure),
        onBytes,
      });
    return open({ request, reply, caller }, "bulk", openPump);
  }

  function open(
    { request, reply, caller }: Asked,
    path: DownloadPath,
    openPump: OpenPump,
  ): void | Promise<void> {
    const planned = planAllowedDownload(request, options.pools, caller.grant);
    const operationOf = planned.ok ? planned.value.operation : undefined;
    const report = reportDownload(options.report, operationOf, reply, caller, path);
    const refuseAndReport = (failure: Failure, pool = "") => {
      refuseDownload(reply, failure);
      report(pool, failure);
    };
    if (!METHODS.includes(request.method)) {
      return sendWhole(reply, 405, allowing(METHODS.join(", ")), `method not allowed: ${request.method}\n`);
    }
    if (request.tooLarge) return sendWhole(reply, 413, PLAIN_TEXT, `${bodyTooLarge(options.bodyBytes)}\n`);
    if (!planned.ok) return refuseAndReport(planned.failure);
    const { pool, operation } = planned.value;
    const actor = options.actorOf(pool);
    if (!actor) return refuseAndReport(failed.stopping.failure, pool);
    if (request.method === "HEAD") return answerHead(actor, operation, reply);
    // The other port is a plain one: nobody is sent there who has come by TLS.
    const mayRedirect = path === "ring" && reply.tls === undefined;
    const location = mayRedirect ? redirectOf(request, planned.value) : undefined;
    if (location !== undefined) return sendWhole(reply, 307, [...PLAIN_TEXT, ["Location", location]], "");
    if (active.size + opening >= options.maxDownloads) return refuseAndReport(tooMany.failure, pool);
    const { requestId, peer } = reply;
    const { rate, wish } = planned.value;
    const client = { path, requestId, peer, caller: caller.id, rate, wish };
    opening++;
    return actor
      .call<SendTicket>(asAsked(operation, request, path), reply)
      .finally(() => opening--)
      .then((ticket) => {
        if (!ticket.ok) return refuseAndReport(ticket.failure, pool);
        const id = `${idPrefix}-${(++lastId).toString(36)}`;
        start(actor, ticket.value, reply, { ...client, id }, openPump, (failure) => report(pool, failure));
      });
  }

  /** Where a client is sent that asks for the fastest path. Undefined: it is served here, by the ring. */
  function redirectOf(request: HttpRequest, { operation, wish }: PlannedDownload): string | undefined {
    if (bulkPort === undefined || operation.op !== "OpenSend" || !asksForRedirect(request)) return undefined;
    const canJoin = [...active].some((each) => each.wish === wish && sends.canJoin(keyOf(each)));
    // Several readers of the same share a send, which needs the ring.
    return readers.add(wish) || canJoin ? undefined : bulkLocation(request, bulkPort);
  }

  function start(
    actor: Actor,
    ticket: SendTicket,
    reply: WholeReply,
    client: Pick<Download, "id" | "path" | "requestId" | "peer" | "caller" | "rate" | "wish">,
    openPump: OpenPump,
    report: (failure: Failure | undefined) => void,
  ): void {
    const moved = { bytes: 0, lastByteAt: 0 };
    const onBytes = (bytes: number) => {
      moved.bytes += bytes;
      if (bytes > 0) moved.lastByteAt = Date.now();
      options.onBytes(bytes);
    };
    const headers = headersOf(client.id, ticket);
    const { rate } = client;
    const pump = openOrRefuse(() => openPump({ pool: actor.pool, ticket, rate, headers, onBytes }), reply);
    const sending = reply.span?.child("send", "internal", { "imagestore.path": client.path });
    // Not in one chain with the release: a report that can't be made is a bug, and keeps no hold.
    void pump.ended.then((failure) => {
      const state = failure ? "failed" : "complete";
      results.keep(client.id, { snapshot: ticket.name, state, bytes: pump.length, failure });
      sending?.end(failure?.code, { "imagestore.bytes": moved.bytes });
      report(failure);
      job.end(failure);
      options.onChange({ action: "ended", download, failure });
    });
    const done = pump.ended.then(async () => {
      download.endedAt = performance.now();
      const onFailed = () => {
        // It no longer counts against `maxDownloads`.
        unreleased.add(download);
        active.delete(download);
      };
      await Promise.all(holdsOf(ticket).map((hold) => releaseHold(actor, hold, ending.signal, onFailed)));
      active.delete(download);
      unreleased.delete(download);
    });
    const startedAt = performance.now();
    const download: Download = {
      ...client,
      pool: actor.pool,
      ...{ ticket, pump, startedAt, moved, done, endedAt: undefined },
    };
    active.add(download);
    const job = options.jobs.begin(jobOf(download));
    options.onChange({ action: "started", download });
    job.onCancel(() => pump.cancel(failed.cancelled.failure));
  }

  function findRunning(id: string): ReturnType<Parameters<typeof createDownloadResults>[0]["find"]> {
    const found = [...active].find((each) => each.id === id);
    if (!found || found.endedAt !== undefined) return undefined;
    const { ticket, pump } = found;
    const state = pump.state().phase === "flushing" ? "complete" : "running";
    return { outcome: { snapshot: ticket.name, state, bytes: pump.length }, ended: pump.ended };
  }

  const all = () => [...active, ...unreleased];
  return {
    handle,
    handleBulk,
    handleResult: results.handle,
    get active() {
      return active.size;
    },
    get activeBulk() {
      return [...active].filter(({ path }) => path === "bulk").length;
    },
    liveTags: (pool) =>
      all().flatMap((each) => (each.pool === pool ? holdsOf(each.ticket).map(({ tag }) => tag) : [])),
    list: () => all().map(listed),
    states: () => all().map(stateOf),
    endAll: async () => {
      ending.abort();
      for (const { pump } of active) pump.cancel(failed.stopping.failure);
      await Promise.all(all().map((download) => download.done));
    },
  };
}
