import type { Logger } from "pino";
import type { AcceptedChannel } from "../protocol/http/channel.js";
import { JSON_TEXT, PLAIN_TEXT, RETRY_AFTER } from "../protocol/http/headers.js";
import type {
  ChannelAccess,
  HttpReply,
  HttpRequest,
  Listener,
  Transport,
  TransportOptions,
  WholeReply,
} from "../protocol/http/transport.js";
import { type Outcome, succeed } from "../protocol/storage/failures.js";
import type { Config } from "./config/schema.js";
import { chooseTransport } from "./http/choose.js";
import { connectionLimit, readDescriptors } from "./http/descriptors.js";
import { listenOnSocket } from "./http/unix-socket.js";
import { listenFailure, socketFailure } from "./listen-failure.js";
import { isStream } from "./receives/receive-requests.js";
import { openTlsDoor, type TlsDoor } from "./tls-door.js";

/** Answers a request, at once or later. An exception is a bug. */
export type RequestHandler<Reply extends WholeReply = HttpReply> = (
  request: HttpRequest,
  reply: Reply,
) => void | Promise<void>;

/** The port that the daemon listens on, and what it has beside it. They are taken before any pool is touched. */
export interface FrontDoor {
  readonly transport: Transport;
  readonly listener: Listener;
  /** The port with TLS, which `listener` closes too; undefined where there is none. */
  readonly tls: TlsDoor | undefined;
  /** How many connections there may be to each port. */
  readonly connections: number;
  /**
   * Has `handle` answer the requests from now on. Until then they get the status 503.
   * `admit` and `onRefused` are called as TransportOptions says.
   */
  open(opened: OpenedDoor): void;
}

/** What answers at the door. */
export interface OpenedDoor extends Pick<TransportOptions, "onRefused"> {
  readonly handle: RequestHandler;
  readonly admit: (request: HttpRequest, reply: WholeReply) => boolean;
  /** As of ChannelAccess, at /rpc. Undefined: requests for channels are handled like others. */
  readonly accept?: ChannelAccess["accept"];
}

/** Elsewhere there are no channels: such a request is handled as if it asked for none. */
const CHANNEL_PATH = "/rpc";

/** Proxies and clients that are gone are found within it; those that are there answer a ping. */
const CHANNEL_IDLE_MS = 60_000;

/** A node's agents and tools seldom have more. */
const FEW_CONNECTIONS = 1_000;

type PortSettings = Pick<Config, "listen" | "limits"> & {
  readonly timeouts: Pick<Config["timeouts"], "bodyMs" | "replyMs">;
};

/**
 * Takes the port, and what the configuration has beside it: one with TLS, and the unix socket. Fails:
 * internal, with one line for the administrator: a port in use, no permission, no such address, a
 * certificate that is not in order.
 */
export async function takePort(settings: PortSettings, log: Logger): Promise<Outcome<FrontDoor>> {
  const { listen, limits } = settings;
  const { host, port, transport: wanted } = listen;
  const { bodyMs, replyMs } = settings.timeouts;
  let opened: OpenedDoor = { handle: refuseWhileStarting, admit: () => true, onRefused: () => {} };
  try {
    const descriptors = readDescriptors();
    const connections = connectionLimit(limits.connections, descriptors, listen.tls ? 2 : 1);
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
      admit: guardHead((request, reply) => opened.admit(request, reply), log),
      streams: isStream,
      channels: { idleMs: CHANNEL_IDLE_MS, accept: guardAccess(() => opened, log) },
      onRefused: () => opened.onRefused(),
    };
    const ofPort = await transport.listen({ ...options, host, port });
    const beside = await openBeside(settings, transport, options, log);
    if (!beside.ok) {
      await ofPort.close();
      return beside;
    }
    const { tls, listeners } = beside.value;
    const open: FrontDoor["open"] = (next) => {
      opened = next;
    };
    return succeed({ transport, listener: joined(ofPort, listeners), tls, connections, open });
  } catch (error) {
    return listenFailure(error, host, port, "choose another with --port");
  }
}

/**
 * What listens beside the port. If one of them can't, closes those that do.
 * Fails as openTlsDoor does, and for the socket: see socketFailure.
 */
async function openBeside(
  { listen }: PortSettings,
  transport: Transport,
  options: Omit<TransportOptions, "host" | "port">,
  log: Logger,
): Promise<Outcome<{ readonly tls: TlsDoor | undefined; readonly listeners: readonly Listener[] }>> {
  const { tls: settings, socket } = listen;
  const listeners: Listener[] = [];
  let tls: TlsDoor | undefined;
  if (settings) {
    const { host = listen.host, port } = settings;
    const opened = await openTlsDoor(settings, transport, { ...options, host, port }, log);
    if (!opened.ok) return opened;
    tls = opened.value;
    listeners.push(tls.listener);
  }
  try {
    if (socket) listeners.push(await listenOnSocket(socket, options));
  } catch (error) {
    await tls?.listener.close();
    return socketFailure(error, socket?.path ?? "");
  }
  return succeed({ tls, listeners });
}

/** Several listeners as one, which has the port of the first. */
function joined(port: Listener, others: readonly Listener[]): Listener {
  const all = [port, ...others];
  const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0);
  return {
    port: port.port,
    get bodyBytesInFlight() {
      return sum(all.map(({ bodyBytesInFlight }) => bodyBytesInFlight));
    },
    connections: async () => sum(await Promise.all(all.map((each) => each.connections()))),
    stopAccepting: () => {
      for (const each of all) each.stopAccepting();
    },
    close: async () => {
      await Promise.all(all.map((each) => each.close()));
    },
  };
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
    const onBug = (error: unknown) => tellBug(error, request, reply, log);
    try {
      const answering = handle(request, reply);
      if (answering instanceof Promise) answering.catch(onBug);
    } catch (error) {
      onBug(error);
    }
  };
}

/** As guard, for what looks at the head of a request. */
function guardHead(admit: OpenedDoor["admit"], log: Pick<Logger, "error">): OpenedDoor["admit"] {
  return (request, reply) => {
    try {
      return admit(request, reply);
    } catch (error) {
      tellBug(error, request, reply, log);
      return false;
    }
  };
}

/** As guard, for requests for channels. */
function guardAccess(opened: () => OpenedDoor, log: Pick<Logger, "error">): ChannelAccess["accept"] {
  return (request, reply) => {
    let accepted: AcceptedChannel | undefined;
    const { handle, accept } = opened();
    guard<HttpReply>((...asked) => {
      if (!accept || request.path !== CHANNEL_PATH) return handle(...asked);
      accepted = accept(...asked);
    }, log)(request, reply);
    return accepted;
  };
}

function tellBug(
  error: unknown,
  { method, path }: HttpRequest,
  reply: WholeReply,
  log: Pick<Logger, "error">,
): void {
  log.error({ err: error, method, path }, "a request could not be answered");
  reply.send(500, PLAIN_TEXT, "internal error\n");
}
