import type { Outcome } from "../../protocol/storage/failures.js";
import type { FetchOrder, FetchOutcome, FetchReport } from "../../protocol/storage/operations.js";
import {
  createProgressMemory,
  type FetchProgress,
  readProgress,
} from "../../protocol/threads/fetch-progress.js";
import type { StreamOrder } from "../../protocol/threads/streaming-contract.js";
import type { StreamBody } from "../receives/stream-body.js";
import { transferKindOf } from "./transfer-kind.js";

/** An image fetch under way. */
export interface FetchState extends FetchProgress {
  readonly id: number;
  readonly owner: string;
  readonly order: FetchOrder;
  /** By the clock of Date.now. */
  readonly startedAt: number;
  /** How far it has come by now, also after its end. */
  latest(): FetchProgress;
}

/** How an image fetch has ended. */
export interface FetchEnd extends Pick<FetchProgress, "receivedBytes" | "repeats" | "repeatedBytes"> {
  readonly owner: string;
  /** "ok", or the failure's code. */
  readonly code: string;
}

/** An image fetch that the streaming worker has not answered. */
export interface PendingFetch extends Omit<FetchState, "id" | "latest" | keyof FetchProgress> {
  readonly progress: SharedArrayBuffer;
  /** Where its stream comes from a client. */
  readonly body: StreamBody | undefined;
  onMoved(): void;
  /** To be called once. */
  settle(outcome: Outcome<FetchReport>): void;
  readonly settled: Promise<FetchOutcome>;
}

/** `onEnd` is called once, before what waits for `settled` goes on. */
export function createPendingFetch(
  owner: string,
  order: FetchOrder,
  onMoved: () => void,
  onEnd: (end: FetchEnd) => void,
  body?: StreamBody,
): PendingFetch {
  const progress = createProgressMemory();
  let resolve: (outcome: FetchOutcome) => void = () => {};
  const settled = new Promise<FetchOutcome>((settle) => {
    resolve = settle;
  });
  const settle = (outcome: Outcome<FetchReport>) => {
    const { receivedBytes, requests, repeats, repeatedBytes } = readProgress(progress);
    const code = outcome.ok ? "ok" : outcome.failure.code;
    if (transferKindOf(order) === "image") onEnd({ owner, code, receivedBytes, repeats, repeatedBytes });
    resolve(outcome.ok ? outcome : { ...outcome, spent: { requests, bytes: receivedBytes + repeatedBytes } });
  };
  return { owner, order, progress, body, startedAt: Date.now(), onMoved, settle, settled };
}

/** Has a worker begin it, and told of the bytes of its body. */
export function orderFetch(
  id: number,
  { order, progress, body }: PendingFetch,
  post: (message: StreamOrder) => void,
): void {
  const given = body && { body: { ring: body.ring, length: body.length } };
  post({ kind: "fetch", id, order, progress, ...given });
  body?.attach({
    onBytes: () => post({ kind: "written", id }),
    onEnd: (isWhole) => post({ kind: "bodyEnded", id, isWhole }),
  });
}

export function stateOfFetch(id: number, { owner, order, startedAt, progress }: PendingFetch): FetchState {
  const latest = () => readProgress(progress);
  return { id, owner, order, startedAt, latest, ...latest() };
}
