import { expect, test } from "vitest";
import { succeed } from "../../../../src/protocol/storage/failures.js";
import type { DatasetName } from "../../../../src/protocol/storage/names.js";
import { incomingOf } from "../../../../src/protocol/storage/partial-name.js";
import type { StreamHead } from "../../../../src/protocol/storage/send-terms.js";
import { bytes } from "../../../../src/protocol/storage/units.js";
import { createDatasetLocks } from "../../../../src/workers/actor/dataset-locks.js";
import { readyForStream } from "../../../../src/workers/actor/ready-for-stream.js";
import { POOL } from "../../../support/memory-actor.js";
import { createMemoryZfs } from "../../../support/memory-zfs.js";

const SIZE = bytes(1_048_576);
const target = `${POOL}/vm/disk` as DatasetName;
const beside = incomingOf(POOL, target);
const FULL: StreamHead = { toGuid: "20", isResumed: false };
const REST: StreamHead = { toGuid: "20", isResumed: true };

/** A pool in which a stream broke into some datasets. `abandoned` gets those whose streams are given up. */
function poolWith(broken: readonly DatasetName[], hasTarget: boolean) {
  const zfs = createMemoryZfs(POOL, bytes(2n ** 40n));
  for (const name of ["images", "vm"]) zfs.put(`${POOL}/${name}`);
  if (hasTarget) zfs.put(target, { type: "volume", volsize: SIZE });
  if (hasTarget) zfs.put(`${target}@old`, { guid: "10" });
  if (broken.includes(beside)) zfs.put(beside, { type: "volume", volsize: SIZE });
  const tokens = new Map(broken.map((name) => [name, `1-${name}`]));
  const abandoned: string[] = [];
  const withTokens = {
    ...zfs,
    receiveToken: async (name: DatasetName) => succeed(tokens.get(name)),
    readResumeToken: async () =>
      succeed({
        toName: "a@b",
        toGuid: "20",
        fromGuid: undefined,
        flags: [],
        sends: succeed({ name: "a@b", estimatedBytes: 1 }),
      }),
    abandonReceive: async (name: DatasetName) => {
      abandoned.push(name);
      tokens.delete(name);
      return succeed(null);
    },
  };
  const context = { pool: POOL, zfs: withTokens, locks: createDatasetLocks() };
  const ready = (stream: StreamHead, force = false) => readyForStream(context, { target, stream, force });
  return { ready, abandoned };
}

test("a stream that broke is gone on with by its rest, and by no other stream", async () => {
  const { ready } = poolWith([beside], false);
  expect(await ready(FULL)).toMatchObject({ failure: { code: "dataset.exists" } });
  expect(await ready({ ...REST, toGuid: "21" })).toMatchObject({ failure: { code: "stream.invalid" } });
  expect(await ready(REST)).toEqual(succeed({ into: beside, isNew: true, replaces: false, destroyed: [] }));
  const nothing = poolWith([], true);
  expect(await nothing.ready(REST, true)).toMatchObject({ failure: { code: "stream.invalid" } });
});

test("another stream takes the place of one that broke by force, and says so", async () => {
  const { ready, abandoned } = poolWith([beside], false);
  expect(await ready(FULL, true)).toMatchObject({
    value: { into: beside, isNew: true, destroyed: [`${target}%recv`] },
  });
  expect(abandoned).toEqual([beside]);
  const grown = poolWith([target], true);
  const increment = { toGuid: "20", fromGuid: "10", isResumed: false };
  expect(await grown.ready(increment)).toMatchObject({ failure: { code: "dataset.exists" } });
  expect(await grown.ready(increment, true)).toMatchObject({
    value: {
      into: target,
      isNew: false,
      destroyed: [`${target}%recv`, `what was written since ${target}@old`],
    },
  });
  expect(grown.abandoned).toEqual([target]);
});

test("the rest of a stream that is to replace a volume needs force again; that of an increment does not", async () => {
  const replacing = poolWith([beside], true);
  expect(await replacing.ready(REST)).toMatchObject({ failure: { code: "dataset.exists" } });
  expect(await replacing.ready(REST, true)).toEqual(
    succeed({ into: beside, isNew: true, replaces: true, destroyed: [] }),
  );
  const grown = poolWith([target], true);
  expect(await grown.ready(REST)).toEqual(
    succeed({ into: target, isNew: false, replaces: false, destroyed: [] }),
  );
});
