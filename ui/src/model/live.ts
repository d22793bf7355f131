import { type ReadonlySignal, signal } from "@preact/signals";
import type { Client } from "../api/client.ts";
import { readEventStream, type StreamMessage } from "../api/event-stream.ts";
import type { EventRecord } from "../api/records.ts";

/** How the page learns of changes: as they happen, or by asking now and then. */
export type LiveState = "connecting" | "live" | "polling";

export interface Live {
  readonly state: ReadonlySignal<LiveState>;
  /** The newest first. */
  readonly recent: ReadonlySignal<readonly EventRecord[]>;
  stop(): void;
}

interface LiveOptions {
  readonly client: Client;
  onEvent(event: EventRecord): void;
  /** Called when events may have been missed. */
  onGap(): void;
}

/** The daemon sends a comment each 15 s. */
const SILENT_MS = 45_000;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;
const RECENT = 200;

/** Follows the daemon's events for as long as the page is open. */
export function followEvents({ client, onEvent, onGap }: LiveOptions): Live {
  const state = signal<LiveState>("connecting");
  const recent = signal<readonly EventRecord[]>([]);
  const ending = new AbortController();
  /** The id of the last event, from which a new connection goes on. */
  let lastId = "";
  let waitMs = FIRST_WAIT_MS;

  function take({ id, data }: StreamMessage): void {
    if (id !== "") lastId = id;
    const event: EventRecord = JSON.parse(data);
    // Messages that are no events tell about the stream itself.
    if (typeof event.topic !== "string") return;
    recent.value = [event, ...recent.value].slice(0, RECENT);
    onEvent(event);
  }

  /** One connection. @returns whether there is a stream to follow at all. */
  async function connect(): Promise<boolean> {
    const headers: Record<string, string> = lastId === "" ? {} : { "Last-Event-ID": lastId };
    const answer = await client.get("/events", { headers, signal: ending.signal });
    if (!answer.ok) return answer.failure.reason !== "http.404";
    if (!answer.value.body) return false;
    const isFirst = lastId === "" && state.value === "connecting";
    state.value = "live";
    waitMs = FIRST_WAIT_MS;
    if (!isFirst) onGap();
    try {
      await readEventStream(answer.value.body, SILENT_MS, take);
    } catch {
      // The connection broke: the next one goes on behind the last event.
    }
    return true;
  }

  async function follow(): Promise<void> {
    while (!ending.signal.aborted) {
      const isThere = await connect();
      if (ending.signal.aborted) return;
      if (!isThere) {
        state.value = "polling";
        return;
      }
      state.value = "connecting";
      await new Promise((resolve) => setTimeout(resolve, waitMs));
      waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS);
    }
  }

  void follow();
  return { state, recent, stop: () => ending.abort() };
}
