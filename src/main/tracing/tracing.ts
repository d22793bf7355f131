import { hostname } from "node:os";
import type { Logger } from "pino";
import type { WholeReply } from "../../protocol/http/transport.js";
import {
  type ClockOrigin,
  clockOriginNow,
  createSpans,
  type Span,
  type SpanRecord,
} from "../../protocol/tracing/span.js";
import type { RequestHandler } from "../front-door.js";
import { RECEIVE_PATH } from "../receives/receive-requests.js";
import { otlpBody } from "./otlp-json.js";
import { createSpanExport } from "./span-export.js";
import { readTraceparent } from "./traceparent.js";

/** The traces of a daemon, which go to a collector. */
export interface Tracing {
  /** For the clocks of other threads. */
  readonly clock: ClockOrigin;
  /** Takes spans of other threads. */
  add(spans: readonly SpanRecord[]): void;
  /** The same handler; a request whose trace is sampled has a span in its reply. */
  traced<Reply extends WholeReply>(handler: RequestHandler<Reply>): RequestHandler<Reply>;
  /** The span of a message of a WebSocket; undefined if its trace is not sampled. */
  beginMessage(requestId: string, peer: string): Span | undefined;
  /** Sends what is left, and lasts no longer than some seconds. */
  close(): Promise<void>;
}

export interface TracingSettings {
  readonly url: string;
  readonly sampleRatio: number;
  readonly headers: Readonly<Record<string, string>>;
}

export interface TracingOptions {
  readonly version: string;
  readonly log: Logger;
  /** Called with the number of spans that the collector will never get. */
  onLost(count: number): void;
}

const DOWNLOAD = "/snapshots/download";
/** The paths of what agents do. Probes and scrapes are in no trace. */
const TRACED: ReadonlySet<string> = new Set(["/rpc", "/_mistify_RPC_", DOWNLOAD, RECEIVE_PATH]);

export function startTracing(settings: TracingSettings, { version, log, onLost }: TracingOptions): Tracing {
  const { url, headers, sampleRatio } = settings;
  const resource = {
    "service.name": "imagestore",
    "service.version": version,
    "service.instance.id": `${hostname()}:${process.pid}`,
    "host.name": hostname(),
  };
  const body = (spans: readonly SpanRecord[]) => otlpBody(resource, version, spans);
  const { add, close } = createSpanExport({ url, headers, body, log, onLost });
  const clock = clockOriginNow();
  const spans = createSpans(clock, (span) => add([span]));
  return {
    clock,
    add,
    close,
    beginMessage: (requestId, peer) => {
      if (Math.random() >= sampleRatio) return undefined;
      const known = { "url.path": "/rpc", "client.address": peer, "imagestore.request_id": requestId };
      return spans.begin(undefined, "WebSocket /rpc", "server", known);
    },
    traced: (handler) => (request, reply) => {
      const { method, path } = request;
      if (!TRACED.has(path)) return handler(request, reply);
      const parent = readTraceparent(request.header("traceparent"));
      if (!(parent ? parent.isSampled : Math.random() < sampleRatio)) return handler(request, reply);
      const span = spans.begin(parent, `${method} ${path}`, "server", {
        "http.request.method": method,
        "url.path": path,
        "client.address": reply.peer,
        "imagestore.request_id": reply.requestId,
      });
      reply.span = span;
      // A download ends it when its stream has ended, which is later or never told here.
      if (path !== DOWNLOAD) reply.onEnd(() => span.end());
      return handler(request, reply);
    },
  };
}
