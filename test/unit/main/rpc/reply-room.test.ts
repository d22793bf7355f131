import { describe, expect, test } from "vitest";
import { HeldTexts, ReplyRoom } from "../../../../src/main/rpc/reply-room.js";
import { fail } from "../../../../src/protocol/storage/failures.js";
import type { DatasetName, SnapshotName } from "../../../../src/protocol/storage/names.js";

const LIMIT = 20_000;
const FULL = "the replies to other requests take all of limits.replyBytesInFlight (20000 bytes)";

/** A reply whose end is called by the test. */
function replyIn(room: ReplyRoom) {
  const ends: (() => void)[] = [];
  const held = new HeldTexts(room, { onEnd: (listener) => ends.push(listener) });
  const end = () => {
    for (const each of ends.splice(0)) each();
  };
  return { held, end };
}

describe("limits.replyBytesInFlight", () => {
  test("has room for texts up to the limit, and for no byte more until a reply has ended", () => {
    const room = new ReplyRoom(LIMIT);
    const first = replyIn(room);
    const second = replyIn(room);
    expect(first.held.add("x".repeat(LIMIT - 5_000))).toBe(true);
    expect(second.held.add("x".repeat(5_001))).toBe(false);
    expect(second.held.add("x".repeat(5_000))).toBe(true);
    expect(room.bytes).toBe(LIMIT);
    first.end();
    expect(room.bytes).toBe(5_000);
    second.end();
    expect(room.bytes).toBe(0);
  });

  test("counts bytes, not characters", () => {
    const room = new ReplyRoom(LIMIT);
    expect(replyIn(room).held.add("€".repeat(5_000))).toBe(true);
    expect(room.bytes).toBe(15_000);
  });

  test("counts a text that replies share once, until the last of them has ended", () => {
    const room = new ReplyRoom(LIMIT);
    const text = new Uint8Array(LIMIT);
    const replies = Array.from({ length: 200 }, () => replyIn(room));
    for (const { held } of replies) expect(held.add(text)).toBe(true);
    expect(room.bytes).toBe(LIMIT);
    for (const { end } of replies.slice(1)) end();
    expect(room.bytes).toBe(LIMIT);
    expect(replyIn(room).held.add(new Uint8Array(1))).toBe(false);
    replies[0]?.end();
    expect(room.bytes).toBe(0);
  });

  test("counts the small answers of a reply as soon as they are many", () => {
    const room = new ReplyRoom(LIMIT);
    const { held, end } = replyIn(room);
    for (let count = 0; count < 4; count++) expect(held.add("x".repeat(1_000))).toBe(true);
    expect(room.bytes).toBe(0);
    const added = Array.from({ length: 100 }, () => held.add("x".repeat(1_000)));
    expect(added.filter(Boolean).length).toBe(LIMIT / 1_000);
    end();
    expect(room.bytes).toBe(0);
  });

  test("keeps nothing for a reply that ended before its answers came", () => {
    const room = new ReplyRoom(LIMIT);
    const held = new HeldTexts(room, { onEnd: (listener) => listener() });
    expect(held.add("x".repeat(LIMIT))).toBe(true);
    expect(held.add("x".repeat(LIMIT))).toBe(true);
    expect(room.bytes).toBe(0);
  });

  test("is named with its value where it refuses, and so is a change that was made", () => {
    const room = new ReplyRoom(LIMIT);
    const root = "tank/v" as DatasetName;
    expect(room.refusal({ op: "ListSnapshots", root })).toEqual(
      fail("service.overloaded", `${FULL}, try again`),
    );
    const name = "tank/v@s" as SnapshotName;
    expect(room.refusal({ op: "DeleteSnapshot", name, recursive: true })).toEqual(
      fail("service.reply_too_large", `the change was made, and there is no room for its answer: ${FULL}`),
    );
  });
});
