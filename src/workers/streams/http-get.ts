import { type IncomingHttpHeaders, type IncomingMessage, request as sendRequest } from "node:http";
import { connect, isIP, type LookupFunction, type OnReadOpts, type Socket } from "node:net";
import { Duplex } from "node:stream";
import { connect as connectTls, type SecureContext } from "node:tls";
import { urlToHttpOptions } from "node:url";
import { hostOf, portOf } from "../../protocol/storage/url-place.js";
import { type BodyFraming, framingOf } from "./body-framing.js";
import { PieceMemory } from "./piece-memory.js";
import { BodyPieces, type ReplyBody } from "./reply-body.js";

/** The reply to a GET. */
export interface Reply {
  readonly statusCode: number;
  readonly headers: IncomingHttpHeaders;
  /** Breaks with ECONNRESET if it is cut short. */
  readonly body: ReplyBody;
  /** Closes the connection. */
  destroy(): void;
}

export interface GetOptions {
  /** Time limit of connecting, in milliseconds. */
  readonly connectMs: number;
  /** The request fails if nothing arrives for this long, in milliseconds. */
  readonly idleMs: number;
  readonly signal: AbortSignal;
  readonly lookup: LookupFunction | undefined;
  /** What the other side's certificate is checked with; undefined: what Node knows. */
  readonly secureContext?: SecureContext | undefined;
  /** Beside its own. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** The error of a service that was silent for one of these times. */
  silent(message: string): Error;
}

const HEAD_END = Buffer.from("\r\n\r\n");
const NOTHING: Buffer = Buffer.alloc(0);

/**
 * Sends a GET and follows no redirect. Rejects with what node:net, node:tls or node:http say, or with `silent`, or
 * with the signal's reason.
 */
export function getReply(url: URL, options: GetOptions): Promise<Reply> {
  return new Promise((resolve, reject) => {
    new Exchange(url, options, resolve, reject).begin();
  });
}

/**
 * What comes is the head of a reply, which node:http reads; then the body, which goes from the socket to its
 * reader. node:http would copy each piece of it into new memory, and lose what it holds as the connection breaks.
 */
type Stage = "head" | "headRead" | "body";

/** A request and its reply, on a connection of its own. */
class Exchange {
  private stage: Stage = "head";
  /** The last bytes of a head that has not ended. */
  private tail = NOTHING;
  /** What came behind the head, and is nobody's yet. */
  private rest = NOTHING;
  private framing: BodyFraming | undefined;
  private isWhole = false;
  /** Whether the socket is not read, for want of somebody who takes more. */
  private isPaused = false;
  private isOver = false;
  private connecting: NodeJS.Timeout | undefined;
  private readonly memory = new PieceMemory(() => this.goOn());
  private readonly body = new BodyPieces(() => this.goOn());
  private readonly socket: Socket;
  /** The connection as node:http sees it. */
  private readonly wire: Duplex;

  constructor(
    private readonly url: URL,
    private readonly options: GetOptions,
    private readonly resolve: (reply: Reply) => void,
    private readonly reject: (error: unknown) => void,
  ) {
    this.socket = this.open();
    this.wire = new Duplex({
      read: () => this.goOn(),
      write: (chunk, encoding, done) => void this.socket.write(chunk, encoding, done),
      destroy: (error, done) => {
        this.socket.destroy();
        done(error);
      },
    });
  }

  begin(): void {
    const { url, options, socket, wire } = this;
    const { connectMs, idleMs, signal, silent, headers } = options;
    if (signal.aborted) return this.fail(signal.reason);
    signal.addEventListener("abort", this.onAbort);
    this.connecting = setTimeout(() => this.fail(silent(`no connection within ${connectMs} ms`)), connectMs);
    socket.once(this.isTls ? "secureConnect" : "connect", () => clearTimeout(this.connecting));
    socket.setTimeout(idleMs);
    // What setTimeout itself is given is called once, and not again after a wait for the receiver.
    socket.on("timeout", () => {
      // Bytes that wait here show that the receiver is slow, not the service.
      if (this.isPaused) socket.setTimeout(idleMs);
      else this.fail(silent(`nothing came for ${idleMs} ms`));
    });
    socket.on("error", (error) => this.fail(error));
    socket.once("end", () => this.onEnd());
    socket.once("close", () => this.onEnd());
    // Each of its errors reaches the request too.
    wire.on("error", () => {});
    const request = sendRequest({
      ...urlToHttpOptions(url),
      protocol: "http:",
      headers: { ...headers, host: url.host, accept: "*/*", connection: "close" },
      createConnection: () => wire,
    });
    request.on("error", (error) => this.fail(error));
    request.on("information", () => this.afterHead("head"));
    request.once("response", (reply) => this.onResponse(reply));
    request.end();
  }

  private get isTls(): boolean {
    return this.url.protocol === "https:";
  }

  private readonly onAbort = () => this.fail(this.options.signal.reason);

  private open(): Socket {
    const host = hostOf(this.url);
    const onread: OnReadOpts & { readonly buffer: () => Buffer } = {
      buffer: () => this.memory.next(),
      callback: (count, buffer) => {
        if (!this.onBytes(Buffer.from(buffer.buffer, buffer.byteOffset, count))) this.pause();
        // With false the socket would go on in the same memory.
        return true;
      },
    };
    const { lookup, secureContext } = this.options;
    const to = { host, port: portOf(this.url), onread, ...(lookup && { lookup }) };
    if (!this.isTls) return connect(to);
    const trust = secureContext && { secureContext };
    const name = isIP(host) === 0 && { servername: host };
    return connectTls({ ...to, ALPNProtocols: ["http/1.1"], ...trust, ...name });
  }

  /** Takes what has come; its memory is used again. @returns whether more can be taken. */
  private onBytes(bytes: Buffer): boolean {
    switch (this.stage) {
      case "head":
        return this.takeHead(Buffer.from(bytes));
      case "headRead":
        this.rest = Buffer.concat([this.rest, bytes]);
        return false;
      case "body":
        this.memory.hold(bytes);
        return this.takeBody(bytes, () => this.memory.release(bytes)) && !this.memory.isLow;
    }
  }

  /** Gives node:http all that is of the head, and nothing else. */
  private takeHead(bytes: Buffer): boolean {
    const seen = Buffer.concat([this.tail, bytes]);
    const at = seen.indexOf(HEAD_END);
    if (at < 0) {
      this.tail = seen.subarray(1 - HEAD_END.length);
      this.wire.push(bytes);
      return true;
    }
    const end = at + HEAD_END.length - this.tail.length;
    this.tail = NOTHING;
    this.stage = "headRead";
    this.rest = bytes.subarray(end);
    this.wire.push(bytes.subarray(0, end));
    return false;
  }

  private onResponse(reply: IncomingMessage): void {
    reply.on("error", (error) => this.fail(error));
    const { statusCode = 0, headers } = reply;
    this.framing = framingOf(headers);
    this.resolve({ statusCode, headers, body: this.body, destroy: () => this.close() });
    this.afterHead("body");
  }

  /** Once node:http has returned: it must not be given bytes while it tells of others. */
  private afterHead(stage: Stage): void {
    process.nextTick(() => {
      this.stage = stage;
      const { rest } = this;
      this.rest = NOTHING;
      if (this.takeRest(rest)) this.goOn();
    });
  }

  /** What came behind the head is in memory of its own. @returns whether more can be taken. */
  private takeRest(rest: Buffer): boolean {
    if (this.stage === "body") return this.takeBody(rest, () => {});
    return rest.length === 0 || this.onBytes(rest);
  }

  /** `done` is called once the reader has given back all that is in `bytes`. @returns whether more can be taken. */
  private takeBody(bytes: Buffer, done: () => void): boolean {
    if (this.isWhole || !this.framing) {
      done();
      return false;
    }
    let isWanted = true;
    /** Pieces that the reader has, and 1 while there may be more of them. */
    let pieces = 1;
    const release = () => {
      if (--pieces === 0) done();
    };
    try {
      this.isWhole = this.framing.take(bytes, (piece) => {
        pieces++;
        isWanted = this.body.push(piece, release);
      });
    } catch (error) {
      this.fail(error);
    }
    release();
    if (this.isWhole) this.body.end();
    return !this.isWhole && isWanted;
  }

  private pause(): void {
    this.isPaused = true;
    this.socket.pause();
  }

  /** Reads on, after a pause. */
  private goOn(): void {
    if (!this.isPaused || this.stage === "headRead" || this.isOver) return;
    this.isPaused = false;
    this.socket.setTimeout(this.options.idleMs);
    this.socket.resume();
  }

  /** No more bytes come. */
  private onEnd(): void {
    if (this.isOver) return;
    if (this.stage !== "body") this.wire.push(null);
    else if (this.isWhole) return;
    else if (this.framing?.endsWithConnection) {
      this.isWhole = true;
      this.body.end();
    } else this.fail(Object.assign(new Error("aborted"), { code: "ECONNRESET" }));
  }

  private fail(error: unknown): void {
    if (this.isOver) return;
    this.body.fail(error);
    this.reject(error);
    this.close();
  }

  private close(): void {
    this.isOver = true;
    clearTimeout(this.connecting);
    this.options.signal.removeEventListener("abort", this.onAbort);
    this.wire.destroy();
    this.socket.destroy();
  }
}
