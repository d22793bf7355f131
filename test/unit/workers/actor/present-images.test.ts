import { describe, expect, test } from "vitest";
import { fail, type Outcome, succeed } from "../../../../src/protocol/storage/failures.js";
import type { ComponentId, DatasetName, SnapshotName } from "../../../../src/protocol/storage/names.js";
import type { FetchOrder } from "../../../../src/protocol/storage/operations.js";
import type { CompleteImage } from "../../../../src/protocol/storage/records.js";
import { bytes } from "../../../../src/protocol/storage/units.js";
import { startImageLooks } from "../../../../src/workers/actor/image-looks.js";
import {
  createKeptLog,
  createMemoryActor,
  createMemoryRecords,
  type MemoryActor,
  noBoard,
  POOL,
  receiveOf,
} from "../../../support/memory-actor.js";
import { createMemoryZfs, type MemoryZfs } from "../../../support/memory-zfs.js";
import { turn, until } from "../../../support/until.js";

const MIB = 1_048_576n;
const SIZE = bytes(8n * MIB);
const volume = "tank/images/i" as DatasetName;
const snapshot = "tank/images/i@s" as SnapshotName;
const id = "i" as ComponentId;
const IMAGE: CompleteImage = { id, type: "kvm", volume, snapshot, size: SIZE, status: "complete" };
const GONE = { ok: false, failure: { code: "image.not_found", message: "not found" } };

function putImage(zfs: MemoryZfs, size = SIZE): void {
  zfs.receive(volume, { type: "volume", size, snapshots: ["s"] }, {});
}

/** An actor with a record of an image and its snapshot, and what it has fetched. */
function start(): MemoryActor & { fetched: string[] } {
  const zfs = createMemoryZfs(POOL, bytes(2n ** 50n));
  for (const name of ["tank/images", "tank/guests"]) zfs.put(name);
  putImage(zfs);
  const fetched: string[] = [];
  const fetch = async (
    order: FetchOrder,
  ): Promise<Outcome<{ receivedBytes: number; streamBytes: number }>> => {
    fetched.push(order.url);
    const { target, marks } = receiveOf(order);
    zfs.receive(target, { type: "volume", size: SIZE, snapshots: ["s"] }, marks);
    return succeed({ receivedBytes: 1, streamBytes: 1 });
  };
  return { ...createMemoryActor(zfs, createMemoryRecords([IMAGE]), fetch), fetched };
}

const guest = {
  id: "g" as ComponentId,
  disks: [{ bus: "", device: "", size: bytes(0), volume: "", image: "i", source: "" }],
  rest: {},
};

describe("an image that others have destroyed", () => {
  test.each(["CloneImage", "VerifyDisks", "CreateGuestDisks"] as const)(
    "is not found by %s, nor by GetImage after it",
    async (op) => {
      const { handlers, zfs, records } = start();
      await zfs.destroy(volume, true);
      const ask = {
        CloneImage: () => handlers.CloneImage({ id, target: "tank/c" as DatasetName }),
        VerifyDisks: () => handlers.VerifyDisks({ guest }),
        CreateGuestDisks: () => handlers.CreateGuestDisks({ guest }),
      }[op];
      expect(await ask()).toMatchObject(GONE);
      expect(await handlers.GetImage({ id })).toMatchObject(GONE);
      expect(records.images.size).toBe(0);
    },
  );

  test("is fetched again by RequestImage", async () => {
    const { handlers, zfs, fetched } = start();
    await zfs.destroy(volume, true);
    expect(await handlers.RequestImage({ id, type: "kvm", source: "" })).toEqual(succeed(IMAGE));
    expect(fetched.length).toBe(1);
    expect(zfs.has(snapshot)).toBe(true);
  });

  test("is fetched once for all who ask at the same moment", async () => {
    const { handlers, zfs, fetched } = start();
    await zfs.destroy(volume, true);
    const asked = Array.from({ length: 20 }, () => handlers.RequestImage({ id, type: "kvm", source: "" }));
    expect(new Set((await Promise.all(asked)).map((each) => each.ok))).toEqual(new Set([true]));
    expect(fetched.length).toBe(1);
  });

  test("of which only the snapshot is gone is not answered as complete", async () => {
    const { handlers, zfs, records } = start();
    await zfs.destroy(snapshot, false);
    expect(await handlers.RequestImage({ id, type: "kvm", source: "" })).toMatchObject({
      failure: { code: "dataset.exists" },
    });
    expect(records.images.size).toBe(0);
  });

  test.each(["CloneImage", "CreateGuestDisks"] as const)(
    "between the look and the clone of a %s is forgotten all the same",
    async (op) => {
      const { handlers, zfs, records } = start();
      zfs.intercept = (call) => {
        if (call !== "clone") return undefined;
        zfs.intercept = () => undefined;
        void zfs.destroy(volume, true);
        return fail("dataset.not_found", "not found");
      };
      const asked =
        op === "CloneImage"
          ? handlers.CloneImage({ id, target: "tank/c" as DatasetName })
          : handlers.CreateGuestDisks({ guest });
      expect(await asked).toMatchObject({ failure: { message: "not found" } });
      await turn();
      expect(records.images.size).toBe(0);
    },
  );

  test("and replaced by one of another size is cloned with the size that it has", async () => {
    const { handlers, zfs, records } = start();
    await zfs.destroy(volume, true);
    putImage(zfs, bytes(16n * MIB));
    expect(await handlers.VerifyDisks({ guest })).toMatchObject({ value: { disks: [{ size: 16n * MIB }] } });
    expect(records.images.get("i")?.size).toBe(16n * MIB);
  });

  test("is not claimed gone while the pool can't tell", async () => {
    const { handlers, zfs, records } = start();
    zfs.intercept = (call) => (call === "find" ? fail("pool.unavailable", "suspended") : undefined);
    for (const asked of [
      handlers.RequestImage({ id, type: "", source: "" }),
      handlers.VerifyDisks({ guest }),
    ]) {
      expect(await asked).toMatchObject({ failure: { code: "pool.unavailable" } });
    }
    expect(records.images.size).toBe(1);
  });

  test("and fetched again during a look keeps its new record", async () => {
    const { handlers, zfs, records } = start();
    await zfs.destroy(volume, true);
    const find = zfs.find;
    zfs.find = async (name) => {
      zfs.find = find;
      const found = await find(name);
      await records.dropImage("i");
      putImage(zfs);
      await records.putImage({ ...IMAGE });
      return found;
    };
    expect(await handlers.VerifyDisks({ guest })).toMatchObject({ ok: true });
    expect(records.images.size).toBe(1);
  });
});

describe("the looks at all images", () => {
  function startLooks(state: () => Promise<string | undefined>) {
    const { zfs, records, locks, trash } = start();
    const log = createKeptLog();
    let looks = 0;
    zfs.intercept = (call) => {
      if (call === "find") looks++;
      return undefined;
    };
    const end = startImageLooks({
      board: noBoard(),
      pool: POOL,
      zfs: { driver: "openzfs", find: zfs.find, changeState: state, destroy: zfs.destroy },
      records,
      locks,
      trash,
      log,
      everyMs: 1,
    });
    return { zfs, records, trash, log, end, looks: () => looks };
  }

  test("drop the record of one that others have destroyed, and say so", async () => {
    const { zfs, records, log, end } = startLooks(async () => undefined);
    await zfs.destroy(volume, true);
    await until("the record is dropped", () => records.images.size === 0);
    await until("it is logged", () => log.lines.length > 0);
    end();
    expect(log.lines).toMatchObject([{ level: "warn", fields: { lost: ["i"] } }]);
  });

  test("are saved while the pool does not change", async () => {
    let state = "1";
    let reads = 0;
    const { records, zfs, end, looks } = startLooks(async () => {
      reads++;
      return state;
    });
    await until("the state was read several times", () => reads > 5);
    expect(looks()).toBe(1);
    await zfs.destroy(volume, true);
    state = "2";
    await until("the record is dropped", () => records.images.size === 0);
    end();
  });

  test("change no record after their end", async () => {
    const { zfs, records, end, looks } = startLooks(async () => undefined);
    await zfs.destroy(volume, true);
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    zfs.pause = () => held;
    const before = looks();
    await turn();
    end();
    release();
    for (let turns = 0; turns < 20; turns++) await turn();
    expect(looks() - before).toBeLessThan(3);
    expect(records.images.size).toBe(1);
  });
});
