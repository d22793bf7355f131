import type { BodySource } from "../../protocol/http/transport.js";

/** A blank line between server-sent events means nothing. */
const FILLER = Buffer.from("\n");

/** Small pieces are put together up to this length: a write of each costs more. */
const JOINED_BYTES = 16 * 1024;

/** The bytes that wait for a subscriber. Many subscribers share the memory of each piece. */
export class LiveSource implements BodySource {
  readonly isLive = true;
  /** From `first` on; the ones before have been taken. */
  private pieces: Uint8Array[] = [];
  private first = 0;
  /** Of the first piece. */
  private taken = 0;
  private bytes = 0;
  private isComplete = false;

  get available(): number {
    return this.bytes + (this.isComplete ? 0 : FILLER.length);
  }

  /** Bytes that wait, without the filler. */
  get waiting(): number {
    return this.bytes;
  }

  add(piece: Uint8Array): void {
    this.pieces.push(piece);
    this.bytes += piece.length;
  }

  /** Forgets what waits behind the piece that is partly taken. */
  clear(): void {
    const rest = this.taken > 0 ? this.pieces[this.first]?.subarray(this.taken) : undefined;
    this.pieces = rest ? [rest] : [];
    this.first = 0;
    this.taken = 0;
    this.bytes = rest?.length ?? 0;
  }

  /** There is no filler from now on: what waits is all that comes. */
  complete(): void {
    this.isComplete = true;
  }

  peek(limit: number): Uint8Array {
    if (this.bytes === 0) return this.isComplete ? FILLER.subarray(1) : FILLER;
    if (this.first < this.pieces.length - 1) this.join();
    const piece = this.pieces[this.first] ?? FILLER;
    return piece.subarray(this.taken, this.taken + limit);
  }

  take(bytes: number): void {
    // Otherwise it was the filler.
    if (this.bytes === 0) return;
    this.bytes -= bytes;
    this.taken += bytes;
    if (this.taken < (this.pieces[this.first]?.length ?? 0)) return;
    this.taken = 0;
    this.first++;
    if (this.first < this.pieces.length) return;
    this.pieces = [];
    this.first = 0;
  }

  /** Has the first piece be a long one. */
  private join(): void {
    const joined: Uint8Array[] = [];
    let length = -this.taken;
    for (let next = this.pieces[this.first]; next; next = this.pieces[this.first + joined.length]) {
      if (joined.length > 0 && length + next.length > JOINED_BYTES) break;
      joined.push(next);
      length += next.length;
    }
    if (joined.length < 2) return;
    const piece = Buffer.concat(joined).subarray(this.taken);
    this.first += joined.length - 1;
    this.pieces[this.first] = piece;
    this.taken = 0;
  }
}
