import { createHash } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { createPartCutter, type Part } from "../../../../src/workers/backups/part-cutter.js";

const hex = (data: Buffer) => createHash("sha256").update(data).digest("hex");

test("parts are the stream, cut at equal lengths, each with its digest, in memory that is used again", () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 30 }),
      fc.integer({ min: 1, max: 25 }),
      (pieces, partBytes) => {
        const cutter = createPartCutter(partBytes);
        const parts: Buffer[] = [];
        const keep = (part: Part | undefined) => {
          if (!part) return;
          expect([part.number, part.sha256]).toEqual([parts.length + 1, hex(part.content)]);
          parts.push(Buffer.from(part.content));
          cutter.free(part);
        };
        for (const piece of pieces) {
          const chunk = Buffer.from(piece);
          for (let at = 0; at < chunk.length; ) {
            at += cutter.push(chunk.subarray(at));
            keep(cutter.take());
          }
        }
        keep(cutter.take(true));
        const whole = Buffer.concat(pieces.map((piece) => Buffer.from(piece)));
        expect(Buffer.concat(parts)).toEqual(whole);
        expect([cutter.bytes, cutter.digest()]).toEqual([whole.length, hex(whole)]);
        expect(parts.slice(0, -1).every(({ length }) => length === partBytes)).toBe(true);
      },
    ),
  );
});
