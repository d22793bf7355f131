import { randomBytes } from "node:crypto";
import { expect, onTestFinished, test } from "vitest";
import { StreamBody } from "../../../../src/main/receives/stream-body.js";
import type { BodyTaker, IncomingBody } from "../../../../src/protocol/http/transport.js";
import { createRingMemory, createRingReader } from "../../../../src/protocol/threads/byte-ring.js";
import { until } from "../../../support/until.js";

const RING_BYTES = 64 * 1024;

/** A body whose pieces the test gives, in memory that is used again. */
function openBody(idleMs = 60_000) {
  const calls: string[] = [];
  let taker: BodyTaker | undefined;
  const incoming: IncomingBody = {
    length: undefined,
    start: (given) => {
      taker = given;
    },
    pause: () => void calls.push("pause"),
    resume: () => void calls.push("resume"),
  };
  const ring = createRingMemory(RING_BYTES);
  const body = new StreamBody(incoming, ring, idleMs);
  onTestFinished(() => body.close());
  return {
    body,
    calls,
    reader: createRingReader(ring),
    give: (piece: Uint8Array) => {
      const memory = Uint8Array.from(piece);
      taker?.onPiece(memory);
      memory.fill(0);
    },
    end: (isWhole: boolean) => taker?.onEnd(isWhole),
  };
}

test("a ring that is full pauses the client, and what came in the meantime follows in order", () => {
  const { body, calls, reader, give, end } = openBody();
  const sent = randomBytes(5 * RING_BYTES);
  const ends: boolean[] = [];
  body.attach({ onBytes: () => {}, onEnd: (isWhole) => void ends.push(isWhole) });
  for (let at = 0; at < sent.length; at += 10_000) give(sent.subarray(at, at + 10_000));
  expect(calls).toContain("pause");
  expect(calls).not.toContain("resume");
  end(true);
  expect(ends).toEqual([]);
  const parts: Buffer[] = [];
  let position = 0;
  while (position < sent.length) {
    expect(reader.poll() - position).toBeGreaterThan(0);
    const view = reader.view(position, 7_000);
    parts.push(Buffer.from(view));
    position += view.length;
    if (reader.release(position)) body.onRoom();
  }
  expect(Buffer.concat(parts).equals(sent)).toBe(true);
  expect(calls.at(-1)).toBe("resume");
  expect(ends).toEqual([true]);
});

test("its reader is told of the end also where that came before it", () => {
  const { body, give, end } = openBody();
  const ends: boolean[] = [];
  give(new Uint8Array(100));
  end(false);
  body.attach({ onBytes: () => {}, onEnd: (isWhole) => void ends.push(isWhole) });
  expect(ends).toEqual([false]);
  expect(body.problem).toBe("the client has gone");
});

test("what is no beginning of a stream, or too little of one, is told as soon as that shows", async () => {
  const empty = openBody();
  const ofEmpty = empty.body.head();
  empty.end(true);
  expect(await ofEmpty).toMatchObject({ failure: { code: "stream.invalid", message: "the body is empty" } });
  const short = openBody();
  short.give(new Uint8Array(3));
  short.end(true);
  expect(await short.body.head()).toMatchObject({ failure: { code: "stream.cut_short" } });
  const foreign = openBody();
  const ofForeign = foreign.body.head();
  for (let count = 0; count < 4; count++) foreign.give(randomBytes(100));
  expect(await ofForeign).toMatchObject({ failure: { code: "stream.invalid" } });
});

test("a client that sends nothing is taken for gone, but not while it is paused", async () => {
  const paused = openBody(20);
  paused.give(randomBytes(2 * RING_BYTES));
  const silent = openBody(20);
  silent.give(new Uint8Array(10));
  await until("it is taken for gone", () => silent.body.problem !== undefined);
  expect(silent.body.problem).toBe("no byte came for 20 ms");
  expect(paused.body.problem).toBeUndefined();
});
