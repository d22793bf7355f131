import fc from "fast-check";
import { expect, test } from "vitest";
import { LiveSource } from "../../../../src/main/events/live-source.js";

const FILLER = "\n";

test("gives every byte once and in order, and a filler when there is none", () => {
  const piece = fc.string({ minLength: 1, maxLength: 40_000, unit: "grapheme-ascii" });
  fc.assert(
    fc.property(fc.array(fc.oneof(piece, fc.integer({ min: 1, max: 20_000 }))), (steps) => {
      const source = new LiveSource();
      let due = "";
      for (const step of steps) {
        if (typeof step === "string") {
          source.add(Buffer.from(step));
          due += step;
          continue;
        }
        const bytes = Buffer.from(source.peek(step)).toString();
        expect(bytes.length).toBeGreaterThan(0);
        source.take(bytes.length);
        if (due === "") expect(bytes).toBe(FILLER);
        else expect(due.startsWith(bytes)).toBe(true);
        due = due.slice(due === "" ? 0 : bytes.length);
        expect(source.waiting).toBe(due.length);
        expect(source.available).toBe(due.length + 1);
      }
    }),
  );
});

test("small pieces come together, and shared ones are not changed", () => {
  const source = new LiveSource();
  const shared = Buffer.from("one ");
  source.add(shared);
  source.add(Buffer.from("two "));
  source.take(source.peek(1).length);
  source.add(Buffer.from("three"));
  expect(Buffer.from(source.peek(100)).toString()).toBe("ne two three");
  expect(shared.toString()).toBe("one ");
});

test("what is forgotten ends at the end of a piece, so that no event is cut", () => {
  const source = new LiveSource();
  source.add(Buffer.from("first"));
  source.add(Buffer.alloc(20_000, "x"));
  source.take(source.peek(2).length);
  source.clear();
  source.add(Buffer.from(" last"));
  source.complete();
  expect(Buffer.from(source.peek(100)).toString()).toBe("rst last");
  source.take(8);
  expect([source.available, source.peek(9).length]).toEqual([0, 0]);
});
