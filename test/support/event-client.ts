/** An event as a subscriber gets it. */
export interface TestEvent {
  readonly epoch: string;
  readonly seq: number;
  readonly topic: string;
  readonly action: string;
  readonly pool: string;
  readonly id: string;
  readonly caller: string | null;
  readonly requestId: string | null;
  readonly origin: string;
  readonly what?: string;
  readonly failure?: { readonly code: string };
}

/** A frame of server-sent events; `name` is "" where it has none. */
export interface EventFrame {
  readonly id: string;
  readonly name: string;
  readonly data: unknown;
}

/** The frames that a text of server-sent events has, without comments and without a last one that is not whole. */
export function readFrames(text: string): EventFrame[] {
  return text
    .split("\n\n")
    .slice(0, -1)
    .flatMap((frame) => {
      const fields = new Map<string, string>();
      for (const line of frame.split("\n")) {
        const colon = line.indexOf(": ");
        if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 2));
      }
      const data = fields.get("data");
      if (data === undefined) return [];
      return [{ id: fields.get("id") ?? "", name: fields.get("event") ?? "", data: JSON.parse(data) }];
    });
}

/** What a subscriber was told so far. */
export interface FollowedEvents {
  all(): readonly TestEvent[];
  /** TOPIC ACTION ID WHAT, of each. */
  told(): readonly string[];
  stop(): void;
}

/** Subscribes to some topics of a daemon. */
export async function followEvents(url: string, topics: string): Promise<FollowedEvents> {
  const stopping = new AbortController();
  const { body } = await fetch(`${url}/events?topics=${topics}`, { signal: stopping.signal });
  let text = "";
  const read = async () => {
    const decoder = new TextDecoder();
    for await (const chunk of body as unknown as AsyncIterable<Uint8Array>)
      text += decoder.decode(chunk, { stream: true });
  };
  void read().catch(() => {});
  const all = () =>
    readFrames(text).flatMap(({ data }) => ("topic" in Object(data) ? [data as TestEvent] : []));
  const told = () =>
    all().map(({ topic, action, id, what }) => [topic, action, id, what].filter(Boolean).join(" "));
  return { all, told, stop: () => stopping.abort() };
}
