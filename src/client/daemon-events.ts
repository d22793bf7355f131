import type { Job, Reason } from "./api-records.js";
import { NoAnswerError } from "./client-errors.js";
import { type DaemonFetch, refusalOf } from "./daemon-fetch.js";
import { type EventFrame, framesOf } from "./event-frames.js";
import { delayMs, mayRepeat, pause } from "./retries.js";

/** Something that has happened: docs/events.md says what each member means. */
export interface DaemonEvent {
  /** Its place: the run of the daemon, and its number in it. */
  readonly epoch: string;
  readonly seq: number;
  /** RFC 3339. */
  readonly at: string;
  readonly topic: EventTopic;
  readonly action: "created" | "deleted" | "changed" | "rolled-back" | "started" | "progress" | "ended";
  readonly pool: string;
  /** The full name of what it is about. */
  readonly id: string;
  readonly caller: string | null;
  readonly requestId: string | null;
  /** `outside`: by others than the daemon. */
  readonly origin: "call" | "outside";
  /** Of what ended badly. */
  readonly failure?: { readonly code: Reason; readonly message: string };
  /** Of the topic `job`. */
  readonly job?: Job;
  /** Of a pool that is `changed`: why. `missed`: others may have made changes that are not told, look anew. */
  readonly what?: string;
  /** More of that for people. */
  readonly detail?: string;
}

export type EventTopic = "image" | "volume" | "snapshot" | "guest" | "job" | "pool" | "download";

/** From where a subscription tells events. */
export interface EventsBegin {
  readonly epoch: string;
  readonly seq: number;
  /** False: there may have been others since the place that was asked for. Look at everything anew. */
  readonly complete: boolean;
}

export interface EventsOptions {
  /** All by default. */
  readonly topics?: readonly EventTopic[] | undefined;
  /** The place to go on from, `EPOCH:SEQ` of the last event that was seen. Without it: from now on. */
  readonly since?: string | undefined;
  /** Ends the events: the loop throws the reason of the signal. */
  readonly signal?: AbortSignal | undefined;
  /** Called each time the daemon begins to tell: at first, and when the connection was made anew. */
  readonly onBegin?: ((begin: EventsBegin) => void) | undefined;
}

/** The daemon sends something every 15 s: one that is silent for so long is gone. */
const SILENCE_MS = 45_000;

/** Reads a JSON text that the daemon has made. */
function parseData<T>(data: string): T {
  return JSON.parse(data);
}

/** The frames of one connection. Throws a NoAnswerError where it breaks. */
async function* openFrames(
  ask: DaemonFetch,
  query: URLSearchParams,
  signal: AbortSignal | undefined,
): AsyncGenerator<EventFrame> {
  const response = await ask(`/events?${query}`, {
    headers: { Accept: "text/event-stream" },
    signal: signal ?? null,
  });
  if (!response.ok || !response.body) throw await refusalOf(response);
  try {
    yield* framesOf(response.body, SILENCE_MS);
  } catch (error) {
    signal?.throwIfAborted();
    throw new NoAnswerError("the stream of events broke", { cause: error });
  }
}

/**
 * What happens from now on, or from `since` on. Connects again and goes on where it was, until the loop
 * ends or the daemon refuses: then it throws a NoAnswerError.
 */
export async function* eventsOf(
  ask: DaemonFetch,
  { topics = [], since = "", signal, onBegin }: EventsOptions,
): AsyncGenerator<DaemonEvent, void> {
  /** The place of the last frame. */
  let place = since;
  for (let failures = 0; ; failures++) {
    const query = new URLSearchParams();
    if (topics.length > 0) query.set("topics", topics.join(","));
    if (place !== "") query.set("since", place);
    let failure: unknown;
    try {
      for await (const { id, event, data } of openFrames(ask, query, signal)) {
        failures = 0;
        if (id !== "") place = id;
        if (event === "subscribed") onBegin?.(parseData<EventsBegin>(data));
        else if (event !== "end" && data !== "") yield parseData<DaemonEvent>(data);
      }
    } catch (error) {
      if (!mayRepeat(error, "read")) throw error;
      failure = error;
    }
    await pause(delayMs(failure, failures), signal);
  }
}
