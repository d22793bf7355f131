import type { BookmarkName, DatasetName, PoolName, SnapshotName } from "./names.js";
import type { Page } from "./page.js";
import type { BookmarkRecord, SnapshotRecord } from "./records.js";

/** The operations of a pool's actor that have to do with snapshots and bookmarks. */
export interface SnapshotOperations {
  ListSnapshots: {
    ask: { root: DatasetName | PoolName | SnapshotName } & Page;
    answer: readonly SnapshotRecord[];
  };
  GetSnapshot: { ask: { name: SnapshotName }; answer: SnapshotRecord };
  CreateSnapshot: {
    ask: { dataset: DatasetName; snapshot: SnapshotName; recursive: boolean };
    answer: readonly SnapshotRecord[];
  };
  /** Of all that is below a guest's dataset, at one moment. */
  SnapshotGuest: {
    ask: { dataset: DatasetName; snapshot: SnapshotName };
    answer: readonly SnapshotRecord[];
  };
  DeleteSnapshot: {
    ask: { name: SnapshotName; recursive: boolean };
    answer: readonly SnapshotRecord[];
  };
  RollbackSnapshot: {
    ask: { name: SnapshotName; destroyMoreRecent: boolean };
    answer: SnapshotRecord;
  };
  CreateBookmark: { ask: { snapshot: SnapshotName; name: BookmarkName }; answer: BookmarkRecord };
  /** Of a dataset and of all below it. */
  ListBookmarks: { ask: { root: DatasetName | PoolName } & Page; answer: readonly BookmarkRecord[] };
  DeleteBookmark: { ask: { dataset: DatasetName; name: BookmarkName }; answer: BookmarkRecord };
}
