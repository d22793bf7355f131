/** A frame of a stream of server-sent events, as the HTML standard has them. */
export interface EventFrame {
  /** "message" where the frame names none. */
  readonly event: string;
  readonly data: string;
}

/** What a frame's lines say. Undefined: it has no data. Comments and unknown fields are left out. */
function frameOf(lines: readonly string[]): EventFrame | undefined {
  const valuesOf = (field: string) =>
    lines.flatMap((line) =>
      line.startsWith(`${field}:`) ? [line.slice(field.length + 1).replace(/^ /, "")] : [],
    );
  const data = valuesOf("data");
  if (data.length === 0) return undefined;
  return { event: valuesOf("event").at(-1) ?? "message", data: data.join("\n") };
}

/** The frames of a stream, in the order in which they are complete. */
export async function* readFrames(pieces: AsyncIterable<Buffer>): AsyncGenerator<EventFrame> {
  // A character may come in two pieces.
  const decoder = new TextDecoder();
  /** What has come of the next line. */
  let rest = "";
  let lines: string[] = [];
  for await (const piece of pieces) {
    const parts = (rest + decoder.decode(piece, { stream: true })).split("\n");
    rest = parts.pop() ?? "";
    for (const part of parts) {
      const line = part.replace(/\r$/, "");
      if (line !== "") {
        lines.push(line);
        continue;
      }
      const frame = frameOf(lines);
      lines = [];
      if (frame) yield frame;
    }
  }
}
