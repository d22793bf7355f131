import uWS, {
  type HttpResponse,
  type HttpRequest as UwsRequest,
  type us_listen_socket,
} from "uWebSockets.js";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { PLAIN_TEXT } from "./headers.js";
import { DISCARD_FACTOR, type Transport, type TransportOptions } from "./transport.js";
import { createReplyContext, type ReplyContext, UwsReply } from "./uws-reply.js";
import { ReceivedRequest } from "./uws-request.js";

/** Without it a second daemon on the port would silently get half of the traffic. */
const LIBUS_LISTEN_EXCLUSIVE_PORT = 1;

/** uWebSockets.js needs a moment between its close and the end of the process. */
const CLOSE_PAUSE_MS = 200;

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

declare module "uWebSockets.js" {
  /** What the native module has and its type declarations lack. */
  interface TemplatedApp {
    listen(
      host: string,
      port: number,
      options: number,
      callback: (socket: us_listen_socket | false) => void,
    ): TemplatedApp;
    close(): TemplatedApp;
  }
}

/** The transport on uWebSockets.js. Use it only where `isNative` is true. */
export const uwsTransport: Transport = {
  name: "uws",
  async listen(options) {
    const app = uWS.App();
    const context = createReplyContext();
    // Nearly all requests are POST. A route for them saves asking each for its method: every call
    // into the module costs.
    app.post("/*", (response, request) => receive(response, request, "POST", options, context));
    app.any("/*", (response, request) =>
      receive(response, request, request.getMethod().toUpperCase(), options, context),
    );
    const socket = await new Promise<us_listen_socket | false>((resolve) => {
      app.listen(options.host, options.port, LIBUS_LISTEN_EXCLUSIVE_PORT, resolve);
    });
    if (!socket) throw await listenError(options.host, options.port);
    let accepting = true;
    const stopAccepting = () => {
      if (accepting) uWS.us_listen_socket_close(socket);
      accepting = false;
    };
    return {
      port: uWS.us_socket_local_port(socket),
      stopAccepting,
      close: async () => {
        stopAccepting();
        app.close();
        await sleep(CLOSE_PAUSE_MS);
      },
    };
  },
};

/** Whether a native build is loaded; the package's own fallback in JavaScript can't stream. */
export function isNative(): boolean {
  return "LIBUS_LISTEN_EXCLUSIVE_PORT" in uWS;
}

/** uWebSockets.js does not say why it can't listen. node:net does, when it tries the same. */
function listenError(host: string, port: number): Promise<Error> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", resolve);
    probe.listen({ host, port, exclusive: true }, () =>
      probe.close(() => resolve(new Error(`uWebSockets.js can't listen on ${host}:${port}`))),
    );
  });
}

/** Gathers the body of a request, and hands the request over once it is complete or too long. */
function receive(
  response: HttpResponse,
  request: UwsRequest,
  method: string,
  options: TransportOptions,
  context: ReplyContext,
): void {
  // Both before anything asynchronous: `request` is valid only during this call, and the reply
  // must learn of a disconnect.
  const received = new ReceivedRequest(request, method);
  const reply = new UwsReply(response, method === "HEAD", context);
  if (received.problem !== undefined) {
    reply.closeAfter = true;
    return reply.send(400, PLAIN_TEXT, `${received.problem}\n`);
  }
  /** The chunks before the last one. Undefined while there are none, and once the body is too long. */
  let chunks: Buffer[] | undefined;
  /** Bytes received so far, discarded ones too. */
  let size = 0;
  /** Once true it stays so: later chunks are discarded. */
  let handled = false;
  const handle = (body: string) => {
    handled = true;
    received.body = body;
    received.tooLarge = size > options.bodyLimitBytes;
    options.handle(received, reply);
  };
  response.onData((chunk, isLast) => {
    if (handled) return;
    size += chunk.byteLength;
    if (size > options.bodyLimitBytes) {
      chunks = undefined;
      if (size > options.bodyLimitBytes * DISCARD_FACTOR) {
        reply.closeAfter = true;
        handle("");
      } else if (isLast) handle("");
      return;
    }
    // A chunk is valid only during this callback, so it is copied if more chunks follow.
    if (!isLast) {
      chunks ??= [];
      chunks.push(Buffer.from(new Uint8Array(chunk)));
    } else handle(utf8.decode(chunks ? Buffer.concat([...chunks, Buffer.from(chunk)]) : chunk));
  });
}
