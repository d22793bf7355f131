import type { IncomingBody } from "../../protocol/http/transport.js";
import { fail, type Outcome, succeed } from "../../protocol/storage/failures.js";
import type { StreamHead } from "../../protocol/storage/send-terms.js";
import { createRingWriter, type RingWriter } from "../../protocol/threads/byte-ring.js";
import { mayBeStream, readBegin } from "../../protocol/zfs-stream/stream-begin.js";
import { RECORD_BYTES } from "../../protocol/zfs-stream/stream-records.js";

/** What takes the bytes of a body out of its ring. */
export interface BodyReader {
  /** The ring has bytes that it has not seen. */
  onBytes(): void;
  /** No more bytes come. `isWhole`: the client has sent all. Called once. */
  onEnd(isWhole: boolean): void;
}

/** Of a stream that breaks before anything is received of it. */
const cutShort = (why: string) => fail("stream.cut_short", `the stream is cut short: ${why}`);

/** How often it is looked whether a client has fallen silent. */
const LOOK_MS = 1_000;

/**
 * A stream that a client sends, on its way into the ring that the streaming worker reads. While the ring is full the client is
 * paused. What is in memory is the ring, and what the transport had read by then.
 */
export class StreamBody {
  readonly length: number | undefined;
  /** How many bytes have come from the client. */
  receivedBytes = 0;
  private readonly writer: RingWriter;
  /** Pieces that the ring has had no room for, in order. */
  private waiting: Uint8Array[] = [];
  private readonly first = new Uint8Array(RECORD_BYTES);
  private firstBytes = 0;
  private reader: BodyReader | undefined;
  /** Undefined: more may come. */
  private ended: { readonly isWhole: boolean } | undefined;
  private isSilent = false;
  private lastPieceAt = performance.now();
  private tellHead: (() => void) | undefined;
  private readonly look: NodeJS.Timeout;

  /** Call it while the request is handled. `idleMs`: a client that sends nothing for so long is taken for gone. */
  constructor(
    private readonly incoming: IncomingBody,
    readonly ring: SharedArrayBuffer,
    private readonly idleMs: number,
  ) {
    this.length = incoming.length;
    this.writer = createRingWriter(ring);
    this.look = setInterval(() => this.lookForSilence(), Math.min(LOOK_MS, idleMs)).unref();
    incoming.start({
      onPiece: (piece) => this.take(piece),
      onEnd: (isWhole) => this.end(isWhole),
    });
  }

  /** What the stream's first record says. Fails: stream.invalid, stream.cut_short. */
  async head(): Promise<Outcome<StreamHead>> {
    if (this.firstBytes < RECORD_BYTES && !this.ended) {
      await new Promise<void>((resolve) => {
        this.tellHead = resolve;
      });
    }
    if (this.firstBytes < RECORD_BYTES) return this.shortHead();
    try {
      const { toGuid, fromGuid, features } = readBegin(new DataView(this.first.buffer), true);
      const isResumed = features.includes("resuming");
      return succeed({
        toGuid: String(toGuid),
        ...(fromGuid !== 0n && { fromGuid: String(fromGuid) }),
        isResumed,
      });
    } catch (error) {
      return fail("stream.invalid", `no usable stream: ${error instanceof Error ? error.message : error}`);
    }
  }

  private shortHead(): ReturnType<typeof fail> {
    if (this.firstBytes === 0 && this.ended?.isWhole) return fail("stream.invalid", "the body is empty");
    if (!mayBeStream(this.first.subarray(0, this.firstBytes))) {
      return fail("stream.invalid", "no usable stream: it does not begin as one");
    }
    return cutShort(this.problem ?? `it has ${this.firstBytes} bytes`);
  }

  /** Why it has ended before its end; undefined: it has not. */
  get problem(): string | undefined {
    if (!this.ended || this.ended.isWhole) return undefined;
    return this.isSilent ? `no byte came for ${this.idleMs} ms` : "the client has gone";
  }

  /** Has `reader` told of the bytes from now on. It has to look at the ring once by itself. */
  attach(reader: BodyReader): void {
    this.reader = reader;
    this.tellEnd();
  }

  /** The ring has room again. */
  onRoom(): void {
    while (this.waiting.length > 0) {
      const [piece = new Uint8Array(0)] = this.waiting;
      const rest = this.fill(piece);
      if (rest.length > 0) {
        this.waiting[0] = rest;
        return;
      }
      this.waiting.shift();
    }
    this.lastPieceAt = performance.now();
    this.incoming.resume();
    this.tellEnd();
  }

  /** Takes nothing any more. */
  close(): void {
    clearInterval(this.look);
    this.reader = undefined;
    this.waiting = [];
    this.ended ??= { isWhole: false };
  }

  private take(piece: Uint8Array): void {
    if (this.ended) return;
    this.lastPieceAt = performance.now();
    this.receivedBytes += piece.length;
    const rest = this.waiting.length > 0 ? piece : this.fill(piece);
    if (rest.length > 0) {
      this.waiting.push(rest.slice());
      this.incoming.pause();
    }
    if (this.firstBytes < RECORD_BYTES) this.keepFirst(piece);
  }

  private keepFirst(piece: Uint8Array): void {
    const part = piece.subarray(0, RECORD_BYTES - this.firstBytes);
    this.first.set(part, this.firstBytes);
    this.firstBytes += part.length;
    if (this.firstBytes === RECORD_BYTES) this.tellHead?.();
  }

  /** @returns what the ring has no room for. */
  private fill(piece: Uint8Array): Uint8Array {
    let rest = piece;
    while (rest.length > 0 && this.writer.hasRoom()) {
      const region = this.writer.region();
      const part = rest.subarray(0, region.length);
      region.set(part);
      rest = rest.subarray(part.length);
      if (this.writer.commit(part.length)) this.reader?.onBytes();
    }
    return rest;
  }

  private end(isWhole: boolean): void {
    if (this.ended) return;
    this.ended = { isWhole };
    clearInterval(this.look);
    this.tellHead?.();
    this.tellEnd();
  }

  /** Once all that came is in the ring. */
  private tellEnd(): void {
    if (!this.ended || this.waiting.length > 0 || !this.reader) return;
    this.reader.onEnd(this.ended.isWhole);
    this.reader = undefined;
  }

  private lookForSilence(): void {
    if (this.waiting.length > 0 || performance.now() - this.lastPieceAt <= this.idleMs) return;
    this.isSilent = true;
    this.end(false);
  }
}
