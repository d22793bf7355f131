/** Who takes the body of a reply. */
export interface BodyTaker {
  /** The bytes of `piece` are others' once `done` has been called, which must happen. */
  onPiece(piece: Buffer, done: () => void): void;
  /** The body is whole. */
  onEnd(): void;
  /** The body has broken. */
  onError(error: unknown): void;
}

/** The body of a reply, for its reader. */
export interface ReplyBody {
  /** Reads ahead until so many bytes are there, or all if there are fewer. Rejects as the body breaks. */
  first(count: number): Promise<Buffer>;
  /** Hands all of it over, what `first` has seen included. To be called once. */
  pour(into: BodyTaker): void;
}

const NOTHING: Buffer = Buffer.alloc(0);
const nothingToDo = () => {};

type Ending = { readonly error: unknown } | "whole";

/** The body of a reply between its connection, which calls `push`, `end` and `fail`, and its reader. */
export class BodyPieces implements ReplyBody {
  /** Copies of the first bytes, while nobody takes them. */
  private early = NOTHING;
  /** How many of them `first` waits for. */
  private wanted = 0;
  private settleFirst: (() => void) | undefined;
  private taker: BodyTaker | undefined;
  private ending: Ending | undefined;

  /** `onWanted` is called when bytes are wanted again, after `push` returned false. */
  constructor(private readonly onWanted: () => void) {}

  /** @returns whether more is wanted now. */
  push(piece: Buffer, done: () => void): boolean {
    if (this.ending !== undefined) done();
    else if (this.taker) this.taker.onPiece(piece, done);
    else {
      this.early = Buffer.concat([this.early, piece]);
      done();
      if (this.early.length < this.wanted) return true;
      this.settleFirst?.();
      return false;
    }
    return true;
  }

  end(): void {
    this.finish("whole");
  }

  fail(error: unknown): void {
    this.finish({ error });
  }

  first(count: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const settle = () => {
        this.settleFirst = undefined;
        const { ending } = this;
        if (ending !== undefined && ending !== "whole") reject(ending.error);
        else resolve(this.early);
      };
      if (this.ending !== undefined || this.early.length >= count) return settle();
      this.wanted = count;
      this.settleFirst = settle;
      this.onWanted();
    });
  }

  pour(into: BodyTaker): void {
    this.taker = into;
    if (this.early.length > 0) into.onPiece(this.early, nothingToDo);
    this.early = NOTHING;
    if (this.ending !== undefined) this.tell(into, this.ending);
    else this.onWanted();
  }

  private finish(ending: Ending): void {
    if (this.ending !== undefined) return;
    this.ending = ending;
    this.settleFirst?.();
    if (this.taker) this.tell(this.taker, ending);
  }

  private tell(taker: BodyTaker, ending: Ending): void {
    if (ending === "whole") taker.onEnd();
    else taker.onError(ending.error);
  }
}
