import type { BookmarkName, SnapshotName } from "./names.js";

/** What an incremental stream builds on. */
export type SendFrom = SnapshotName | BookmarkName;

/** What a download asks for of its stream. With none of these it is the full stream of one snapshot. */
export interface SendTerms {
  /** An older snapshot, or a bookmark, of the same dataset. */
  readonly from?: SendFrom;
  /** The snapshots between `from`, which is a snapshot then, and the one that is sent are in the stream too. */
  readonly intermediates?: boolean;
}

export function isBookmarkName(name: SendFrom): name is BookmarkName {
  return name.includes("#");
}
