import { expect, test } from "vitest";
import { type EventFrame, readFrames } from "../../../../../src/main/commands/client/frame-reader.js";
import { eventLine } from "../../../../../src/main/commands/client/watch-events.js";
import { plainly } from "../../../../../src/main/commands/terminal/paint.js";

const STREAM = [
  ': a comment\nid: e:1\n\nid: e:2\nevent: volume\ndata: {"id":"tänk/v"}\n\n',
  "data:a\r\ndata: b\r\n\r\nevent: unfinished\ndata: x\n",
].join("");
const FRAMES: readonly EventFrame[] = [
  { event: "volume", data: '{"id":"tänk/v"}' },
  { event: "message", data: "a\nb" },
];

async function framesOf(pieceBytes: number): Promise<readonly EventFrame[]> {
  const bytes = Buffer.from(STREAM);
  async function* pieces() {
    for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
  }
  const frames: EventFrame[] = [];
  for await (const frame of readFrames(pieces())) frames.push(frame);
  return frames;
}

test.each([1, 2, 7, 1000])("frames are the same however the bytes are cut: by %i", async (pieceBytes) => {
  expect(await framesOf(pieceBytes)).toEqual(FRAMES);
});

test("an event is a line with who did it, or why it failed, and does not steer the terminal", () => {
  const event = {
    ...{ at: "2026-11-29T12:32:27.426Z", topic: "volume", action: "created", id: "tank/v\x1b[2J" },
    ...{ caller: "1c2c", origin: "outside", failure: { code: "internal", message: "a bug" } },
  };
  expect(eventLine(event, plainly)).toMatch(
    /^\d\d:\d\d:27 {2}volume {4}created {6}tank\/v\?\[2J {2}by 1c2c, by no call, a bug$/,
  );
});
