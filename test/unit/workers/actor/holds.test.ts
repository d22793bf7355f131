import { describe, expect, test } from "vitest";
import { fail, succeed } from "../../../../src/protocol/storage/failures.js";
import type { DatasetName, SnapshotName } from "../../../../src/protocol/storage/names.js";
import { bytes } from "../../../../src/protocol/storage/units.js";
import { createHolds } from "../../../../src/workers/actor/operations/holds.js";
import {
  createMemoryActor,
  createMemoryRecords,
  type MemoryActor,
  POOL,
} from "../../../support/memory-actor.js";
import { createMemoryZfs, type MemoryZfs } from "../../../support/memory-zfs.js";

const SIZE = bytes(8n * 1_048_576n);

const dataset = (name: string) => name as DatasetName;
const snapshot = (name: string) => name as SnapshotName;
const noFetch = async () => fail("image.unreachable", "not here");

function start(...images: string[]): MemoryActor {
  const zfs = createMemoryZfs(POOL, bytes(2n ** 50n));
  for (const name of ["tank/images", "tank/guests"]) zfs.put(name);
  for (const id of images) {
    zfs.receive(dataset(`tank/images/${id}`), { type: "volume", size: SIZE, snapshots: ["s"] }, {});
  }
  const records = images.map((id) => ({
    id,
    type: "kvm",
    volume: dataset(`tank/images/${id}`),
    snapshot: snapshot(`tank/images/${id}@s`),
    size: SIZE,
    status: "complete" as const,
  }));
  return createMemoryActor(zfs, createMemoryRecords(records), noFetch);
}

describe("a download", () => {
  const name = snapshot("tank/images/i@s");

  test("holds its snapshot until it is closed", async () => {
    const { handlers, zfs, records } = start("i");
    const opened = await handlers.OpenSend({ name });
    if (!opened.ok) throw new Error(opened.failure.message);
    const { tag: held, command } = opened.value;
    expect(command).toEqual(["send", name]);
    expect(zfs.holdsOf(name)).toEqual([held]);
    expect(await records.holds()).toEqual([{ name, tag: held }]);
    expect(await handlers.DeleteImage({ id: "i" })).toMatchObject({ failure: { code: "snapshot.held" } });
    expect(await handlers.CloseSend({ name, tag: held })).toEqual(succeed(null));
    expect([zfs.holdsOf(name), await records.holds()]).toEqual([[], []]);
  });

  test("two of one snapshot share a hold, which the last one releases", async () => {
    const { handlers, zfs, records } = start("i");
    const opened = await Promise.all([handlers.OpenSend({ name }), handlers.OpenSend({ name })]);
    const tags = opened.map((each) => (each.ok ? each.value.tag : ""));
    expect(new Set(tags).size).toBe(1);
    expect(zfs.holdsOf(name)).toEqual([tags[0]]);
    await handlers.CloseSend({ name, tag: tags[0] as string });
    expect(zfs.holdsOf(name)).toEqual([tags[0]]);
    await handlers.CloseSend({ name, tag: tags[1] as string });
    expect([zfs.holdsOf(name), await records.holds()]).toEqual([[], []]);
  });

  test("that comes while a hold is released gets one of its own", async () => {
    const { handlers, zfs } = start("i");
    const first = await handlers.OpenSend({ name });
    if (!first.ok) throw new Error(first.failure.message);
    const [, second] = await Promise.all([
      handlers.CloseSend({ name, tag: first.value.tag }),
      handlers.OpenSend({ name }),
    ]);
    if (!second?.ok) throw new Error("not opened");
    expect(second.value.tag).not.toBe(first.value.tag);
    expect(zfs.holdsOf(name)).toEqual([second.value.tag]);
  });

  test("a hold that several share outlives a restart of the actor until the last of them", async () => {
    const { zfs, records } = start("i");
    const { log } = createMemoryActor(zfs, records, noFetch);
    const before = createHolds({ zfs, records, log, runId: "r" }, [], () => {});
    const held = { name, guid: "1" };
    const taken = [await before.acquire(held), await before.acquire(held)];
    const [tag = ""] = taken.map((each) => (each.ok ? (each.value[0]?.tag ?? "") : ""));
    expect(before.list()).toEqual([{ name, tag, users: 2 }]);
    const after = createHolds({ zfs, records, log, runId: "r" }, [tag, tag], () => {});
    expect(after.list()).toEqual([{ tag, users: 2 }]);
    await after.release(name, tag);
    expect(after.list()).toEqual([{ tag, users: 1 }]);
    expect(zfs.holdsOf(name)).toEqual([tag]);
    await after.release(name, tag);
    expect(zfs.holdsOf(name)).toEqual([]);
    expect(after.list()).toEqual([]);
  });

  test("whose hold is refused leaves nothing for the next to share", async () => {
    const { handlers, zfs } = start("i");
    zfs.intercept = (call) => (call === "hold" ? fail("dataset.busy", "busy") : undefined);
    const refused = await Promise.all([handlers.OpenSend({ name }), handlers.OpenSend({ name })]);
    for (const each of refused) expect(each).toMatchObject({ failure: { code: "dataset.busy" } });
    zfs.intercept = () => undefined;
    expect((await handlers.OpenSend({ name })).ok).toBe(true);
  });

  test.each(["i@s", "i@base", "i@other"] as const)(
    "none is left when that of %s is refused",
    async (refused) => {
      const { zfs, records } = start("i");
      const { log } = createMemoryActor(zfs, records, noFetch);
      const holds = createHolds({ zfs, records, log, runId: "r" }, [], () => {});
      const names = ["i@s", "i@base", "i@other"].map((tail) => snapshot(`tank/images/${tail}`));
      const [to, ...beside] = names.map((each, at) => ({ name: each, guid: String(at) }));
      if (!to) throw new Error("no snapshot");
      for (const each of names) await zfs.snapshot(each, false);
      const whole = await holds.acquire(to, beside);
      expect(whole.ok && whole.value.map((each) => each.name)).toEqual(names);
      expect(names.map((each) => zfs.holdsOf(each).length)).toEqual([1, 1, 1]);
      for (const each of whole.ok ? whole.value : []) await holds.release(each.name, each.tag);
      zfs.intercept = (call, ...words) =>
        call === "hold" && words.some((word) => String(word).endsWith(refused))
          ? fail("dataset.busy", "busy")
          : undefined;
      expect(await holds.acquire(to, beside)).toMatchObject({ failure: { code: "dataset.busy" } });
      expect(names.flatMap((each) => zfs.holdsOf(each))).toEqual([]);
      expect([await records.holds(), holds.list()]).toEqual([[], []]);
    },
  );

  test("that nobody can be told of once it runs is checked before its hold, and no other is", async () => {
    const { handlers, zfs, records } = start("i");
    const locked = fail("dataset.key_not_loaded", "no key");
    zfs.intercept = (call) => (call === "checkSend" ? locked : undefined);
    expect(await handlers.OpenSend({ name, isDirect: true })).toEqual(locked);
    expect([zfs.holdsOf(name), await records.holds()]).toEqual([[], []]);
    expect((await handlers.OpenSend({ name })).ok).toBe(true);
  });

  test("of what is not there leaves no hold behind", async () => {
    const { handlers, records } = start();
    expect(await handlers.OpenSend({ name })).toMatchObject({ failure: { message: "not found" } });
    expect(await records.holds()).toEqual([]);
  });

  test("whose hold can't be recorded is refused, and its snapshot is not held", async () => {
    const { zfs, records } = start("i");
    const full = fail("records.unavailable", "the hold can't be recorded: no space");
    const { handlers } = createMemoryActor(zfs, { ...records, putHold: async () => full }, noFetch);
    expect(await handlers.OpenSend({ name })).toEqual(full);
    expect(zfs.holdsOf(name)).toEqual([]);
  });

  test.each(["command.timed_out", "service.interrupted"] as const)(
    "whose hold failed with %s, though it was made, leaves no hold",
    async (code) => {
      const { handlers, zfs, records } = start("i");
      const hold = zfs.hold;
      zfs.hold = async (tag, held) => {
        await hold(tag, held);
        return fail(code, "unknown");
      };
      expect(await handlers.OpenSend({ name })).toMatchObject({ failure: { code } });
      expect([zfs.holdsOf(name), await records.holds()]).toEqual([[], []]);
    },
  );

  test("whose hold throws after it was made leaves none, and the next one gets its own", async () => {
    const { handlers, zfs, records } = start("i");
    const hold = zfs.hold;
    zfs.hold = async (tag, held) => {
      await hold(tag, held);
      throw new Error("a bug");
    };
    const refused = await Promise.all([handlers.OpenSend({ name }), handlers.OpenSend({ name })]);
    for (const each of refused) expect(each).toMatchObject({ failure: { code: "internal" } });
    expect([zfs.holdsOf(name), await records.holds()]).toEqual([[], []]);
    zfs.hold = hold;
    expect((await handlers.OpenSend({ name })).ok).toBe(true);
  });

  test("whose record throws holds nothing, and the next one gets its own", async () => {
    const { zfs, records } = start("i");
    let throws = true;
    const putHold: typeof records.putHold = async (hold) => {
      if (throws) throw new Error("a bug");
      return records.putHold(hold);
    };
    const { handlers } = createMemoryActor(zfs, { ...records, putHold }, noFetch);
    expect(await handlers.OpenSend({ name })).toMatchObject({ failure: { code: "internal" } });
    expect(zfs.holdsOf(name)).toEqual([]);
    throws = false;
    expect((await handlers.OpenSend({ name })).ok).toBe(true);
  });

  test("whose command can't be made has made no hold", async () => {
    const { handlers, zfs, records } = start("i");
    zfs.sendCommand = () => {
      throw new Error("a bug");
    };
    await expect(handlers.OpenSend({ name })).rejects.toThrow("a bug");
    expect([zfs.holdsOf(name), await records.holds()]).toEqual([[], []]);
  });

  test("whose release fails is logged, and may be closed again", async () => {
    const { handlers, zfs, log } = start("i");
    const opened = await handlers.OpenSend({ name });
    const tag = opened.ok ? opened.value.tag : "";
    zfs.intercept = (call) => (call === "release" ? fail("command.failed", "full") : undefined);
    expect((await handlers.CloseSend({ name, tag })).ok).toBe(false);
    expect(log.lines).toMatchObject([{ level: "warn", fields: { name, tag, code: "command.failed" } }]);
    zfs.intercept = () => undefined;
    expect(await handlers.CloseSend({ name, tag })).toEqual(succeed(null));
    expect(zfs.holdsOf(name)).toEqual([]);
  });

  test("whose hold may be there and can't be released stays recorded, and is released later", async () => {
    const { handlers, zfs, records, unreleased } = start("i");
    zfs.intercept = (call) =>
      call === "hold" || call === "release" ? fail("command.timed_out", "slow") : undefined;
    expect((await handlers.OpenSend({ name })).ok).toBe(false);
    expect(await records.holds()).toMatchObject([{ name }]);
    expect(unreleased).toEqual(await records.holds());
  });

  test("of a read-only pool is sent without a hold, and may be shared all the same", async () => {
    const { handlers, zfs, records } = start("i");
    const readOnly = fail("pool.read_only", "cannot hold: pool is read-only");
    zfs.intercept = (call) => (call === "hold" || call === "release" ? readOnly : undefined);
    const opened = await Promise.all([handlers.OpenSend({ name }), handlers.OpenSend({ name })]);
    const tags = opened.map((each) => (each.ok ? each.value.tag : each.failure.code));
    expect(tags[0]).toMatch(/^imagestore:/);
    expect(tags[1]).toBe(tags[0]);
    expect(await records.holds()).toEqual([]);
    for (const tag of tags) expect(await handlers.CloseSend({ name, tag })).toEqual(succeed(null));
  });
});

describe("a download whose dataset is renamed", () => {
  const name = snapshot("tank/guests/b@s");
  const moved = snapshot("tank/guests/c@s");
  const rename = (zfs: MemoryZfs, from: string, to: string) => zfs.rename(dataset(from), dataset(to));

  async function open(actor: MemoryActor, of = name): Promise<string> {
    const opened = await actor.handlers.OpenSend({ name: of });
    if (!opened.ok) throw new Error(opened.failure.message);
    return opened.value.tag;
  }

  function startVolume(): MemoryActor {
    const actor = start();
    actor.zfs.put("tank/guests/b", { type: "volume" });
    actor.zfs.put(name);
    return actor;
  }

  test("releases its hold under the new name", async () => {
    const actor = startVolume();
    const tag = await open(actor);
    await rename(actor.zfs, "tank/guests/b", "tank/guests/c");
    expect(actor.zfs.holdsOf(moved)).toEqual([tag]);
    expect(await actor.handlers.CloseSend({ name, tag })).toEqual(succeed(null));
    expect([actor.zfs.holdsOf(moved), await actor.records.holds()]).toEqual([[], []]);
  });

  test("shares nothing with one of another snapshot that has the old name by then", async () => {
    const actor = startVolume();
    const { zfs } = actor;
    const first = await open(actor);
    await rename(zfs, "tank/guests/b", "tank/guests/c");
    zfs.put("tank/guests/b", { type: "volume" });
    zfs.put(name);
    const second = await open(actor);
    expect(second).not.toBe(first);
    expect([zfs.holdsOf(moved), zfs.holdsOf(name)]).toEqual([[first], [second]]);
    await actor.handlers.CloseSend({ name, tag: first });
    expect([zfs.holdsOf(moved), zfs.holdsOf(name)]).toEqual([[], [second]]);
  });

  test("shares its hold with one that asks under the new name", async () => {
    const actor = startVolume();
    const first = await open(actor);
    await rename(actor.zfs, "tank/guests/b", "tank/guests/c");
    expect(await open(actor, moved)).toBe(first);
    await actor.handlers.CloseSend({ name, tag: first });
    expect(actor.zfs.holdsOf(moved)).toEqual([first]);
    await actor.handlers.CloseSend({ name: moved, tag: first });
    expect(actor.zfs.holdsOf(moved)).toEqual([]);
  });

  test("releases its hold though the dataset is renamed once more at that moment", async () => {
    const actor = startVolume();
    const { zfs } = actor;
    const tag = await open(actor);
    await rename(zfs, "tank/guests/b", "tank/guests/c");
    const listHolds = zfs.listHolds;
    zfs.listHolds = async (prefix) => {
      zfs.listHolds = listHolds;
      const listed = await listHolds(prefix);
      await rename(zfs, "tank/guests/c", "tank/guests/d");
      return listed;
    };
    expect(await actor.handlers.CloseSend({ name, tag })).toEqual(succeed(null));
    expect(zfs.holdsOf("tank/guests/d@s")).toEqual([]);
  });

  test("keeps its record while the pool can't say where the hold is, and may try again", async () => {
    const actor = startVolume();
    const { zfs } = actor;
    const tag = await open(actor);
    await rename(zfs, "tank/guests/b", "tank/guests/c");
    zfs.intercept = (call) => (call === "listHolds" ? fail("command.timed_out", "slow") : undefined);
    expect(await actor.handlers.CloseSend({ name, tag })).toMatchObject({
      failure: { code: "command.timed_out" },
    });
    expect(await actor.records.holds()).toEqual([{ name, tag }]);
    zfs.intercept = () => undefined;
    expect(await actor.handlers.CloseSend({ name, tag })).toEqual(succeed(null));
    expect([zfs.holdsOf(moved), await actor.records.holds()]).toEqual([[], []]);
  });
});
