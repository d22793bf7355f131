import { createHash, randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import type { DaemonProcess } from "./daemon.js";
import { titled } from "./long-tests.js";
import { must, type Snapshots } from "./rpc.js";
import { until } from "./until.js";

const MIB = 1024 * 1024;

interface Pulled {
  readonly volumes: readonly { readonly id: string; readonly size: number }[];
  /** These two of a dry run. */
  readonly plan?: { readonly estimatedBytes: number | null };
  readonly destroys?: readonly { readonly id: string }[];
  readonly pulled: {
    readonly snapshot: string;
    readonly guid: string;
    readonly bytes: number;
    readonly full: boolean;
  };
}

/** Two nodes, of which one pulls from the other, which it calls `source`. */
export interface PullScene {
  readonly source: DaemonProcess;
  readonly target: DaemonProcess;
  /** Writes into a volume of the source. */
  write(id: string, at: number, data: Buffer): Promise<void>;
  /** The SHA-256 of a snapshot's data, of either node. */
  digest(daemon: DaemonProcess, snapshot: string): Promise<string>;
}

export const sha256 = (data: Buffer) => createHash("sha256").update(data).digest("hex");

/** Calls a method as a 2.0 client does. @returns its result, or its error. */
export async function call20(
  { url }: Pick<DaemonProcess, "url">,
  method: string,
  params: object,
): Promise<{
  readonly result?: unknown;
  readonly error?: { readonly message: string; readonly data: { readonly reason: string } };
}> {
  const reply = await fetch(`${url}/rpc`, {
    method: "POST",
    headers: { "content-type": "application/json", connection: "close" },
    body: JSON.stringify({ jsonrpc: "2.0", method, params, id: 1 }),
  });
  return (await reply.json()) as Awaited<ReturnType<typeof call20>>;
}

export const pull = (daemon: DaemonProcess, id: string, more: object = {}) =>
  must<Pulled>(daemon.url, "PullVolume", { id, peer: "source", source: id, ...more });

async function snapshotsOf(daemon: DaemonProcess, id: string): Promise<readonly string[]> {
  const { snapshots } = await must<Snapshots>(daemon.url, "ListSnapshots", { id });
  return snapshots.map((each) => each.id.slice(each.id.indexOf("@") + 1)).sort();
}

async function bookmarksOf({ url }: DaemonProcess, id: string): Promise<readonly string[]> {
  const { bookmarks } = await must<{ bookmarks: readonly { id: string }[] }>(url, "ListBookmarks", { id });
  return bookmarks.map((each) => each.id);
}

/** A volume of the source with a snapshot `s1` of random data. */
async function volumeWithSnapshot({ source, write }: PullScene): Promise<string> {
  const id = `guests/${randomBytes(4).toString("hex")}/disk`;
  await must(source.url, "CreateVolume", { id, size: 16 });
  await write(id, 0, randomBytes(4 * MIB));
  await must(source.url, "CreateSnapshot", { id, dest: "s1" });
  return id;
}

/** What pulls do where the pools make a difference. */
export function pullCases(scene: () => PullScene, isBrief = false): void {
  let id = "";

  async function expectEqual(tag: string): Promise<void> {
    const { source, target, digest } = scene();
    expect(await digest(target, `${id}@${tag}`)).toBe(await digest(source, `${id}@${tag}`));
  }

  test("the first pull brings all, the next ones what has changed, and a third nothing", async () => {
    id = await volumeWithSnapshot(scene());
    const { source, target, write } = scene();
    const first = await pull(target, id);
    expect(first.pulled).toMatchObject({ snapshot: expect.stringContaining(`${id}@s1`), full: true });
    expect(first.volumes[0]).toMatchObject({ size: 16 });
    expect(first.pulled.bytes).toBeGreaterThan(4 * MIB);
    await expectEqual("s1");

    await write(id, 8 * MIB, randomBytes(MIB));
    await must(source.url, "CreateSnapshot", { id, dest: "s2" });
    const second = await pull(target, id);
    expect(second.pulled).toMatchObject({ snapshot: expect.stringContaining(`${id}@s2`), full: false });
    expect(second.pulled.bytes).toBeGreaterThan(MIB);
    expect(second.pulled.bytes).toBeLessThan(1.2 * MIB);
    await expectEqual("s2");

    const third = await pull(target, id);
    expect(third.pulled).toEqual({ ...second.pulled, bytes: 0 });
    expect(await snapshotsOf(target, id)).toEqual(["s1", "s2"]);
  });

  test.skipIf(isBrief)(
    (isBrief ? titled : String)("the source keeps one bookmark for a copy, so that its snapshots may go"),
    async () => {
      id = await volumeWithSnapshot(scene());
      const { source, target, write } = scene();
      await pull(target, id);
      const [first, ...others] = await bookmarksOf(source, id);
      expect(others).toEqual([]);
      expect(first).toMatch(/#replica-[0-9a-f]{16}-\d+$/);
      await must(source.url, "DeleteSnapshot", { id: `${id}@s1` });

      await write(id, 0, randomBytes(MIB));
      await must(source.url, "CreateSnapshot", { id, dest: "s2" });
      const { pulled } = await pull(target, id);
      expect(pulled.full).toBe(false);
      await expectEqual("s2");
      const after = await bookmarksOf(source, id);
      expect(after).toHaveLength(1);
      expect(after).not.toContain(first);
    },
  );

  test.skipIf(isBrief)(
    (isBrief ? titled : String)(
      "a copy that was written to, or has snapshots of its own, is refused, and made equal by force",
    ),
    async () => {
      id = await volumeWithSnapshot(scene());
      const { source, target, write } = scene();
      await pull(target, id);
      await must(target.url, "SetVolume", { id, readonly: false });
      await must(target.url, "CreateSnapshot", { id, dest: "own" });
      await write(id, 0, randomBytes(MIB));
      await must(source.url, "CreateSnapshot", { id, dest: "s2" });

      const refused = await call20(target, "PullVolume", { id, peer: "source", source: id });
      expect(refused.error).toMatchObject({
        message: expect.stringContaining("has newer snapshots than"),
        data: { reason: "dataset.diverged" },
      });
      expect(await snapshotsOf(target, id)).toEqual(["own", "s1"]);
      await must(target.url, "DeleteSnapshot", { id: `${id}@own` });
      const writable = await call20(target, "PullVolume", { id, peer: "source", source: id });
      expect(writable.error).toMatchObject({
        message: expect.stringContaining("is writable"),
        data: { reason: "dataset.diverged" },
      });

      await must(target.url, "CreateSnapshot", { id, dest: "own" });
      const ask = { id, peer: "source", source: id, dryRun: true };
      const tried = await call20(target, "PullVolume", ask);
      expect(tried.error).toMatchObject({ data: { reason: "dataset.diverged" } });
      const dry = await must<Pulled & { destroys: { id: string }[] }>(target.url, "PullVolume", {
        ...ask,
        force: true,
      });
      expect(dry.destroys.map((each) => each.id)).toEqual([expect.stringMatching(/@own$/)]);
      expect(dry.pulled).toMatchObject({ bytes: 0, full: false, snapshot: expect.stringMatching(/@s2$/) });
      expect(await snapshotsOf(target, id)).toEqual(["own", "s1"]);
      const kept = await must<object>(target.url, "GetVolumeProperties", { id });
      expect(kept).toMatchObject({ volumes: [{ properties: { readonly: false } }] });

      const { pulled } = await pull(target, id, { force: true });
      expect(pulled.full).toBe(false);
      expect(await snapshotsOf(target, id)).toEqual(["s1", "s2"]);
      await expectEqual("s2");
    },
  );
}

/** What a migration does where the pools make a difference. */
export function migrationCases(scene: () => PullScene): void {
  test("dry runs of a migration tell what each step would do, and change nothing on either side", async () => {
    const { source, target, write } = scene();
    const id = await volumeWithSnapshot(scene());
    const ask = { id, peer: "source", source: id };
    const dryRun = (method: string) => must<Pulled>(target.url, method, { ...ask, dryRun: true });
    const full = await call20(source, "GetVolume", { id });
    const [{ id: name = "" } = {}] = (full.result as { volumes: { id: string }[] }).volumes;
    for (const [method, fences] of [
      ["MigrateVolume", false],
      ["FinishMigration", true],
    ] as const) {
      const { pulled, plan, destroys } = await dryRun(method);
      expect(pulled).toMatchObject({ guid: "", bytes: 0, full: true });
      expect(plan).toEqual({
        ...{ peer: "source", source: name, base: null, fences, drops: [] },
        estimatedBytes: expect.any(Number),
        snapshot: expect.stringMatching(/@migrate-\w+$/),
      });
      expect(plan?.estimatedBytes).toBeGreaterThan(3 * MIB);
      expect(destroys).toEqual([]);
    }
    expect(await snapshotsOf(source, id)).toEqual(["s1"]);
    expect(await isReadonly(source, id)).toBe(false);
    expect((await call20(target, "GetVolume", { id })).error).toMatchObject({
      data: { reason: "dataset.not_found" },
    });

    const { pulled: came } = await must<Pulled>(target.url, "MigrateVolume", ask);
    const tag = came.snapshot.slice(came.snapshot.indexOf("@") + 1);
    await write(id, 5 * MIB, randomBytes(MIB));
    const [left, leftHere] = [await snapshotsOf(source, id), await snapshotsOf(target, id)];
    const again = await dryRun("MigrateVolume");
    expect(again).toMatchObject({
      pulled: { full: false },
      plan: { base: { id: `${name}@${tag}`, guid: came.guid }, fences: false, drops: [`${name}@${tag}`] },
      destroys: [{ id: came.snapshot }],
    });
    expect(again.plan?.estimatedBytes).toBeLessThan(3 * MIB);
    const last = await dryRun("FinishMigration");
    expect(last).toMatchObject({ plan: { fences: true, drops: [] }, destroys: [{ id: came.snapshot }] });
    expect([await snapshotsOf(source, id), await snapshotsOf(target, id)]).toEqual([left, leftHere]);
    expect(await isReadonly(source, id)).toBe(false);
    expect(await isReadonly(target, id)).toBe(true);

    await must(source.url, "FenceVolume", { id, dest: "last" });
    expect(await dryRun("FinishMigration")).toMatchObject({ plan: { fences: false, snapshot: null } });
    for (const more of [{}, { dryRun: true }]) {
      const refused = await call20(target, "MigrateVolume", { ...ask, ...more });
      expect(refused.error).toMatchObject({ data: { reason: "peer.refused" } });
    }
    await must(target.url, "FinishMigration", ask);
    await until("the earlier ones are gone", async () => (await snapshotsOf(target, id)).length === 1);
    expect(await snapshotsOf(target, id)).toEqual(["last"]);
  });

  test("a volume moves while it is written to, its source is fenced, and the move can be undone", async () => {
    const { source, target, write, digest } = scene();
    const id = await volumeWithSnapshot(scene());
    const ask = { id, peer: "source", source: id };
    const { pulled } = await must<Pulled>(target.url, "MigrateVolume", ask);
    expect(pulled.full).toBe(true);
    await write(id, 5 * MIB, randomBytes(MIB));
    const last = await must<Pulled>(target.url, "FinishMigration", ask);
    expect(last.pulled).toMatchObject({ full: false });
    expect(last.pulled.bytes).toBeGreaterThan(MIB);
    // The guest stands still meanwhile: no more comes than was written.
    expect(last.pulled.bytes).toBeLessThan(2 * MIB);
    const tag = last.pulled.snapshot.slice(last.pulled.snapshot.indexOf("@") + 1);
    expect(await digest(target, `${id}@${tag}`)).toBe(await digest(source, `${id}@${tag}`));
    // Of the snapshots that were made for it the last one is left, at the source also the one that it was sent from.
    await until("the earlier ones are gone", async () => (await snapshotsOf(target, id)).length === 1);
    expect(await snapshotsOf(target, id)).toEqual([tag]);
    const left = await snapshotsOf(source, id);
    expect(left).toEqual([expect.stringMatching(/^migrate-/), tag, "s1"]);
    expect(await isReadonly(target, id)).toBe(false);
    expect(await isReadonly(source, id)).toBe(true);

    const again = await must<Pulled>(target.url, "FinishMigration", ask);
    expect(again.pulled).toMatchObject({ snapshot: last.pulled.snapshot, bytes: 0 });
    await expectFenced(source, id);

    await must(source.url, "UnfenceVolume", { id });
    expect(await isReadonly(source, id)).toBe(false);
    await must(source.url, "CreateSnapshot", { id, dest: "again" });
  });
}

async function isReadonly({ url }: DaemonProcess, id: string): Promise<boolean | undefined> {
  const { volumes } = await must<{ volumes: readonly { properties: { readonly: boolean } }[] }>(
    url,
    "GetVolumeProperties",
    { id },
  );
  return volumes[0]?.properties.readonly;
}

/** Each method that would change a volume, or one that holds it. */
async function expectFenced(daemon: DaemonProcess, id: string): Promise<void> {
  const [, guest = ""] = id.split("/");
  const changes: readonly (readonly [string, object])[] = [
    ["ResizeVolume", { id, size: 64 }],
    ["RenameVolume", { id, dest: `${id}-2` }],
    ["SetVolume", { id, readonly: false }],
    ["SetVolume", { id, tags: { owner: "ada" } }],
    ["CreateSnapshot", { id, dest: "late" }],
    ["CreateSnapshot", { id: `guests/${guest}`, dest: "late", recursive: true }],
    ["SnapshotGuest", { id: guest, dest: "late" }],
    ["RollbackSnapshot", { id: `${id}@s1`, destroyMoreRecent: true }],
    ["DeleteSnapshot", { id: `${id}@s1` }],
    ["DeleteDataset", { id: `${id}@s1` }],
    ["DeleteDataset", { id }],
    ["DeleteDataset", { id: `guests/${guest}` }],
    ["DeleteGuestsDisks", { guest: { id: guest } }],
  ];
  for (const [method, params] of changes) {
    const { error } = await call20(daemon, method, params);
    expect([method, error?.data.reason]).toEqual([method, "dataset.fenced"]);
  }
  expect((await call20(daemon, "SetVolume", { id, tags: { "imagestore.fence": "" } })).error).toBeDefined();
}

/** What pulls do on any two nodes. */
export function morePullCases(scene: () => PullScene): void {
  let id = "";

  test("a snapshot that is named is pulled, and no later one", async () => {
    id = await volumeWithSnapshot(scene());
    const { source, target } = scene();
    await must(source.url, "CreateSnapshot", { id, dest: "s2" });
    const { pulled } = await pull(target, id, { source: `${id}@s1` });
    expect(pulled.snapshot).toMatch(/@s1$/);
    expect(await snapshotsOf(target, id)).toEqual(["s1"]);
  });

  test("a volume that is no copy is refused, whatever is forced", async () => {
    id = await volumeWithSnapshot(scene());
    const { target } = scene();
    await must(target.url, "CreateVolume", { id, size: 16 });
    for (const force of [false, true]) {
      const refused = await call20(target, "PullVolume", { id, peer: "source", source: id, force });
      expect(refused.error).toMatchObject({
        message: expect.stringContaining("has no snapshot in common with its source"),
        data: { reason: "dataset.diverged" },
      });
    }
    expect(await snapshotsOf(target, id)).toEqual([]);
  });

  test("a dry run of a first pull tells what would come, and leaves nothing on either side", async () => {
    id = await volumeWithSnapshot(scene());
    const { source, target } = scene();
    const dry = await must<Pulled>(target.url, "PullVolume", {
      id,
      peer: "source",
      source: id,
      dryRun: true,
    });
    expect(dry).toMatchObject({ pulled: { bytes: 0, full: true }, destroys: [] });
    expect((await call20(target, "GetVolume", { id })).error).toMatchObject({
      data: { reason: "dataset.not_found" },
    });
    expect(await bookmarksOf(source, id)).toEqual([]);
  });

  test("what the peer has not, or the configuration, is told", async () => {
    id = await volumeWithSnapshot(scene());
    const { source, target } = scene();
    const asked = async (params: object) => (await call20(target, "PullVolume", { id, ...params })).error;
    expect(await asked({ peer: "nobody", source: id })).toMatchObject({
      message: expect.stringContaining("no such peer is configured"),
      data: { reason: "peer.unknown", wanted: expect.stringMatching(/^source, gone/) },
    });
    expect(await asked({ peer: "source", source: "guests/none" })).toMatchObject({
      message: expect.stringContaining("the peer source: not found"),
      data: { reason: "dataset.not_found" },
    });
    expect(await asked({ peer: "source", source: `${id}@none` })).toMatchObject({
      data: { reason: "dataset.not_found" },
    });
    expect(await asked({ peer: "gone", source: id })).toMatchObject({
      data: { reason: "peer.unreachable", retryable: true },
    });
    await must(source.url, "CreateVolume", { id: `${id}-bare`, size: 16 });
    expect(await asked({ peer: "source", source: `${id}-bare` })).toMatchObject({
      message: expect.stringContaining("has no snapshot"),
      data: { reason: "dataset.not_found" },
    });
    const { volumes } = await must<{ volumes: readonly { id: string }[] }>(target.url, "ListVolumes", {});
    expect(volumes.filter((each) => each.id.includes(id) || each.id.includes("incoming"))).toEqual([]);
  });
}
