import { Gauge, type Registry } from "prom-client";
import { JOB_STATES, type JobState } from "../../protocol/storage/job-record.js";

/** The gauge of jobs. `counts`: how many there are in each state; asked at each scrape. */
export function addJobMetrics(registry: Registry, counts: () => ReadonlyMap<JobState, number>): void {
  new Gauge({
    name: "imagestore_jobs",
    help: "Jobs by their state. Those that have ended are counted as long as they are known.",
    labelNames: ["state"],
    registers: [registry],
    collect() {
      const known = counts();
      for (const state of JOB_STATES) this.set({ state }, known.get(state) ?? 0);
    },
  });
}
