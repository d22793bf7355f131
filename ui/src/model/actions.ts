import type { Client, Outcome } from "../api/client.ts";
import type { Answers } from "../api/records.ts";
import { isRunning, type Jobs } from "./jobs.ts";
import type { Notes } from "./notes.ts";

/** What a change says while it runs, and when it is done. */
export interface Words {
  readonly busy: string;
  readonly done: string;
}

export interface Actions {
  /** Calls a method that changes something, and tells how that went. */
  change<Method extends keyof Answers>(
    method: Method,
    params: object,
    words: Words,
  ): Promise<Outcome<Answers[Method]>>;
  /** As change, as a job where the daemon can do that. */
  changeAsJob<Method extends keyof Answers>(method: Method, params: object, words: Words): Promise<boolean>;
}

interface ActionOptions {
  readonly client: Client;
  readonly notes: Notes;
  readonly jobs: Jobs;
  /** Called after a change that was made. */
  onChanged(): void;
}

/** A proxy must not take a question for dead. */
const WAIT_MS = 20_000;

export function createActions({ client, notes, jobs, onChanged }: ActionOptions): Actions {
  const change: Actions["change"] = async (method, params, words) => {
    const note = notes.tell("busy", words.busy);
    const answer = await client.call(method, params);
    if (answer.ok) notes.tell("done", words.done, undefined, note);
    else notes.tell("failed", `${words.busy}: not done`, answer.failure.message, note);
    // Also after a failure: what is shown may have been out of date.
    onChanged();
    return answer;
  };

  /** Tells how a job has ended, as soon as it has. */
  async function follow(answer: Answers["WaitJob"], words: Words, note: number): Promise<void> {
    const [job] = answer.jobs;
    if (job && isRunning(job)) {
      const next = await client.call("WaitJob", { id: job.id, timeoutMs: WAIT_MS });
      if (next.ok) return follow(next.value, words, note);
      // The list of jobs goes on to tell of it.
      return void notes.tell("failed", `${words.busy}: nobody knows how it ends`, next.failure.message, note);
    }
    if (job?.state === "done") notes.tell("done", words.done, undefined, note);
    else notes.tell("failed", `${words.busy}: ${job?.state ?? "not done"}`, job?.failure?.message, note);
    onChanged();
  }

  return {
    change,
    changeAsJob: async (method, params, words) => {
      if (!jobs.isManaged.value) return (await change(method, params, words)).ok;
      const note = notes.tell("busy", words.busy);
      const begun = await client.begin(method, params);
      jobs.refresh();
      if (begun.ok) void follow(begun.value, words, note);
      else notes.tell("failed", `${words.busy}: not done`, begun.failure.message, note);
      return begun.ok;
    },
  };
}
