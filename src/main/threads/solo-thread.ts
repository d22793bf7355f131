import { Piscina } from "piscina";

/**
 * A thread for one long task, which gets its ports and ends when they close.
 * `worker` is a compiled module of src/workers, with the task as its default export.
 */
export function createSoloThread(worker: "pool-actor" | "streaming"): Piscina {
  return new Piscina({
    filename: new URL(`../../workers/${worker}.js`, import.meta.url).href,
    minThreads: 1,
    maxThreads: 1,
    idleTimeout: Number.POSITIVE_INFINITY,
    concurrentTasksPerWorker: 1,
    // With the default a port in an idle thread can hang.
    atomics: "disabled",
  });
}
