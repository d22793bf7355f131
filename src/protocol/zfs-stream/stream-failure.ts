/**
 * truncated: the stream ends too early. corrupt: it contradicts itself or its checksums.
 * foreign: it is no ZFS stream at all. unsupported: a ZFS stream, but of a kind that isn't read here.
 */
export type StreamFailureKind = "truncated" | "corrupt" | "foreign" | "unsupported";

const MESSAGE_STARTS: Readonly<Record<StreamFailureKind, string>> = {
  truncated: "cut short",
  corrupt: "damaged",
  foreign: "not a ZFS stream",
  unsupported: "not usable",
};

/** A stream that can't be used. `offset`: the byte of the stream where it goes wrong. */
export class StreamFailure extends Error {
  override readonly name = "StreamFailure";
  readonly kind: StreamFailureKind;
  readonly offset: number;

  constructor(kind: StreamFailureKind, offset: number, reason: string) {
    super(`${MESSAGE_STARTS[kind]} at byte ${offset}: ${reason}`);
    this.kind = kind;
    this.offset = offset;
  }
}
