import { describe, expect, onTestFinished, test, vi } from "vitest";
import { fail, succeed } from "../../../../src/protocol/storage/failures.js";
import type { ComponentId, DatasetName, SnapshotName } from "../../../../src/protocol/storage/names.js";
import type { CompleteImage } from "../../../../src/protocol/storage/records.js";
import { bytes } from "../../../../src/protocol/storage/units.js";
import { COARSE_USE_MS } from "../../../../src/workers/actor/record-file.js";
import {
  createMemoryActor,
  createMemoryRecords,
  openRecordsOrThrow,
  POOL,
  scratchFolder,
} from "../../../support/memory-actor.js";
import { createMemoryZfs } from "../../../support/memory-zfs.js";

const SIZE = bytes(1_048_576);
const DAY_S = 86_400;

function image(id: string, type = "kvm"): CompleteImage {
  const volume = `${POOL}/images/${id}` as DatasetName;
  return { id, type, volume, snapshot: `${volume}@s` as SnapshotName, size: SIZE, status: "complete" };
}

/** A pool with images that came at a moment, whose time is the test's. */
function openPool(images: readonly CompleteImage[]) {
  vi.useFakeTimers({ toFake: ["Date"], now: Date.UTC(2026, 0, 1) });
  onTestFinished(() => void vi.useRealTimers());
  const zfs = createMemoryZfs(POOL, bytes(2n ** 50n));
  for (const name of ["images", "guests"]) zfs.put(`${POOL}/${name}`);
  for (const { volume, snapshot } of images) {
    zfs.put(volume, { type: "volume", volsize: SIZE });
    zfs.put(snapshot, { volsize: SIZE });
  }
  const records = createMemoryRecords(images);
  return createMemoryActor(zfs, records, async () => succeed({ receivedBytes: 0, streamBytes: 0 }));
}

const pass = (seconds: number) => void vi.setSystemTime(Date.now() + seconds * 1_000);

async function prune({ handlers }: ReturnType<typeof openPool>, ask: object): Promise<unknown> {
  const outcome = await handlers.PruneImages({ olderThanSeconds: 0, unusedForSeconds: 0, type: "", ...ask });
  return outcome.ok ? outcome.value.map(({ id }) => id) : outcome.failure;
}

describe("pruning", () => {
  test("deletes what is old enough, and nothing a second before", async () => {
    const actor = openPool([image("a")]);
    pass(DAY_S - 1);
    expect(await prune(actor, { olderThanSeconds: DAY_S })).toEqual([]);
    pass(1);
    expect(await prune(actor, { olderThanSeconds: DAY_S })).toEqual(["a"]);
    expect(actor.zfs.has(image("a").volume)).toBe(false);
    expect(actor.records.images.size).toBe(0);
  });

  test("goes by the last request or clone, and both limits must hold", async () => {
    const ids = ["requested", "cloned", "of-a-guest", "idle"];
    const actor = openPool(ids.map((id) => image(id)));
    pass(DAY_S);
    await actor.handlers.RequestImage({ id: "requested" as ComponentId, type: "", source: "" });
    const target = `${POOL}/c` as DatasetName;
    await actor.handlers.CloneImage({ id: "cloned", target });
    const disk = { bus: "", device: "", size: SIZE, volume: "", image: "of-a-guest", source: "" };
    const guest = { id: "g", disks: [disk], rest: {} };
    await actor.handlers.CreateGuestDisks({ guest });
    await actor.handlers.DeleteDataset({ name: target });
    await actor.handlers.DeleteGuestsDisks({ guest });
    const both = { unusedForSeconds: DAY_S, olderThanSeconds: 2 * DAY_S };
    expect(await prune(actor, both)).toEqual([]);
    expect(await prune(actor, { unusedForSeconds: DAY_S })).toEqual(["idle"]);
    pass(DAY_S - 1);
    expect(await prune(actor, both)).toEqual([]);
    pass(1);
    expect(await prune(actor, both)).toEqual(["requested", "cloned", "of-a-guest"]);
  });

  test("keeps what has clones or is held, and other types", async () => {
    const actor = openPool([image("cloned"), image("held"), image("box", "container"), image("free")]);
    actor.zfs.put(`${POOL}/c`, { type: "volume", origin: image("cloned").snapshot });
    await actor.zfs.hold("imagestore:x", image("held").snapshot);
    pass(DAY_S);
    expect(await prune(actor, { olderThanSeconds: 1, type: "kvm" })).toEqual(["free"]);
    expect([...actor.records.images.keys()]).toEqual(["cloned", "held", "box"]);
  });

  test("keeps one that is used between the look and the lock", async () => {
    const actor = openPool([image("a")]);
    pass(DAY_S);
    const { listImages } = actor.zfs;
    actor.zfs.listImages = async () => {
      const listed = await listImages();
      // A request comes after the look.
      queueMicrotask(() => void actor.records.markUsed("a"));
      return listed;
    };
    let release: () => void = () => {};
    const waits = new Promise<void>((resolve) => {
      release = resolve;
    });
    const locked = actor.locks.with([{ name: image("a").volume, mode: "keep" }], () => waits);
    const pruning = prune(actor, { unusedForSeconds: DAY_S });
    for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve));
    release();
    await locked;
    expect(await pruning).toEqual([]);
    expect(actor.records.images.has("a")).toBe(true);
  });

  test("that fails half-way says what is deleted already", async () => {
    const actor = openPool([image("a"), image("b")]);
    pass(DAY_S);
    actor.zfs.intercept = (call, name) =>
      call === "destroy" && name.endsWith("/b") ? fail("pool.unavailable", "suspended") : undefined;
    expect(await prune(actor, { olderThanSeconds: 1 })).toMatchObject({
      code: "pool.unavailable",
      message: "suspended; deleted already: a",
    });
    expect([...actor.records.images.keys()]).toEqual(["b"]);
  });

  test("is tried by a dry run, which deletes nothing and uses nothing", async () => {
    const actor = openPool([image("a"), image("b")]);
    actor.zfs.put(`${POOL}/c`, { type: "volume", origin: image("b").snapshot });
    pass(DAY_S);
    const of = { op: "PruneImages", olderThanSeconds: 1, unusedForSeconds: 0, type: "" } as const;
    const { volume, snapshot } = image("a");
    expect(await actor.handlers.DryRun({ of })).toMatchObject({
      value: { answer: [{ id: "a" }], destroys: [{ name: volume }, { name: snapshot }] },
    });
    expect(actor.records.images.size).toBe(2);
    expect(actor.zfs.has(snapshot)).toBe(true);
  });
});

describe("the last use of an image", () => {
  test("is known to the moment in a run, and in the next one up to an hour later than it was", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: Date.UTC(2026, 0, 1) });
    onTestFinished(() => void vi.useRealTimers());
    using folder = scratchFolder();
    const first = await openRecordsOrThrow(folder.path);
    await first.putImage(image("a"));
    const written = Date.now();
    pass(COARSE_USE_MS / 1_000 - 1);
    await first.markUsed("a");
    const used = Date.now();
    expect(first.lastUse("a")).toBe(used);
    await first.close();
    pass(DAY_S);
    const second = await openRecordsOrThrow(folder.path);
    const known = Number(second.lastUse("a"));
    expect(known).toBe(written + COARSE_USE_MS);
    expect(known - used).toBeGreaterThanOrEqual(0);
    expect(known - used).toBeLessThanOrEqual(COARSE_USE_MS);
    await second.close();
  });

  test("goes with the image, whose successor of the same id has its own", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: Date.UTC(2026, 0, 1) });
    onTestFinished(() => void vi.useRealTimers());
    using folder = scratchFolder();
    const records = await openRecordsOrThrow(folder.path);
    await records.putImage(image("a"));
    await records.dropImage("a");
    await records.markUsed("a");
    expect(records.lastUse("a")).toBeUndefined();
    pass(DAY_S);
    await records.putImage(image("a"));
    expect(records.lastUse("a")).toBe(Date.now());
    await records.close();
  });
});
