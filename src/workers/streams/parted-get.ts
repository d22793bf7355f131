import { type Begun, RepeatedGet, type RepeatedGetOptions } from "./repeated-get.js";
import type { BodyTaker } from "./reply-body.js";

/** Of an object that is fetched in parts. */
export const PART_BYTES = 16 * 1024 * 1024;

export interface PartedGetOptions extends RepeatedGetOptions {
  /** How many parts are fetched at once; 1: the object is fetched as a whole. */
  readonly ranges: number;
}

/** A part that is fetched before its turn, or whose turn it is. */
interface Part {
  readonly get: RepeatedGet;
  readonly buffer: Buffer;
  /** How many bytes wait in `buffer`. */
  waiting: number;
  isWhole: boolean;
}

/**
 * A GET of an object in parts, several of them at once, which its reader gets in order. The part whose turn it is
 * goes to the reader as it comes; the others are kept until then, in at most `ranges` - 1 buffers of PART_BYTES. Each
 * part is repeated alone. Where the service has no ranges or no strong validator, or the object is short, it is a
 * RepeatedGet.
 */
export class PartedGet {
  private first: RepeatedGet;
  /** Of the whole, if it is fetched in parts. */
  private length: number | undefined;
  private begun: Begun | undefined;
  /** Those behind the one whose turn it is, in order. */
  private readonly parts: Part[] = [];
  private readonly free: Buffer[] = [];
  /** Where the part begins that is asked for next. */
  private next = PART_BYTES;
  /** How many buffers are in use. */
  private used = 0;
  private isFirstWhole = false;
  /** The part whose turn it is. Undefined as long as that is the first, and while none is asked for. */
  private head: Part | undefined;
  private isOver = false;

  constructor(private readonly options: PartedGetOptions) {
    this.first = this.get(options.ranges > 1 ? { start: 0, end: PART_BYTES } : undefined);
  }

  /** As that of RepeatedGet. */
  async begin(count: number): Promise<Begun> {
    const begun = await this.first.begin(count);
    const { length, validator } = begun.facts;
    if (!this.first.isPart || (length !== undefined && length <= PART_BYTES)) return begun;
    if (length !== undefined && validator !== undefined) {
      this.length = length;
      this.begun = begun;
      return begun;
    }
    this.first.close();
    this.first = this.get(undefined);
    return this.first.begin(count);
  }

  pour(into: BodyTaker): void {
    if (this.length === undefined) return this.first.pour(into);
    this.first.pour({
      onPiece: into.onPiece,
      onEnd: () => {
        this.first.close();
        this.isFirstWhole = true;
        this.goOn(into);
      },
      onError: (error) => this.fail(error, into),
    });
    this.askForParts(into);
  }

  close(): void {
    this.isOver = true;
    this.first.close();
    this.head?.get.close();
    for (const { get } of this.parts) get.close();
  }

  private get(part: RepeatedGetOptions["part"]): RepeatedGet {
    return new RepeatedGet({ ...this.options, part, known: this.begun?.facts });
  }

  private fail(error: unknown, into: BodyTaker): void {
    if (this.isOver) return;
    this.close();
    into.onError(error);
  }

  /** Asks for parts as long as there are buffers for them. */
  private askForParts(into: BodyTaker): void {
    const { length = 0, options } = this;
    while (!this.isOver && this.next < length && this.used < options.ranges - 1) {
      this.used++;
      const buffer = this.free.pop() ?? Buffer.allocUnsafeSlow(PART_BYTES);
      const end = Math.min(length, this.next + PART_BYTES);
      this.askForPart({ get: this.get({ start: this.next, end }), buffer, waiting: 0, isWhole: false }, into);
      this.next = end;
    }
    if (this.isFirstWhole && !this.head) this.goOn(into);
  }

  private askForPart(part: Part, into: BodyTaker): void {
    this.parts.push(part);
    part.get.pour({
      onPiece: (piece, done) => {
        if (this.head === part) return into.onPiece(piece, done);
        piece.copy(part.buffer, part.waiting);
        part.waiting += piece.length;
        done();
      },
      onEnd: () => {
        part.isWhole = true;
        part.get.close();
        if (this.head === part) this.goOn(into);
      },
      onError: (error) => this.fail(error, into),
    });
  }

  /** The part whose turn it was is whole: hands over what there is of those behind it. */
  private goOn(into: BodyTaker): void {
    do {
      this.head = this.parts.shift();
      if (!this.head) break;
      const { buffer, waiting } = this.head;
      const free = () => {
        this.used--;
        this.free.push(buffer);
        this.askForParts(into);
      };
      if (waiting > 0) into.onPiece(buffer.subarray(0, waiting), free);
      else free();
    } while (this.head.isWhole);
    if (this.head || this.isOver || this.next < (this.length ?? 0)) return;
    this.isOver = true;
    into.onEnd();
  }
}
