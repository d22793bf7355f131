import type { BookmarkName, DatasetName, SnapshotName } from "./names.js";

/** What an incremental stream builds on. */
export type SendFrom = SnapshotName | BookmarkName;

/** The options of `zfs send` that change how a stream has its blocks: -c, -L, -e and -w. */
export const SEND_FLAGS = ["compressed", "largeBlock", "embedData", "raw"] as const;
export type SendFlag = (typeof SEND_FLAGS)[number];

/** What a download asks for of its stream. With none of these it is the full stream of one snapshot. */
export interface SendTerms {
  /** An older snapshot, or a bookmark, of the same dataset. */
  readonly from?: SendFrom;
  /** The snapshots between `from`, which is a snapshot then, and the one that is sent are in the stream too. */
  readonly intermediates?: boolean;
  /** In the order of SEND_FLAGS, each once. */
  readonly flags?: readonly SendFlag[];
  /** A token of a receiver, `receive_resume_token`: the stream goes on where it says. It has flags of its own. */
  readonly resume?: string;
}

/** The least and the most that streams may be held to, bytes a second. Less looks like one that hangs. */
export const MIN_SEND_RATE = 64 * 1024;
export const MAX_SEND_RATE = 2 ** 40;

export function isBookmarkName(name: SendFrom): name is BookmarkName {
  return name.includes("#");
}

/** What is told of a stream that is not sent. */
export interface SendDescription {
  /** The guid of the snapshot that is sent. */
  readonly toGuid: string;
  /** Of what it builds on; undefined for a full stream. */
  readonly fromGuid?: string | undefined;
  /** About how many bytes it has, where the pool tells. */
  readonly estimatedBytes?: number | undefined;
  /** Those that a receiver must know, by the names that zfs uses. The stream may do without some. */
  readonly features: readonly string[];
}

/** What a receiver that has some snapshots of a volume needs, to have another one of them too. */
export interface SendPlan {
  /** The snapshot that is to be sent; the volume, where it is not taken yet. */
  readonly name: SnapshotName | DatasetName;
  /** "" where it is not taken yet. */
  readonly guid: string;
  /** The receiver has that snapshot. */
  readonly isThere: boolean;
  /** What the stream can build on, as the receiver has it; undefined: nothing, so it must be full. */
  readonly base?: { readonly name: SendFrom; readonly guid: string } | undefined;
  /** Of a snapshot that is not taken yet: about how many bytes its stream would have; null: the pool can't tell. */
  readonly bytes?: number | null;
}

/** What the first record of a stream says. */
export interface StreamHead {
  /** The guid of the snapshot that it brings. */
  readonly toGuid: string;
  /** The guid of the snapshot that it builds on; undefined for a full one. */
  readonly fromGuid?: string;
  /** It goes on where an earlier one broke. */
  readonly isResumed: boolean;
}

/** Kinds of streams that a receiver takes beside full ones. */
export interface StreamAllowance {
  /** It must build on this snapshot, which the receiver has: a full one is refused. */
  readonly origin?: { readonly name: SnapshotName; readonly guid: string };
  /** It builds on a snapshot that the receiver has. */
  readonly increments?: boolean;
  /** It goes on where an earlier one broke. */
  readonly resumed?: boolean;
}
