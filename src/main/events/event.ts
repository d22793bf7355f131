import type { JobRecord } from "../../protocol/storage/job-record.js";
import type { PoolName } from "../../protocol/storage/names.js";

/** What an event is about. */
export const TOPICS = ["image", "volume", "snapshot", "guest", "job", "pool", "download"] as const;
export type Topic = (typeof TOPICS)[number];

/**
 * What has happened to it. `changed`: more is not known, look anew. Of a pool `started` and `ended` say
 * whether it takes calls.
 */
export type Action = "created" | "deleted" | "changed" | "rolled-back" | "started" | "progress" | "ended";

/** Something that has happened, as whoever knows of it tells it. */
export interface Happening {
  readonly topic: Topic;
  readonly action: Action;
  readonly pool: PoolName | string;
  /** The full name of a dataset or snapshot; of an image, that of its volume; of a guest, POOL/guests/ID. */
  readonly id: string;
  /** The id of the token of the call that did it. */
  readonly caller?: string | undefined;
  /** Of that call. */
  readonly requestId?: string | undefined;
  /** `outside`: by others than this daemon. */
  readonly origin?: "call" | "outside" | undefined;
  /** Of what ended without success: why. */
  readonly failure?: { readonly code: string; readonly message: string } | undefined;
  /** Of the topic `job`. */
  readonly job?: JobRecord | undefined;
  /** Of a pool that is `changed`: as OutsideChange has them. */
  readonly what?: string | undefined;
  readonly detail?: string | undefined;
}

/** A happening with its place in the order of all. */
export interface NumberedEvent extends Happening {
  readonly seq: number;
  /** The event as JSON text, which is made once for all who get it. */
  readonly json: string;
}

/** Gives a happening its number, and writes it. `epoch`: the run of the daemon, in which numbers count from 1. */
export function numbered(epoch: string, seq: number, happening: Happening): NumberedEvent {
  const {
    topic,
    action,
    pool,
    id,
    caller = null,
    requestId = null,
    origin = "call",
    failure,
    job,
    what,
    detail,
  } = happening;
  const at = new Date().toISOString();
  const json = JSON.stringify({
    epoch,
    seq,
    at,
    topic,
    action,
    pool,
    id,
    caller,
    requestId,
    origin,
    failure,
    job,
    what,
    detail,
  });
  return { ...happening, seq, json };
}
