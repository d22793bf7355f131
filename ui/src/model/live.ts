import { type ReadonlySignal, signal } from "@preact/signals";
import { type EventFrame, framesOf } from "../../../src/client/event-frames.ts";
import type { Client } from "../api/client.ts";
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

/** The first message of a connection. */
interface Subscribed {
  /** Whether all events since the last place come. */
  readonly complete: boolean;
}

/** Follows the daemon's events for as long as the page is open. */
export function followEvents({ client, onEvent, onGap }: LiveOptions): Live {
  const state = signal<LiveState>("connecting");
  const recent = signal<readonly EventRecord[]>([]);
  const ending = new AbortController();
  /** The id of the last event, from which a new connection goes on. */
  let lastId = "";
  let waitMs = FIRST_WAIT_MS;
  /** Whether there was a subscription before. */
  let hasBegun = false;

  function take({ event: name, data }: EventFrame): void {
    if (name === "end") return;
    if (name === "subscribed") {
      const subscribed: Subscribed = JSON.parse(data);
      // At first the lists may be older than the subscription; later only what was missed counts.
      if (!hasBegun || !subscribed.complete) onGap();
      hasBegun = true;
      state.value = "live";
      waitMs = FIRST_WAIT_MS;
      return;
    }
    const event: EventRecord = JSON.parse(data);
    if (event.action !== "progress") recent.value = [event, ...recent.value].slice(0, RECENT);
    onEvent(event);
  }

  /** One connection. @returns whether there is a stream to follow at all. */
  async function connect(): Promise<boolean> {
    const headers: Record<string, string> = lastId === "" ? {} : { "Last-Event-ID": lastId };
    const answer = await client.get("/events", { headers, signal: ending.signal });
    if (!answer.ok) return answer.failure.reason !== "http.404";
    if (!answer.value.body) return false;
    try {
      for await (const frame of framesOf(answer.value.body, SILENT_MS)) {
        if (frame.id !== "") lastId = frame.id;
        if (frame.data !== "") take(frame);
      }
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
