import { computed, type ReadonlySignal, signal } from "@preact/signals";
import type { Client } from "../api/client.ts";
import type { JobRecord } from "../api/records.ts";
import { startPolling } from "./polling.ts";

export interface Jobs {
  /** The newest first. */
  readonly list: ReadonlySignal<readonly JobRecord[]>;
  readonly running: ReadonlySignal<readonly JobRecord[]>;
  /** Whether the daemon has jobs; undefined until it is known. */
  readonly isThere: ReadonlySignal<boolean | undefined>;
  /** Whether changes can be begun as jobs, and jobs cancelled. */
  readonly isManaged: ReadonlySignal<boolean>;
  put(job: JobRecord): void;
  refresh(): void;
  stop(): void;
}

const PAGE = 1_000;
/** While something runs, its progress is asked for. Events tell the rest, where there are events. */
const RUNNING_MS = 1_500;
const IDLE_MS = 10_000;

export function isRunning({ state }: JobRecord): boolean {
  return state === "queued" || state === "running";
}

export function watchJobs(client: Client): Jobs {
  const list = signal<readonly JobRecord[]>([]);
  const isThere = signal<boolean | undefined>(undefined);
  const isManaged = signal(false);
  const newestFirst = (jobs: readonly JobRecord[]) =>
    [...jobs].sort((a, b) => (a.createdAt < b.createdAt ? 1 : a.createdAt > b.createdAt ? -1 : 0));

  /** `background`, CancelJob and WaitJob come together. WaitJob is a read, which no log and no audit file notes as refused. */
  async function askManaged(): Promise<void> {
    const answer = await client.call("WaitJob", { id: "" });
    isManaged.value = answer.ok || answer.failure.reason !== "rpc.method_not_found";
  }

  async function look(): Promise<void> {
    let jobs: readonly JobRecord[] = [];
    for (;;) {
      const answer = await client.call("ListJobs", { limit: PAGE, after: jobs.at(-1)?.id ?? "" });
      if (!answer.ok) {
        if (answer.failure.reason === "rpc.method_not_found") isThere.value = false;
        return;
      }
      jobs = [...jobs, ...answer.value.jobs];
      if (answer.value.jobs.length < PAGE) break;
    }
    if (isThere.value === undefined) await askManaged();
    isThere.value = true;
    list.value = newestFirst(jobs);
  }

  const running = computed(() => list.value.filter(isRunning));
  const polling = startPolling(look, () => {
    if (isThere.value === false) return undefined;
    return running.value.length > 0 ? RUNNING_MS : IDLE_MS;
  });
  return {
    list,
    running,
    isThere,
    isManaged,
    put: (job) => {
      const isNew = !list.value.some(({ id }) => id === job.id);
      list.value = newestFirst([...list.value.filter(({ id }) => id !== job.id), job]);
      if (isNew && isRunning(job)) polling.poke();
    },
    refresh: polling.poke,
    stop: polling.stop,
  };
}
