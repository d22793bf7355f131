import { type ReadonlySignal, signal } from "@preact/signals";
import type { Client } from "../api/client.ts";
import type { ReplicationRecord } from "../api/records.ts";
import type { ListState } from "./paged-list.ts";
import { type Polling, startPolling } from "./polling.ts";

/** The volumes that are pulled by a schedule, as long as somebody looks at them. */
export interface Replications extends Polling {
  readonly state: ReadonlySignal<ListState<ReplicationRecord>>;
}

const EVERY_MS = 5_000;

export function watchReplications(client: Client): Replications {
  const state = signal<ListState<ReplicationRecord>>({
    rows: [],
    isLoading: true,
    isComplete: false,
    failure: undefined,
  });
  const polling = startPolling(
    async () => {
      const answer = await client.call("ListReplications", {});
      state.value = answer.ok
        ? { rows: answer.value.replications, isLoading: false, isComplete: true, failure: undefined }
        : { ...state.value, isLoading: false, failure: answer.failure };
    },
    () => EVERY_MS,
  );
  return { ...polling, state };
}
