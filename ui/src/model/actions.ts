import type { Client, Outcome } from "../api/client.ts";
import type { Answers } from "../api/records.ts";
import type { Jobs } from "./jobs.ts";
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

  return {
    change,
    changeAsJob: async (method, params, words) => {
      if (!jobs.isManaged.value) return (await change(method, params, words)).ok;
      const answer = await client.call(method, { ...params, background: true });
      if (answer.ok) notes.tell("done", `${words.busy}: begun as a job`);
      else notes.tell("failed", `${words.busy}: not done`, answer.failure.message);
      jobs.refresh();
      onChanged();
      return answer.ok;
    },
  };
}
