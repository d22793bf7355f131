import { describe, expect, test } from "vitest";
import { type EventFrame, framesOf } from "../../../src/client/event-frames.js";

const encoder = new TextEncoder();

/** The frames with data of a stream that comes in these pieces, and its last place. */
async function read(...pieces: readonly Uint8Array[]) {
  const left = [...pieces];
  const body = new ReadableStream<Uint8Array>({
    pull: (controller) => {
      const piece = left.shift();
      if (piece) controller.enqueue(piece);
      else controller.close();
    },
  });
  const messages: EventFrame[] = [];
  let place = "";
  for await (const frame of framesOf(body)) {
    if (frame.data !== "") messages.push(frame);
    place = frame.id;
  }
  return { messages, place };
}

describe("events of a stream", () => {
  const text = ": hello\nid: e:1\nevent: volume\ndata: {\ndata: }\n\n:\n\ndata:x\r\n\r\nid: e:3\n\n";
  const messages = [
    { id: "e:1", event: "volume", data: "{\n}" },
    { id: "e:1", event: "message", data: "x" },
  ];
  // The last block has a place alone.
  const expected = { messages, place: "e:3" };

  test("are the same however the text is cut", async () => {
    const bytes = encoder.encode(text);
    expect(await read(bytes)).toEqual(expected);
    for (let cut = 1; cut < bytes.length; cut++) {
      expect(await read(bytes.subarray(0, cut), bytes.subarray(cut))).toEqual(expected);
    }
  });
});

const STREAM = [
  ': a comment\nid: e:1\n\nid: e:2\nevent: volume\ndata: {"id":"tänk/v"}\n\n',
  "data:a\r\ndata: b\r\n\r\nevent: unfinished\ndata: x\n",
].join("");

test.each([1, 2, 7, 1000])("frames are the same however the bytes are cut: by %i", async (pieceBytes) => {
  const bytes = encoder.encode(STREAM);
  const pieces = Array.from({ length: Math.ceil(bytes.length / pieceBytes) }, (_, at) =>
    bytes.subarray(at * pieceBytes, (at + 1) * pieceBytes),
  );
  const { messages } = await read(...pieces);
  expect(messages.map(({ event, data }) => ({ event, data }))).toEqual([
    { event: "volume", data: '{"id":"tänk/v"}' },
    { event: "message", data: "a\nb" },
  ]);
});

test("one that stays silent for too long ends", async () => {
  let isCancelled = false;
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(encoder.encode("data: x\n\n")),
    cancel: () => {
      isCancelled = true;
    },
  });
  const frames: EventFrame[] = [];
  for await (const frame of framesOf(body, 20)) frames.push(frame);
  expect({ frames: frames.length, isCancelled }).toEqual({ frames: 1, isCancelled: true });
});
