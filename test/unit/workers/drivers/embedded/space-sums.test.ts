import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { DatasetName, SnapshotName } from "../../../../../src/protocol/storage/names.js";
import { bytes } from "../../../../../src/protocol/storage/units.js";
import type { Dataset } from "../../../../../src/workers/drivers/embedded/dataset.js";
import { newSnapshot, newVolume } from "../../../../../src/workers/drivers/embedded/dataset-rules.js";
import { createSpaceSums } from "../../../../../src/workers/drivers/embedded/space-sums.js";

let lastId = 0;
const numbers = { nextId: () => ++lastId, nextTxg: () => 1n } as unknown as Parameters<typeof newVolume>[0];

const step = fc.oneof(
  fc.record({
    kind: fc.constant("enter" as const),
    file: fc.nat(5),
    volsize: fc.nat(9),
    isSnapshot: fc.boolean(),
    reserved: fc.boolean(),
    readonly: fc.boolean(),
  }),
  fc.record({ kind: fc.constant("leave" as const), which: fc.nat(20) }),
  fc.record({ kind: fc.constant("write" as const), file: fc.nat(5), allocated: fc.nat(12) }),
);

describe("the sums of space", () => {
  test("are after a look what a walk over all datasets comes to", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const taken = new Map<string, bigint>();
        const allocatedNow = (file: string) => taken.get(file) ?? 0n;
        const sums = createSpaceSums(allocatedNow);
        const there: Dataset[] = [];
        for (const each of steps) {
          if (each.kind === "write") taken.set(`f${each.file}`, BigInt(each.allocated));
          else if (each.kind === "leave") {
            const [gone] = there.splice(each.which % Math.max(there.length, 1), 1);
            if (gone) sums.left(gone);
          } else {
            const { reserved, readonly } = each;
            const file = `f${each.file}`;
            // No two volumes have a file in common.
            if (!each.isSnapshot && there.some((one) => one.type === "volume" && one.file === file)) continue;
            const fields = {
              file,
              volsize: bytes(each.volsize),
              reserved,
              readonly,
              allocated: bytes(each.volsize),
            };
            const dataset = each.isSnapshot
              ? newSnapshot(numbers, `tank/v@${there.length}` as SnapshotName, fields)
              : newVolume(numbers, "tank/v" as DatasetName, fields);
            there.push(dataset);
            sums.entered(dataset);
          }
        }
        await sums.lookAgain();
        const expected = { used: 0n, reserved: 0n, promised: 0n };
        const shared = new Set(there.flatMap(({ type, file }) => (type === "snapshot" ? [file] : [])));
        for (const { type, file, volsize, allocated, reserved, readonly } of there) {
          if (type === "snapshot") expected.used += allocated;
          if (type !== "volume") continue;
          const now = allocatedNow(file);
          if (!shared.has(file)) expected.used += now;
          const unwritten = volsize > now ? volsize - now : 0n;
          if (reserved) expected.reserved += unwritten;
          else if (!readonly) expected.promised += unwritten;
        }
        expect(sums.totals).toEqual(expected);
      }),
      { numRuns: 300 },
    );
  });

  test("grow old until the next look, and tell what is staged", async () => {
    let taken = 1n;
    const sums = createSpaceSums(() => taken);
    const fields = { volsize: bytes(10), file: "f", reserved: true };
    sums.entered(newVolume(numbers, "tank/v" as DatasetName, fields));
    expect([sums.totals, sums.stagedUsed]).toEqual([{ used: 1n, reserved: 9n, promised: 0n }, 1n]);
    sums.settled();
    taken = 4n;
    expect([sums.totals.used, sums.stagedUsed]).toEqual([1n, 0n]);
    await sums.lookAgain();
    expect(sums.totals).toEqual({ used: 4n, reserved: 6n, promised: 0n });
  });
});
