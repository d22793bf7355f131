import { effect, type ReadonlySignal, signal, untracked } from "@preact/signals";
import type { Client } from "../api/client.ts";
import type { BackupRecord } from "../api/records.ts";
import { isRunning, type Jobs } from "./jobs.ts";
import { createPagedList, type PagedList } from "./paged-list.ts";

/** What is in one store, as long as somebody looks at it. */
export interface StoredBackups {
  readonly list: PagedList<BackupRecord>;
  /** Ids of backups whose manifests can't be used. */
  readonly damaged: ReadonlySignal<readonly string[]>;
  stop(): void;
}

const CHANGING = ["BackupSnapshot", "PruneBackups"];

/** A store tells nothing by itself: it is asked anew when a job that changes one has ended. */
export function lookIntoStore(client: Client, jobs: Jobs, profile: string): StoredBackups {
  const damaged = signal<readonly string[]>([]);
  const list = createPagedList<BackupRecord>(async (page) => {
    const answer = await client.call("ListBackups", { profile, ...page });
    if (!answer.ok) return answer;
    const before = page.after === "" ? [] : damaged.value;
    damaged.value = [...new Set([...before, ...answer.value.damaged])];
    return { ok: true, value: answer.value.backups };
  });
  /** Of the jobs that had ended when the store was asked last. */
  let known = "none";
  const stop = effect(() => {
    const ended = jobs.list.value.filter((job) => CHANGING.includes(job.method) && !isRunning(job));
    const newest = ended.map(({ endedAt }) => endedAt ?? "").sort();
    const last = newest.at(-1) ?? "";
    if (last === known) return;
    known = last;
    untracked(() => void list.load());
  });
  return { list, damaged, stop };
}
