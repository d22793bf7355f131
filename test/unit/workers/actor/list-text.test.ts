import { describe, expect, test } from "vitest";
import { createMethodTable } from "../../../../src/protocol/json-rpc/methods/table.js";
import { fail, succeed } from "../../../../src/protocol/storage/failures.js";
import type { DatasetName, SnapshotName } from "../../../../src/protocol/storage/names.js";
import type { Operation } from "../../../../src/protocol/storage/operations.js";
import { bytes } from "../../../../src/protocol/storage/units.js";
import { writeLongList } from "../../../../src/workers/actor/list-text.js";

const COUNT = 1_000;
const snapshots = Array.from({ length: COUNT }, (_, index) => ({
  name: `tank/é@${index}`,
  written: bytes(0),
}));
const volumes = snapshots.map(({ name }) => ({ name, size: bytes(1_048_576), device: `/dev/zvol/${name}` }));
const name = "tank/v@s" as SnapshotName;
const dataset = "tank/v" as DatasetName;
const lists: readonly (readonly [Operation, readonly unknown[]])[] = [
  [{ op: "ListSnapshots", root: dataset }, snapshots],
  [{ op: "CreateSnapshot", dataset, snapshot: name, recursive: true }, snapshots],
  [{ op: "DeleteSnapshot", name, recursive: true }, snapshots],
  [{ op: "ListVolumes" }, volumes],
];

/** The text that main would write. */
function textOf({ op }: Operation, records: readonly unknown[]): string {
  const lookup = createMethodTable().find(op);
  if (!("found" in lookup)) throw new Error(op);
  return String(lookup.found.encode(records, Number.POSITIVE_INFINITY));
}

describe.each(lists)("a long answer of %o", (operation, records) => {
  const text = textOf(operation, records);
  const length = Buffer.byteLength(text);

  test("is the bytes of the text that main would write, up to limits.replyBytes", () => {
    expect(writeLongList(operation, succeed(records), length)).toEqual(succeed(Buffer.from(text)));
  });

  test("that is a byte longer than limits.replyBytes is refused, with the limit and its value", () => {
    const refused = writeLongList(operation, succeed(records), length - 1);
    expect(refused).toMatchObject({ failure: { code: "service.reply_too_large" } });
    expect(refused).toMatchObject({
      failure: { message: expect.stringContaining(`limits.replyBytes (${length - 1} bytes)`) },
    });
  });

  test("main passes on as it is, if it fits into what is left of the reply", () => {
    const lookup = createMethodTable().find(operation.op);
    if (!("found" in lookup)) throw new Error(operation.op);
    const written = Buffer.from(text);
    expect(lookup.found.encode(written, length)).toBe(written);
    expect(lookup.found.encode(written, length - 1)).toBe(undefined);
  });
});

test("short lists, other answers and failures stay as they are", () => {
  const short = succeed(snapshots.slice(0, 10));
  expect(writeLongList({ op: "ListSnapshots", root: dataset }, short, 1)).toBe(short);
  const images = succeed(snapshots);
  expect(writeLongList({ op: "ListImages", type: "" }, images, 1)).toBe(images);
  const refused = fail("dataset.not_found", "not found");
  expect(writeLongList({ op: "ListVolumes" }, refused, 1)).toBe(refused);
});
