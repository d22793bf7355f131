/** A message of a stream of server-sent events. */
export interface StreamMessage {
  readonly id: string;
  readonly event: string;
  readonly data: string;
}

/** Who follows a stream. */
export interface StreamFollower {
  onMessage(message: StreamMessage): void;
  /** A place was told, without a message too: a new connection goes on behind it. */
  onPlace(id: string): void;
}

/** Reads server-sent events as the HTML standard says, of pieces of text that may be cut anywhere. */
export function createEventParser({ onMessage, onPlace }: StreamFollower): (piece: string) => void {
  /** What has come behind the last line break. */
  let rest = "";
  /** The last id, which holds until another one comes. */
  let id = "";
  let event = "";
  let data: string[] = [];

  function takeLine(line: string): void {
    if (line === "") {
      onPlace(id);
      if (data.length > 0) onMessage({ id, event: event || "message", data: data.join("\n") });
      [event, data] = ["", []];
      return;
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") data.push(value);
    else if (field === "event") event = value;
    else if (field === "id") id = value;
  }

  return (piece) => {
    const lines = (rest + piece).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? "";
    for (const line of lines) takeLine(line);
  };
}

/** Reads the body of a stream until it ends, or stays silent for `silentMs`. Rejects if the connection breaks. */
export async function readEventStream(
  body: ReadableStream<Uint8Array>,
  silentMs: number,
  follower: StreamFollower,
): Promise<void> {
  const parse = createEventParser(follower);
  const decoder = new TextDecoder();
  const reader = body.getReader();
  for (;;) {
    const silence = setTimeout(() => reader.cancel("silent"), silentMs);
    const { value, done } = await reader.read().finally(() => clearTimeout(silence));
    if (done) return;
    parse(decoder.decode(value, { stream: true }));
  }
}
