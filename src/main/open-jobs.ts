import type { Logger } from "pino";
import type { JobRecord } from "../protocol/storage/job-record.js";
import { createJobCalls, type JobCalls } from "./jobs/job-calls.js";
import { createJobRegistry, type JobAction, type JobRegistry } from "./jobs/job-registry.js";
import { readKeptState } from "./jobs/kept-state.js";
import { createRepeatedCalls } from "./jobs/repeated-calls.js";
import { openStateLog, type StateLog } from "./jobs/state-log.js";

interface JobsOptions extends Pick<Parameters<typeof createJobCalls>[0], "transfers" | "actorOf"> {
  /** Of this run of the daemon. */
  readonly runId: string;
  /** Where the file of jobs is. */
  readonly dataDir: string;
  readonly log: Logger;
  /** As of RegistryOptions. */
  onChange(job: JobRecord, action: JobAction): void;
}

/** The work that lasts, and the calls that are jobs. */
export interface Jobs {
  readonly registry: JobRegistry;
  readonly calls: JobCalls;
  /** Reads what earlier runs have left, and keeps what follows. To be called when no other daemon may be at it. */
  restore(): void;
  close(): Promise<void>;
}

export function openJobs({ runId, dataDir, log, onChange, ...calls }: JobsOptions): Jobs {
  /** Undefined until `restore`: nothing is asked for before. */
  let state: StateLog | undefined;
  const registry = createJobRegistry({
    // Ids of later runs sort behind those of earlier ones.
    runId: `${Date.now().toString(36)}${runId}`,
    onChange: (job, action, result) => {
      if (action !== "progress") state?.append({ job, result });
      onChange(job, action);
    },
  });
  const repeated = createRepeatedCalls({
    append: (key) => state?.append({ key }),
    synced: async () => state?.synced(),
  });
  const live = () => [
    ...registry.list().flatMap((job) => (job.endedAt === null ? [{ job }] : [])),
    ...repeated.lines().flatMap((key) => (key.state === "begun" ? [{ key }] : [])),
  ];
  return {
    registry,
    calls: createJobCalls({ registry, repeated, ...calls }),
    restore: () => {
      const opened = openStateLog(dataDir, log);
      const { jobs, keys } = readKeptState(opened.lines, log);
      registry.restore(jobs);
      repeated.restore(keys);
      const kept = [
        ...registry.list().flatMap(({ id }) => registry.find(id) ?? []),
        ...repeated.lines().map((key) => ({ key })),
      ];
      state = opened.begin(kept, live);
    },
    close: async () => {
      await registry.stop();
      state?.close();
    },
  };
}
