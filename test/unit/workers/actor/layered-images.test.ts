import { describe, expect, test } from "vitest";
import { fail, type Outcome, succeed } from "../../../../src/protocol/storage/failures.js";
import type { ComponentId, DatasetName, SnapshotName } from "../../../../src/protocol/storage/names.js";
import type { FetchOrder, FetchReport } from "../../../../src/protocol/storage/operations.js";
import type { CompleteImage } from "../../../../src/protocol/storage/records.js";
import { bytes } from "../../../../src/protocol/storage/units.js";
import { reconcile } from "../../../../src/workers/actor/reconcile.js";
import {
  createKeptLog,
  createMemoryActor,
  createMemoryRecords,
  type MemoryActor,
  POOL,
} from "../../../support/memory-actor.js";
import { createMemoryZfs } from "../../../support/memory-zfs.js";
import { mustSucceed as must } from "../../../support/outcomes.js";

const SIZE = bytes(8n * 1_048_576n);
const volumeOf = (id: string) => `${POOL}/images/${id}` as DatasetName;
const snapshotOf = (id: string, tag = "s") => `${volumeOf(id)}@${tag}` as SnapshotName;

function image(id: string): CompleteImage {
  return {
    id,
    type: "kvm",
    volume: volumeOf(id),
    snapshot: snapshotOf(id),
    size: SIZE,
    status: "complete",
  };
}

interface Started extends MemoryActor {
  readonly orders: FetchOrder[];
  /** Called while a stream moves. */
  during: () => Promise<void>;
  request(id: string, origin?: { image: string; snapshot?: SnapshotName }): Promise<Outcome<unknown>>;
}

/** An actor with the image `golden`, whose fetches leave a clone of their origin. */
function start(): Started {
  const zfs = createMemoryZfs(POOL, bytes(2n ** 50n));
  for (const name of ["images", "guests"]) zfs.put(`${POOL}/${name}`);
  zfs.put(volumeOf("golden"), { type: "volume", volsize: SIZE });
  for (const tag of ["s", "t"]) zfs.put(snapshotOf("golden", tag), { volsize: SIZE });
  const orders: FetchOrder[] = [];
  const fetch = async (order: FetchOrder): Promise<Outcome<FetchReport>> => {
    orders.push(order);
    await started.during();
    const [, , , origin] = order.command;
    zfs.put(order.target, { type: "volume", volsize: SIZE, origin: origin as SnapshotName | undefined });
    zfs.put(`${order.target}@s`, { volsize: SIZE });
    return succeed({ receivedBytes: 1, streamBytes: 1 });
  };
  const actor = createMemoryActor(zfs, createMemoryRecords([image("golden")]), fetch);
  const started: Started = {
    ...actor,
    orders,
    during: async () => {},
    request: (id, origin) =>
      actor.handlers.RequestImage({
        ...{ id: id as ComponentId, type: "kvm", source: "" },
        ...(origin && { origin: { ...origin, image: origin.image as ComponentId } }),
      }),
  };
  return started;
}

const holdsIn = async ({ zfs }: MemoryActor) => (await must(zfs.listHolds(""))).map(({ name }) => name);

describe("a fetch onto an origin", () => {
  test.each([
    ["s", undefined],
    ["t", snapshotOf("golden", "t")],
  ])("orders a clone of @%s, lets no other stream pass, and holds that meanwhile", async (tag, snapshot) => {
    const actor = start();
    const { zfs, orders, records } = actor;
    actor.during = async () => expect(await holdsIn(actor)).toEqual([snapshotOf("golden", tag)]);
    const requested = await actor.request("web", { image: "golden", ...(snapshot && { snapshot }) });
    const origin = snapshotOf("golden", tag);
    expect(requested).toEqual(succeed({ ...image("web"), origin }));
    const { guid } = (await must(zfs.find(origin))) ?? {};
    expect(orders).toMatchObject([{ allows: { origin: { name: origin, guid } } }]);
    expect(orders[0]?.command[3]).toBe(origin);
    expect(await holdsIn(actor)).toEqual([]);
    expect(await records.holds()).toEqual([]);
  });

  test("uses its origin, as a clone does", async () => {
    const actor = start();
    const before = actor.records.lastUse("golden") ?? 0;
    actor.records.markUsed = async (id) => void used.push(id);
    const used: string[] = [];
    await must(actor.request("web", { image: "golden" }));
    expect(before).toBeGreaterThan(0);
    expect(used).toContain("golden");
  });

  test("begins not without it, and says which is missing or not there yet", async () => {
    const actor = start();
    expect(await actor.request("web", { image: "silver" })).toMatchObject({
      failure: {
        code: "image.not_found",
        message: "origin: there is no image silver, request it before",
        about: { object: "image silver", field: "origin" },
      },
    });
    const snapshot = snapshotOf("golden", "none");
    expect(await actor.request("web", { image: "golden", snapshot })).toMatchObject({
      failure: { code: "dataset.not_found", message: `origin: there is no ${snapshot}` },
    });
    expect(actor.orders).toEqual([]);
    actor.during = async () => {
      actor.during = async () => {};
      expect(await actor.request("shop", { image: "web" })).toMatchObject({
        failure: { code: "dataset.busy", message: expect.stringContaining("image web is being fetched") },
      });
    };
    await must(actor.request("web", { image: "golden" }));
    expect(actor.orders).toHaveLength(1);
  });

  test("is not begun where the hold fails, and one that can't be released is released later", async () => {
    const actor = start();
    actor.zfs.intercept = (call) => (call === "hold" ? fail("pool.no_space", "full") : undefined);
    expect(await actor.request("web", { image: "golden" })).toMatchObject({
      failure: { code: "pool.no_space" },
    });
    expect(actor.orders).toEqual([]);
    actor.zfs.intercept = (call) => (call === "release" ? fail("pool.unavailable", "gone") : undefined);
    await must(actor.request("web", { image: "golden" }));
    expect(actor.unreleased).toMatchObject([{ name: snapshotOf("golden") }]);
  });

  test("keeps its origin from being deleted, and lets go of it also where it fails", async () => {
    const actor = start();
    actor.during = async () => {
      expect(await actor.handlers.DeleteImage({ id: "golden" })).toMatchObject({
        failure: { code: "snapshot.held" },
      });
      throw new Error("the stream breaks");
    };
    expect(await actor.request("web", { image: "golden" })).toMatchObject({ failure: { code: "internal" } });
    expect(await holdsIn(actor)).toEqual([]);
    await must(actor.handlers.DeleteImage({ id: "golden" }));
  });

  test("says nothing of an origin that others have put into the trash meanwhile", async () => {
    const actor = start();
    actor.during = async () => {
      await must(actor.zfs.rename(volumeOf("golden"), volumeOf(".trash-1")));
      await actor.records.dropImage("golden");
    };
    actor.zfs.receiveCommand = () => ["receive", "", "{}", `${volumeOf(".trash-1")}@s`];
    expect(await actor.request("web", { image: "golden" })).toEqual(succeed(image("web")));
  });
});

describe("what images build on", () => {
  /** golden, web on that, and shop on web. */
  async function startLayered(): Promise<Started> {
    const actor = start();
    await must(actor.request("web", { image: "golden" }));
    await must(actor.request("shop", { image: "web" }));
    return actor;
  }

  test("goes out of the trash with the last of them, in whatever order they are there", async () => {
    const actor = await startLayered();
    const { handlers, zfs, trash, records } = actor;
    expect(await handlers.DeleteImage({ id: "golden" })).toMatchObject({
      failure: { code: "dataset.has_clones", message: expect.stringContaining(volumeOf("web")) },
    });
    for (const id of ["web", "golden"]) await must(handlers.DeleteImage({ id, whenInUse: "trash" }));
    expect(trash.size).toBe(2);
    expect([...records.images.values()]).toEqual([image("shop")]);
    await must(handlers.DeleteImage({ id: "shop" }));
    expect(trash.size).toBe(0);
    expect(await must(zfs.listVolumes())).toEqual([]);
  });

  test("goes at a start too, and what can't go stays in the trash", async () => {
    const { handlers, zfs } = await startLayered();
    for (const id of ["golden", "web"]) await must(handlers.DeleteImage({ id, whenInUse: "trash" }));
    const run = async () => {
      const trash = new Set<DatasetName>();
      const options = { pool: POOL, zfs, log: createKeptLog(), originalDatabase: undefined, liveTags: [] };
      const records = createMemoryRecords();
      await must(reconcile({ ...options, records, trash, releaseLater: () => {}, runId: "run" }));
      return { trash: trash.size, images: [...records.images.values()] };
    };
    // The type of an image is a mark of its volume, which this pool has not.
    expect(await run()).toEqual({ trash: 2, images: [{ ...image("shop"), type: "" }] });
    await must(zfs.destroy(volumeOf("shop"), true));
    expect(await run()).toEqual({ trash: 0, images: [] });
    expect(await must(zfs.listVolumes())).toEqual([]);
  });

  test("is found by a start, of images with a record and without", async () => {
    const { zfs } = await startLayered();
    const records = createMemoryRecords([image("golden"), image("web")]);
    const log = createKeptLog();
    const options = { pool: POOL, zfs, log, originalDatabase: undefined, liveTags: [] };
    const report = await must(
      reconcile({ ...options, trash: new Set<DatasetName>(), records, releaseLater: () => {}, runId: "run" }),
    );
    expect(report).toMatchObject({ images: 3, adopted: ["shop"] });
    expect(Object.fromEntries(records.images)).toEqual({
      golden: image("golden"),
      web: { ...image("web"), origin: snapshotOf("golden") },
      shop: { ...image("shop"), type: "", origin: snapshotOf("web") },
    });
  });

  test("is not pruned, and a dry run says the same", async () => {
    const actor = await startLayered();
    const ask = { olderThanSeconds: -1, unusedForSeconds: 0, type: "" } as const;
    const dry = await must(actor.handlers.DryRun({ of: { op: "PruneImages", ...ask } }));
    for (const id of ["shop", "web", "golden"]) {
      const pruned = await must(actor.handlers.PruneImages(ask));
      expect(pruned.map((each) => each.id)).toEqual([id]);
      if (id === "shop") expect(dry.answer).toEqual(pruned);
    }
  });

  test("is told by its new name once the image is looked at", async () => {
    const actor = await startLayered();
    await must(actor.zfs.rename(volumeOf("web"), `${POOL}/elsewhere` as DatasetName));
    await must(actor.handlers.RequestImage({ id: "shop" as ComponentId, type: "", source: "" }));
    expect(actor.records.images.get("shop")?.origin).toBe(`${POOL}/elsewhere@s`);
  });

  test("is told of an image that others have made", async () => {
    const { zfs, request, orders } = start();
    zfs.put(volumeOf("web"), { type: "volume", volsize: SIZE, origin: snapshotOf("golden") });
    zfs.put(snapshotOf("web"), { volsize: SIZE });
    // It is there: what the request wants it to build on is not looked at.
    expect(await request("web", { image: "silver" })).toEqual(
      succeed({ ...image("web"), origin: snapshotOf("golden") }),
    );
    expect(orders).toEqual([]);
  });
});
