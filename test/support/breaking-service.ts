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
  /** A reply breaks where it comes to the first of them, which is then taken away. */
  breaks: number[];
  /** By a reset, by an end that comes early, or by silence. */
  how: "reset" | "end" | "silence";
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

/** How many bytes of a connection wait in this system for the other side. */
function unsentBytes({ localPort = 0, remotePort = 0 }: Socket): number {
  const hex = (port: number) => port.toString(16).toUpperCase().padStart(4, "0");
  const ends = new RegExp(`:${hex(localPort)} \\w+:${hex(remotePort)} \\w\\w (\\w+):`);
  return Number.parseInt(ends.exec(readFileSync("/proc/net/tcp", "latin1"))?.[1] ?? "0", 16);
}

/** A service of one object, whatever its path, whose replies break in the middle. */
export async function openBreakingService(body: Buffer): Promise<BreakingService> {
  const served: ServedObject = {
    ...{ body, validator: "etag", isChunked: false, hasRanges: true, breaks: [], how: "reset", refusals: [] },
  };
  const asked: Asked[] = [];
  let sent = 0;
  const etag = () => `"${createHash("sha256").update(served.body).digest("hex").slice(0, 16)}"`;

  function validatorHeaders(): Record<string, string> {
    if (served.validator === "etag") return { etag: etag() };
    if (served.validator === "weak") return { etag: `W/${etag()}` };
    return served.validator === "modified" ? { "last-modified": MODIFIED } : {};
  }

  /** Where a request wants the object to begin, if it may have a part of it. */
  function startOf({ range, ifRange }: Asked): number | undefined {
    const [, first] = /^bytes=(\d+)-$/.exec(range ?? "") ?? [];
    const own = Object.values(validatorHeaders());
    if (first === undefined || !served.hasRanges) return undefined;
    return ifRange === undefined || own.includes(ifRange) ? Number(first) : undefined;
  }

  async function send(response: ServerResponse, start: number): Promise<void> {
    const [next] = served.breaks;
    const end = next === undefined ? served.body.length : Math.max(start, next);
    for (let at = start; at < end; ) {
      const piece = served.body.subarray(at, Math.min(end, at + PIECE_BYTES));
      await new Promise<void>((resolve) => response.write(piece, () => resolve()));
      if (response.destroyed) return;
      at += piece.length;
      sent += piece.length;
    }
    if (next === undefined) return void response.end();
    const { socket } = response;
    // A reset takes back what has not left this system: that was not fetched.
    if (socket) await until("all has been sent", () => socket.destroyed || unsentBytes(socket) === 0);
    served.breaks.shift();
    if (served.how === "reset") response.socket?.resetAndDestroy();
    else if (served.how === "end") response.socket?.destroy();
  }

  function answer(request: IncomingMessage, response: ServerResponse): void {
    response.on("error", () => {});
    const { range, "if-range": ifRange } = request.headers;
    const ask = { range, ifRange: ifRange?.toString() };
    asked.push(ask);
    const refusal = served.refusals.shift();
    if (refusal) return void response.writeHead(refusal.status, refusal.headers).end("not now\n");
    const start = startOf(ask);
    const total = served.body.length;
    if (start !== undefined && start >= total) {
      response.writeHead(416, { ...validatorHeaders(), "content-range": `bytes */${total}` }).end();
      return;
    }
    const part = start === undefined ? {} : { "content-range": `bytes ${start}-${total - 1}/${total}` };
    const length = served.isChunked ? {} : { "content-length": String(total - (start ?? 0)) };
    response.writeHead(start === undefined ? 200 : 206, { ...validatorHeaders(), ...part, ...length });
    void send(response, start ?? 0);
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
