const SLAB_BYTES = 256 * 1024;
/** While one is being filled, the others wait for the receiver. */
const SLABS = 4;
/** A read of a socket is given at least so much room, which is what Node would give it. */
const LEAST_BYTES = 64 * 1024;

/**
 * The memory that a socket is read into, used again and again. New memory for each read costs more than
 * all else about a fetch: the kernel clears each of its pages when it is first touched.
 */
export class PieceMemory {
  private readonly free: Buffer[] = [];
  /** How many pieces of each slab are still needed. */
  private readonly holders = new Map<ArrayBufferLike, number>();
  /** The slab that the socket reads into. */
  private current = this.addSlab();
  /** How much of it has been read into. */
  private used = 0;

  /** `onRoom` is called whenever a slab may be read into again: then a socket that has paused may go on. */
  constructor(private readonly onRoom: () => void) {
    while (this.holders.size < SLABS) this.free.push(this.addSlab());
  }

  /** Whether the socket must pause: what it is given next is the last memory for now. */
  get isLow(): boolean {
    return this.left < LEAST_BYTES && this.free.length <= 1 && this.holdersOf(this.current) > 0;
  }

  /**
   * What the socket reads into next. Never something that is still needed: a socket that pauses has its next memory
   * by then, and what TLS has deciphered comes after that too.
   */
  next(): Buffer {
    if (this.holdersOf(this.current) === 0) this.used = 0;
    if (this.left < LEAST_BYTES) {
      this.current = this.free.pop() ?? this.addSlab();
      this.used = 0;
    }
    return this.current.subarray(this.used);
  }

  /** Takes a piece that the socket was read into, and keeps its bytes until `release`. */
  hold({ buffer, length }: Uint8Array): void {
    this.used += length;
    this.holders.set(buffer, (this.holders.get(buffer) ?? 0) + 1);
  }

  release({ buffer }: Uint8Array): void {
    const holders = (this.holders.get(buffer) ?? 0) - 1;
    this.holders.set(buffer, holders);
    if (holders > 0 || buffer === this.current.buffer) return;
    this.free.push(Buffer.from(buffer));
    this.onRoom();
  }

  private get left(): number {
    return this.current.length - this.used;
  }

  private holdersOf({ buffer }: Buffer): number {
    return this.holders.get(buffer) ?? 0;
  }

  private addSlab(): Buffer {
    const slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
    this.holders.set(slab.buffer, 0);
    return slab;
  }
}
