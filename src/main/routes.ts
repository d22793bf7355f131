import { includesRole, isNarrowed, type Role } from "../protocol/access/roles.js";
import { allowing, JSON_TEXT, PLAIN_TEXT } from "../protocol/http/headers.js";
import type { HttpReply, HttpRequest, WholeReply } from "../protocol/http/transport.js";
import type { Caller } from "./access/caller.js";
import type { BulkReply } from "./downloads/bulk-handle.js";
import type { EventStreams } from "./events/event-stream.js";
import { type RequestHandler, refuseWhileStarting } from "./front-door.js";
import type { Gate } from "./gate.js";
import { ownVersion } from "./own-version.js";
import { isReady, type Readiness } from "./pools/readiness.js";
import { RECEIVE_PATH } from "./receives/receive-requests.js";
import type { RpcEndpoint } from "./rpc/endpoint.js";
import { isOfPage, type WebPage } from "./web-page.js";

/** What is told of and by the daemon from its first moment on. */
export interface OpenRoutes {
  readonly gate: Pick<Gate, "callerOf">;
  /** What the daemon does and waits for, as a text. */
  diagnose(): Promise<string>;
  /** The page for a browser; undefined: there is none. */
  readonly page: WebPage | undefined;
}

export interface RouteOptions extends OpenRoutes {
  readonly rpc: RpcEndpoint;
  readonly download: CallerHandler;
  /** Tells how a download has ended. */
  readonly result: CallerHandler<WholeReply>;
  readiness(): Promise<Readiness>;
  /** Serves streams that clients send. */
  readonly receive: CallerHandler<WholeReply>;
  /** Serves the events as a stream. */
  readonly events: EventStreams;
  /** All metrics in the text format of Prometheus, with its media type. */
  metrics(): Promise<{ readonly type: string; readonly text: string }>;
  /** The oldest work of each pool and what it waits for, as JSON. */
  work(): Promise<string>;
  readonly configured: Configured;
}

/** What the configuration has names for that callers use. */
interface Configured {
  readonly peers: readonly string[];
  /** The profiles of `backups`. */
  readonly backups: readonly string[];
}

/** Answers a request of a caller who is known. */
type CallerHandler<Reply extends WholeReply = HttpReply> = (
  request: HttpRequest,
  reply: Reply,
  caller: Caller,
) => void | Promise<void>;

/** Routes each request by its path. The handler rejects if the answer can't be made, which is a bug. */
export function createRoutes(options: RouteOptions): RequestHandler {
  const { rpc } = options;

  async function answerReady(reply: HttpReply): Promise<void> {
    const readiness = await options.readiness();
    const { stopping, pools, notices, late } = readiness;
    const ready = isReady(readiness);
    const told = {
      ...(notices.size > 0 ? { notices: Object.fromEntries(notices) } : {}),
      ...(late.size > 0 ? { late: Object.fromEntries(late) } : {}),
    };
    const body = JSON.stringify({ ready, stopping, pools: Object.fromEntries(pools), ...told });
    reply.send(ready ? 200 : 503, JSON_TEXT, `${body}\n`);
  }

  async function answerMetrics(reply: HttpReply): Promise<void> {
    const { type, text } = await options.metrics();
    reply.send(200, [["Content-Type", type]], text);
  }

  async function answerWork(reply: HttpReply): Promise<void> {
    reply.send(200, [...JSON_TEXT, ["Cache-Control", "no-store"]], await options.work());
  }

  const routes = createDownloadRoutes(options, (request, reply, caller) => {
    switch (request.path) {
      case "/_mistify_RPC_":
        return rpc("1.0", request, reply, caller);
      case "/rpc":
        return rpc("2.0", request, reply, caller);
      case RECEIVE_PATH:
        return options.receive(request, reply, caller);
      case "/events":
        return options.events(request, reply, caller);
      case "/readyz":
        return probe(request, reply, () => answerReady(reply));
      case "/metrics":
        return ofWholeNode(caller, "read", reply, () => probe(request, reply, () => answerMetrics(reply)));
      case "/work":
        return ofWholeNode(caller, "read", reply, () => probe(request, reply, () => answerWork(reply)));
      case "/whoami":
        return probe(request, reply, () => answerCaller(reply, caller, options.configured));
      case "/diagnose":
        return ofWholeNode(caller, "admin", reply, () =>
          probe(request, reply, () => answerDiagnosis(options, reply)),
        );
      default:
        return notFound(reply);
    }
  });
  return withPage(options, routes);
}

/** Serves the page beside `others`. */
function withPage<Reply extends WholeReply>(
  options: Pick<OpenRoutes, "page" | "gate">,
  others: RequestHandler<Reply>,
): RequestHandler<Reply> {
  const { page } = options;
  if (page === undefined) return others;
  return (request, reply) => {
    if (!isOfPage(request.path)) return others(request, reply);
    if (options.gate.callerOf(request, reply) !== undefined) page(request, reply);
  };
}

/** Tells a caller who it is to the daemon, what it may do, and the names that some methods need. */
function answerCaller(reply: WholeReply, { id, grant }: Caller, configured: Configured): void {
  const { role, pools, names } = grant;
  const told = {
    version: ownVersion(),
    caller: id ?? null,
    role,
    pools: pools ?? null,
    names: names ?? null,
    ...configured,
  };
  reply.send(200, [...JSON_TEXT, ["Cache-Control", "no-store"]], `${JSON.stringify(told)}\n`);
}

interface DownloadRoutes<Reply extends WholeReply> extends Pick<RouteOptions, "gate" | "result"> {
  readonly download: CallerHandler<Reply>;
}

/** Routes the requests to the port for bulk downloads, which serves nothing else. */
export function createBulkRoutes(options: DownloadRoutes<BulkReply>): RequestHandler<BulkReply> {
  return createDownloadRoutes(options, (_request, reply) => notFound(reply));
}

/** What both ports serve. `others` answers the requests for other paths. */
function createDownloadRoutes<Reply extends WholeReply>(
  options: DownloadRoutes<Reply>,
  others: CallerHandler<Reply>,
): RequestHandler<Reply> {
  return (request, reply) => {
    const caller = options.gate.callerOf(request, reply);
    if (caller === undefined) return;
    switch (request.path) {
      case "/snapshots/download":
        return options.download(request, reply, caller);
      case "/snapshots/download/result":
        return probe(request, reply, () => options.result(request, reply, caller));
      case "/healthz":
        return probe(request, reply, () => reply.send(200, PLAIN_TEXT, "ok\n"));
      default:
        return others(request, reply, caller);
    }
  };
}

/** Answers what is about all pools, for a caller who has the role for all of them. */
function ofWholeNode(
  { grant }: Caller,
  role: Role,
  reply: WholeReply,
  answer: () => void | Promise<void>,
): void | Promise<void> {
  if (includesRole(grant.role, role) && !isNarrowed(grant)) return answer();
  reply.send(403, PLAIN_TEXT, `not allowed: this needs the role ${role} for all pools and names\n`);
}

/** Routes requests while the pools are being opened. One that hangs is then to be found by `/diagnose`. */
export function createStartingRoutes(options: OpenRoutes): RequestHandler<WholeReply> {
  return withPage(options, (request, reply) => {
    if (request.path !== "/diagnose") return refuseWhileStarting(request, reply);
    const caller = options.gate.callerOf(request, reply);
    if (caller === undefined) return;
    return ofWholeNode(caller, "admin", reply, () =>
      probe(request, reply, () => answerDiagnosis(options, reply)),
    );
  });
}

function notFound(reply: WholeReply): void {
  reply.send(404, PLAIN_TEXT, "404 page not found\n");
}

async function answerDiagnosis({ diagnose }: OpenRoutes, reply: WholeReply): Promise<void> {
  reply.send(200, [...PLAIN_TEXT, ["Cache-Control", "no-store"]], await diagnose());
}

/** Answers a read of a probe or of the metrics; other verbs get 405. */
function probe(
  { method }: HttpRequest,
  reply: WholeReply,
  answer: () => void | Promise<void>,
): void | Promise<void> {
  if (method === "GET" || method === "HEAD") return answer();
  reply.send(405, allowing("GET, HEAD"), `method not allowed: ${method}\n`);
}
