import { describe, expect, test } from "vitest";
import { failed, type Outcome, succeed } from "../../../../src/protocol/storage/failures.js";
import type { ComponentId, DatasetName, SnapshotName } from "../../../../src/protocol/storage/names.js";
import { bytes } from "../../../../src/protocol/storage/units.js";
import { createSpaceReservations } from "../../../../src/workers/actor/operations/space-reservations.js";
import type { PreparedCopies } from "../../../../src/workers/drivers/driver.js";
import {
  createMemoryActor,
  createMemoryRecords,
  type MemoryActor,
  POOL,
} from "../../../support/memory-actor.js";
import { createMemoryZfs } from "../../../support/memory-zfs.js";
import { mustSucceed as must } from "../../../support/outcomes.js";
import { until } from "../../../support/until.js";

const SIZE = bytes(1_048_576);
const id = "golden" as ComponentId;
const volume = `${POOL}/v` as DatasetName;
const snapshot = `${volume}@s` as SnapshotName;
const fresh = `${volume}@fresh` as SnapshotName;
const target = `${POOL}/clone` as DatasetName;
const disk = { bus: "", device: "", size: SIZE, volume: "", image: id, source: "" };
const guest = { id: "g", disks: [disk, disk], rest: {} };

/** The operations that may copy hours of data, and how many copies each asks for. */
const COPYING: Record<string, [copies: number, run: (actor: MemoryActor) => Promise<Outcome<unknown>>]> = {
  CloneImage: [1, ({ handlers }) => handlers.CloneImage({ id, target })],
  CreateSnapshot: [
    1,
    ({ handlers }) => handlers.CreateSnapshot({ dataset: volume, snapshot: fresh, recursive: false }),
  ],
  RollbackSnapshot: [
    1,
    ({ handlers }) => handlers.RollbackSnapshot({ name: snapshot, destroyMoreRecent: true }),
  ],
  CreateGuestDisks: [2, ({ handlers }) => handlers.CreateGuestDisks({ guest })],
};

async function start(copy: () => Promise<Outcome<null>>) {
  const zfs = createMemoryZfs(POOL, bytes(2n ** 40n));
  for (const root of ["images", "guests"]) zfs.put(`${POOL}/${root}`);
  const asked: number[] = [];
  let discards = 0;
  zfs.put(`${POOL}/images/${id}`, { type: "volume", volsize: SIZE });
  zfs.put(`${POOL}/images/${id}@s`, { volsize: SIZE });
  zfs.put(volume, { type: "volume", volsize: SIZE });
  zfs.put(snapshot, { volsize: SIZE });
  const copies: PreparedCopies = {
    take: () => undefined,
    discard: async () => {
      discards++;
    },
  };
  const actor = createMemoryActor(
    Object.assign(zfs, {
      prepareCopies: async (changes: readonly unknown[]) => {
        asked.push(changes.length);
        const copied = await copy();
        return copied.ok ? succeed(copies) : copied;
      },
    }),
    createMemoryRecords(),
    async () => failed.stopping,
  );
  await must(actor.handlers.RequestImage({ id, type: "", source: "" }));
  return { actor, asked, discards: () => discards };
}

describe.each(Object.entries(COPYING))("while %s copies", (name, [copies, run]) => {
  test("every other change of the pool is made, also of all that it works on", async () => {
    let finish = (_: Outcome<null>) => {};
    const copied = new Promise<Outcome<null>>((resolve) => {
      finish = resolve;
    });
    const { actor, asked, discards } = await start(() => copied);
    const { handlers, zfs } = actor;
    const copying = run(actor);
    await until("it copies", () => asked.length > 0);
    expect(asked).toEqual([copies]);
    // Recursive ones wait for every lock below them. They don't copy, so that only the first does.
    Object.assign(zfs, {
      prepareCopies: async () => succeed({ take: () => undefined, discard: async () => {} }),
    });
    await must(handlers.DeleteSnapshot({ name: snapshot, recursive: true }));
    const all = `${volume}@all` as SnapshotName;
    await must(handlers.CreateSnapshot({ dataset: volume, snapshot: all, recursive: true }));
    await must(handlers.DeleteDataset({ name: volume }));
    await must(handlers.DeleteImage({ id }));
    await must(handlers.DeleteGuestsDisks({ guest }));
    finish(succeed(null));
    expect(await copying, name).toMatchObject({ failure: { code: "dataset.not_found" } });
    expect(discards()).toBe(1);
  });

  test("and is cancelled, nothing is changed", async () => {
    const { actor, discards } = await start(async () => failed.stopping);
    const before = actor.zfs.state();
    expect(await run(actor)).toEqual(failed.stopping);
    expect(actor.zfs.state()).toEqual(before);
    expect(discards()).toBe(0);
  });

  test("and then makes its change, what it did not use is discarded", async () => {
    const { actor, discards } = await start(async () => succeed(null));
    await must(run(actor));
    expect(discards()).toBe(1);
  });
});

describe("a reservation", () => {
  test("shrinks as its disks come to be, so that they are not counted twice", async () => {
    let free = 10n;
    const reservations = createSpaceReservations(async () =>
      succeed({ available: bytes(free), promised: bytes(0) }),
    );
    const first = await must(reservations.reserve(6n));
    for (let made = 0; made < 2; made++) {
      free -= 2n;
      first.shrink(2n);
    }
    // 6 are free, and 2 of these are kept for the first.
    expect(await reservations.check(5n)).toMatchObject({ failure: { code: "pool.no_space" } });
    const second = await must(reservations.reserve(4n));
    expect(await reservations.check(1n)).toMatchObject({ failure: { code: "pool.no_space" } });
    first.end();
    second.shrink(100n);
    second.end();
    await must(reservations.check(6n));
    expect(await reservations.check(7n)).toMatchObject({ failure: { code: "pool.no_space" } });
  });
});
