import type { Socket } from "node:net";
import { Duplex } from "node:stream";

/**
 * A client's connection as an HTTP server of Node gets it: it reads and writes through the wire, and
 * never has the socket. So the socket can be taken out at any time, and the server does nothing to it
 * any more. Node has no other way: what its server does with a socket ends with a CONNECT alone.
 */
export class ClientWire extends Duplex {
  /** Once true, nothing passes between the server and the socket. */
  private isTaken = false;

  constructor(readonly socket: Socket) {
    super({ allowHalfOpen: true });
    socket.on("data", this.onData);
    socket.on("error", this.onSocketError);
    // A client that closes its half has gone: it could not be told from one that waits for the reply.
    socket.on("end", this.onSocketGone);
    socket.on("close", this.onSocketGone);
    socket.pause();
  }

  /** What Node's server asks a socket for. */
  get remoteAddress(): string | undefined {
    return this.socket.remoteAddress;
  }

  /** Takes the socket away from the server, which is told that its client has gone. */
  takeSocket(): Socket {
    this.isTaken = true;
    const { socket } = this;
    socket.off("data", this.onData);
    socket.off("error", this.onSocketError);
    socket.off("end", this.onSocketGone);
    socket.off("close", this.onSocketGone);
    this.destroy();
    return socket;
  }

  /** Closes the connection when all is sent. Node's server calls it behind a last reply. */
  destroySoon(): void {
    this.destroy();
  }

  /** Cuts the connection. */
  resetAndDestroy(): void {
    if (!this.isTaken) this.socket.resetAndDestroy();
    this.destroy();
  }

  override _read(): void {
    if (!this.isTaken) this.socket.resume();
  }

  override _write(chunk: Buffer, encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (this.isTaken) return done();
    this.socket.write(chunk, encoding, done);
  }

  override _final(done: (error?: Error | null) => void): void {
    if (!this.isTaken) this.socket.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    // What was written before is still sent.
    if (!this.isTaken) this.socket.destroySoon();
    done(error);
  }

  private readonly onData = (chunk: Buffer): void => {
    if (!this.push(chunk)) this.socket.pause();
  };

  private readonly onSocketError = (): void => {};

  private readonly onSocketGone = (): void => {
    this.destroy();
  };
}
