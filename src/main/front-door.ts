import type { Logger } from "pino";
import { JSON_TEXT, PLAIN_TEXT, RETRY_AFTER } from "../protocol/http/headers.js";
import type {
  HttpReply,
  HttpRequest,
  Listener,
  Transport,
  TransportOptions,
  WholeReply,
} from "../protocol/http/transport.js";
import { codeOf, messageOf } from "../protocol/storage/caught-error.js";
import { type FailedOutcome, fail, type Outcome, succeed } from "../protocol/storage/failures.js";
import type { Config } from "./config/schema.js";
import { chooseTransport } from "./http/choose.js";
import { connectionLimit, readDescriptors } from "./http/descriptors.js";
import { listenOnSocket, type SocketSettings } from "./http/unix-socket.js";

/** Answers a request, at once or later. An exception is a bug. */
export type RequestHandler<Reply extends WholeReply = HttpReply> = (
  request: HttpRequest,
  reply: Reply,
) => void | Promise<void>;

/** The port that the daemon listens on, and its unix socket. They are taken before any pool is touched. */
export interface FrontDoor {
  readonly transport: Transport;
  readonly listener: Listener;
  /** How many connections there may be. */
  readonly connections: number;
  /**
   * Has `handle` answer the requests from now on. Until then they get the status 503.
   * `onRefused` is called as TransportOptions says.
   */
  open(opened: Pick<TransportOptions, "onRefused"> & { readonly handle: RequestHandler }): void;
}

/** A node's agents and tools seldom have more. */
const FEW_CONNECTIONS = 1_000;

type PortSettings = Pick<Config, "listen" | "limits"> & {
  readonly timeouts: Pick<Config["timeouts"], "bodyMs" | "replyMs">;
};

/**
 * Takes the port, and the unix socket. Fails: internal, with one line for the administrator: a port in
 * use, no permission, no such address.
 */
export async function takePort(
  { listen: { host, port, socket, transport: wanted }, limits, timeouts }: PortSettings,
  log: Logger,
): Promise<Outcome<FrontDoor>> {
  const { bodyMs, replyMs } = timeouts;
  let opened: Parameters<FrontDoor["open"]>[0] = { handle: refuseWhileStarting, onRefused: () => {} };
  try {
    const descriptors = readDescriptors();
    const connections = connectionLimit(limits.connections, descriptors);
    if (connections < limits.connections) {
      // The default is more than most machines give: only few are worth a warning.
      log[connections < FEW_CONNECTIONS ? "warn" : "info"](
        { ...descriptors, connections },
        "limits.connections is lowered: descriptors (ulimit -n) are few",
      );
    }
    const most = descriptors?.most ?? Number.POSITIVE_INFINITY;
    const transport = chooseTransport(wanted, log, most);
    const options = {
      limits: { ...limits, connections, bodyMs, replyMs },
      handle: guard((request: HttpRequest, reply: HttpReply) => opened.handle(request, reply), log),
      onRefused: () => opened.onRefused(),
    };
    const ofPort = await transport.listen({ ...options, host, port });
    const listener = socket ? await withSocket(ofPort, socket, options) : succeed(ofPort);
    if (!listener.ok) return listener;
    const open: FrontDoor["open"] = (next) => {
      opened = next;
    };
    return succeed({ transport, listener: listener.value, connections, open });
  } catch (error) {
    return listenFailure(error, host, port, "choose another with --port");
  }
}

/** The port and the unix socket as one. Closes the port if the socket can't be had. */
async function withSocket(
  port: Listener,
  settings: SocketSettings,
  options: Parameters<typeof listenOnSocket>[1],
): Promise<Outcome<Listener>> {
  let socket: Listener;
  try {
    socket = await listenOnSocket(settings, options);
  } catch (error) {
    await port.close();
    return fail("internal", socketProblem(error, settings.path));
  }
  const both = [port, socket];
  return succeed({
    port: port.port,
    get bodyBytesInFlight() {
      return port.bodyBytesInFlight + socket.bodyBytesInFlight;
    },
    connections: async () => (await port.connections()) + (await socket.connections()),
    stopAccepting: () => {
      for (const each of both) each.stopAccepting();
    },
    close: async () => {
      await Promise.all(both.map((each) => each.close()));
    },
  });
}

function socketProblem(error: unknown, path: string): string {
  switch (codeOf(error)) {
    case "EADDRINUSE":
      return `something answers at the socket ${path}: another imagestore may be running`;
    case "ENOENT":
      return `can't listen on the socket ${path}: its folder is not there`;
    default:
      return `can't listen on the socket ${path}: ${messageOf(error)}`;
  }
}

/** Nothing that a client sends before the pools are open is run: it may be repeated. */
export function refuseWhileStarting(request: HttpRequest, reply: WholeReply): void {
  if (request.path === "/healthz") return reply.send(200, PLAIN_TEXT, "ok\n");
  if (request.path === "/readyz") {
    const body = JSON.stringify({ ready: false, stopping: false, starting: true, pools: {} });
    return reply.send(503, JSON_TEXT, `${body}\n`);
  }
  reply.send(503, [...PLAIN_TEXT, ...RETRY_AFTER], "imagestore is starting: its pools are being opened\n");
}

/**
 * Has a client answered for whose request `handle` throws or rejects: without that it would wait for
 * ever. Does nothing to a reply that was sent or begun.
 */
export function guard<Reply extends WholeReply>(
  handle: RequestHandler<Reply>,
  log: Pick<Logger, "error">,
): (request: HttpRequest, reply: Reply) => void {
  return (request, reply) => {
    const onBug = (error: unknown) => {
      log.error(
        { err: error, method: request.method, path: request.path },
        "a request could not be answered",
      );
      reply.send(500, PLAIN_TEXT, "internal error\n");
    };
    try {
      const answering = handle(request, reply);
      if (answering instanceof Promise) answering.catch(onBug);
    } catch (error) {
      onBug(error);
    }
  };
}

/** The failure to listen, with one line for the administrator. `other`: how to choose another port. */
export function listenFailure(error: unknown, host: string, port: number, other: string): FailedOutcome {
  return fail("internal", listenProblem(error, host, port, other));
}

function listenProblem(error: unknown, host: string, port: number, other: string): string {
  switch (codeOf(error)) {
    case "EADDRINUSE":
      return `port ${port} on ${host} is in use: another imagestore may be running; ${other}`;
    case "EACCES":
      return `no permission to listen on ${host}:${port}: ports below 1024 need CAP_NET_BIND_SERVICE`;
    case "EADDRNOTAVAIL":
      return `this machine has no address ${host}: set the host below listen to one that it has`;
    default:
      return messageOf(error);
  }
}
