import type { AuditFilter, AuditPage } from "./audit-record.js";
import type { JobAnswer, JobRecord, JobState } from "./job-record.js";
import type { Operation } from "./operations.js";
import type { Page } from "./page.js";
import type { ListedBackups } from "./records.js";
import type { ReplicationRecord } from "./replication-record.js";

/**
 * The operations that main answers itself, because they are about the node and not about one pool:
 * the members of each (`ask`) and its answer. Nothing in them is checked against a pool.
 */
export interface NodeOperations {
  /** Empty texts stand for any. */
  ListJobs: {
    ask: { state: JobState | ""; method: string; pool: string } & Page;
    answer: readonly JobRecord[];
  };
  GetJob: { ask: { id: string }; answer: JobAnswer };
  /** `timeoutMs`: 0 for none. */
  WaitJob: { ask: { id: string; timeoutMs: number }; answer: JobAnswer };
  CancelJob: { ask: { id: string }; answer: JobAnswer };
  ListReplications: { ask: object; answer: readonly ReplicationRecord[] };
  /** `dataset`: only its backups, or "". */
  ListBackups: { ask: { profile: string; dataset: string } & Page; answer: ListedBackups };
  /** `after`: the `next` of the page before, or "". */
  ListAudit: { ask: { filter: AuditFilter; limit: number; after: string }; answer: AuditPage };
}

export type NodeOperationName = keyof NodeOperations;
export type NodeAnswer<K extends NodeOperationName> = NodeOperations[K]["answer"];

export type NodeOperation<K extends NodeOperationName = NodeOperationName> = {
  [P in K]: { readonly op: P } & NodeOperations[P]["ask"];
}[K];

/** What a method may plan, whoever runs it. */
export type AnyOperation = Operation | NodeOperation;
