/** A frame of `text/event-stream`, as the HTML standard has it. */
export interface EventFrame {
  /** The place to go on from; "" if the stream has told none so far. */
  readonly id: string;
  /** "message" where one with data names none. */
  readonly event: string;
  /** "" for a frame that only tells a place. */
  readonly data: string;
}

/** The lines of a stream; the last one only if it is ended. */
async function* linesOf(
  body: ReadableStream<Uint8Array>,
  silentMs: number | undefined,
): AsyncGenerator<string> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      // Only while we wait: whoever takes the frames may take their time.
      const silence = silentMs && setTimeout(() => reader.cancel().catch(() => {}), silentMs);
      const { value, done } = await reader.read().finally(() => clearTimeout(silence));
      if (done) return;
      rest += decoder.decode(value, { stream: true });
      const lines = rest.split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop() ?? "";
      yield* lines;
    }
  } finally {
    // Also if nobody wants the rest.
    await reader.cancel().catch(() => {});
  }
}

/**
 * The frames of a stream, until it ends or nothing has come for `silentMs`, if that is given. Comments count
 * as signs of life only. Rejects if the stream breaks.
 */
export async function* framesOf(
  body: ReadableStream<Uint8Array>,
  silentMs?: number,
): AsyncGenerator<EventFrame> {
  /** It stays until another comes. */
  let id = "";
  let event = "";
  let data: string[] = [];
  for await (const line of linesOf(body, silentMs)) {
    if (line === "") {
      const text = data.join("\n");
      yield { id, event: text === "" ? event : event || "message", data: text };
      event = "";
      data = [];
      continue;
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "id") id = value;
    else if (field === "event") event = value;
    else if (field === "data") data.push(value);
  }
}
