import { Piscina } from "piscina";

/**
 * Creates a thread that runs a single task for as long as it lives. `worker` names the compiled
 * module of src/workers whose default export is that task.
 */
export function createSoloThread(worker: "pool-actor" | "streaming"): Piscina {
  return new Piscina({
    filename: new URL(`../../workers/${worker}.js`, import.meta.url).href,
    minThreads: 1,
    maxThreads: 1,
    idleTimeout: Number.POSITIVE_INFINITY,
    concurrentTasksPerWorker: 1,
    // With the default, the ports of an idle thread can hang.
    atomics: "disabled",
  });
}
