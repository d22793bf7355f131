import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { until } from "./until.js";

/** What an object is served with, and where its replies break. May be changed between requests. */
export interface ServedObject {
  body: Buffer;
  /** An ETag, or a Last-Modified; "none" for neither. */
  validator: "etag" | "modified" | "weak" | "none";
  /** In chunks without a length, or with one. */
  isChunked: boolean;
  /** Whether it answers a Range with 206. */
  hasRanges: boolean;
  /** A reply breaks where it comes to one of them, which is then taken away. 0: at its beginning, wherever that is. */
  breaks: number[];
  /** By a reset, by an end that comes early, or by silence. */
  how: "reset" | "end" | "silence";
  /** How many replies have been at work at the same time. */
  mostAtOnce: number;
  /** Answers so many requests with this status instead. */
  refusals: { status: number; headers?: Record<string, string> }[];
}

export interface Asked {
  readonly range: string | undefined;
  readonly ifRange: string | undefined;
}

export interface BreakingService {
  readonly host: string;
  readonly url: string;
  readonly served: ServedObject;
  /** The requests so far. */
  readonly asked: Asked[];
  /** Bytes of bodies that have come to the clients' systems. */
  sentBytes(): number;
  /** What its ETag is now. */
  etag(): string;
  close(): Promise<void>;
}

const MODIFIED = "Mon, 02 Feb 2026 03:04:05 GMT";
const PIECE_BYTES = 64 * 1024;

/** After which a connection breaks though its reader has not taken everything. */
const UNSENT_LIMIT_MS = 30_000;

/** How many bytes of a connection wait in this system for the other side. */
function unsentBytes({ localPort = 0, remotePort = 0 }: Socket): number {
  const hex = (port: number) => port.toString(16).toUpperCase().padStart(4, "0");
  const ends = new RegExp(`:${hex(localPort)} \\w+:${hex(remotePort)} \\w\\w (\\w+):`);
  const found = ends.exec(readFileSync("/proc/net/tcp", "latin1"))?.[1];
  // A row may be left out of one look, as others come and go.
  return found === undefined ? Number.POSITIVE_INFINITY : Number.parseInt(found, 16);
}

/** A service of one object, whatever its path, whose replies break in the middle. */
export async function openBreakingService(body: Buffer): Promise<BreakingService> {
  const served: ServedObject = {
    ...{
      body,
      validator: "etag",
      isChunked: false,
      hasRanges: true,
      breaks: [],
      how: "reset",
      refusals: [],
      mostAtOnce: 0,
    },
  };
  const asked: Asked[] = [];
  let sent = 0;
  const etag = () => `"${createHash("sha256").update(served.body).digest("hex").slice(0, 16)}"`;

  function validatorHeaders(): Record<string, string> {
    if (served.validator === "etag") return { etag: etag() };
    if (served.validator === "weak") return { etag: `W/${etag()}` };
    return served.validator === "modified" ? { "last-modified": MODIFIED } : {};
  }

  /** The part that a request wants, if it may have one. */
  function partOf({ range, ifRange }: Asked): { start: number; end: number } | undefined {
    const [, first, last = ""] = /^bytes=(\d+)-(\d*)$/.exec(range ?? "") ?? [];
    const own = Object.values(validatorHeaders());
    if (first === undefined || !served.hasRanges) return undefined;
    if (ifRange !== undefined && !own.includes(ifRange)) return undefined;
    const total = served.body.length;
    return { start: Number(first), end: last === "" ? total : Math.min(total, Number(last) + 1) };
  }

  async function send(response: ServerResponse, start: number, wanted: number): Promise<void> {
    const next = served.breaks.find((at) => at === 0 || (at >= start && at <= wanted));
    const end = next === undefined ? wanted : Math.max(start, next);
    for (let at = start; at < end; ) {
      const piece = served.body.subarray(at, Math.min(end, at + PIECE_BYTES));
      await new Promise<void>((resolve) => response.write(piece, () => resolve()));
      if (response.destroyed) return;
      at += piece.length;
      sent += piece.length;
    }
    if (next === undefined) return void response.end();
    const { socket } = response;
    // A reset takes back what has not left this system: that was not fetched. A reader may hold it back for long.
    if (socket) {
      const isSent = () => socket.destroyed || unsentBytes(socket) === 0;
      await until("all has been sent", isSent, UNSENT_LIMIT_MS).catch(console.error);
    }
    served.breaks.splice(served.breaks.indexOf(next), 1);
    if (served.how === "reset") response.socket?.resetAndDestroy();
    else if (served.how === "end") response.socket?.destroy();
  }

  let atOnce = 0;
  function answer(request: IncomingMessage, response: ServerResponse): void {
    response.on("error", () => {});
    served.mostAtOnce = Math.max(served.mostAtOnce, ++atOnce);
    response.once("close", () => atOnce--);
    const { range, "if-range": ifRange } = request.headers;
    const ask = { range, ifRange: ifRange?.toString() };
    asked.push(ask);
    const refusal = served.refusals.shift();
    if (refusal) return void response.writeHead(refusal.status, refusal.headers).end("not now\n");
    const asksFor = partOf(ask);
    const total = served.body.length;
    const { start, end } = asksFor ?? { start: 0, end: total };
    if (asksFor && start >= total) {
      response.writeHead(416, { ...validatorHeaders(), "content-range": `bytes */${total}` }).end();
      return;
    }
    const part = asksFor && { "content-range": `bytes ${start}-${end - 1}/${total}` };
    const length = served.isChunked ? {} : { "content-length": String(end - start) };
    response.writeHead(asksFor ? 206 : 200, { ...validatorHeaders(), ...part, ...length });
    void send(response, start, end);
  }

  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    ...{ host, url: `http://${host}/images/i/download`, served, asked, etag },
    sentBytes: () => sent,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
