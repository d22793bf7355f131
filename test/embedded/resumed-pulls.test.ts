import { randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { open, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readPartialState, writePartialState } from "../../src/workers/drivers/embedded/partial-state.js";
import { type CuttingProxy, startCuttingProxy } from "../support/cutting-proxy.js";
import { type DaemonProcess, freePort, startDaemonProcess } from "../support/daemon.js";
import { descendantsOf } from "../support/processes.js";
import { call20, sha256 } from "../support/pull-cases.js";
import { must, type Volumes } from "../support/rpc.js";
import { askReceive, receiveUrl } from "../support/stream-client.js";
import { isAlive, until } from "../support/until.js";

const MIB = 1024 * 1024;
/** What a reset takes away that was on its way: in the proxy, and in what the kernel holds for three connections. */
const UNDER_WAY_BYTES = 12 * MIB;
/** After so many a receiver that is killed at once has saved what it has. */
const STEP_BYTES = 16 * MIB;
/** How long the stream of so many bytes of data is, in blocks of 16 KiB. */
const streamBytes = (bytes: number) => bytes * (1 + 312 / 16_384) + MIB;
const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
const poolOf = (node: string) => join(folder, node, "pool");
let source: DaemonProcess;
let target: DaemonProcess;
let proxy: CuttingProxy;

const startTarget = () =>
  startDaemonProcess({
    listen: { port: 0 },
    pools: [{ name: "target", driver: "embedded", folder: poolOf("target") }],
    dataDir: join(folder, "target", "data"),
    timeouts: { graceMs: 200 },
    peers: {
      fast: { url: proxy.url },
      // So that there is time to kill something.
      slow: { url: proxy.url, bytesPerSecond: 64 * MIB },
    },
  });

beforeAll(async () => {
  const port = await freePort();
  proxy = await startCuttingProxy(port);
  source = await startDaemonProcess({
    listen: { port },
    pools: [{ name: "source", driver: "embedded", folder: poolOf("source") }],
    dataDir: join(folder, "source", "data"),
  });
  target = await startTarget();
});
afterAll(async () => {
  expect(await target.stop()).toBe(0);
  expect(await source.stop()).toBe(0);
  await proxy.close();
  rmSync(folder, { recursive: true, force: true });
});

async function deviceOf(daemon: DaemonProcess, id: string): Promise<string> {
  const { volumes } = await must<Volumes>(daemon.url, "GetVolume", { id });
  return volumes[0]?.device ?? "";
}

/** Writes random data to a part of the source, takes a snapshot, and tells the digest of all. */
async function change(id: string, tag: string, at: number, bytes: number): Promise<string> {
  const device = await deviceOf(source, id);
  {
    await using file = await open(device, "r+");
    for (let done = 0; done < bytes; done += 8 * MIB) {
      const piece = randomBytes(Math.min(8 * MIB, bytes - done));
      await file.write(piece, 0, piece.length, at + done);
    }
  }
  await must(source.url, "CreateSnapshot", { id, dest: tag });
  return sha256(await readFile(device));
}

interface Pulled {
  readonly pulled: { readonly full: boolean; readonly bytes: number; readonly snapshot: string };
}

const pull = (id: string, peer = "fast", more = {}) =>
  call20(target, "PullVolume", { id, peer, source: id, ...more });
const stateOf = async (id: string) => (await askReceive(receiveUrl(target, id))).json.receives?.[0];
const receivers = () => descendantsOf(target.pid, "embedded/receive-process.js");
const incoming = () => readdirSync(join(poolOf("target"), "incoming"));

async function expectCopy(id: string, digest: string): Promise<void> {
  expect(sha256(await readFile(await deviceOf(target, id)))).toBe(digest);
  expect(incoming()).toEqual([]);
}

test("a stream that is cut again and again goes on each time where it broke, full or not", async () => {
  const id = "guests/cut/disk";
  await must(source.url, "CreateVolume", { id, size: 288 });
  for (const [tag, at, bytes] of [
    ["s1", 0, 288 * MIB],
    ["s2", 5 * MIB, 280 * MIB],
  ] as const) {
    const digest = await change(id, tag, at, bytes);
    const before = proxy.bytes;
    const places = [0, 1].map((part) => Math.floor(((part + Math.random()) * bytes) / 2.2) + MIB);
    for (const place of places) {
      // What is left to come is that much shorter.
      const moved = proxy.bytes - before;
      const cuts = proxy.cuts;
      proxy.cutAfter = Math.max(300_000, place - moved);
      const broken = await pull(id, "slow");
      expect(broken.error, `${tag} cut at ${places}`).toMatchObject({
        data: { reason: "stream.cut_short", retryable: true },
      });
      expect(proxy.cuts).toBe(cuts + 1);
      expect(await stateOf(id)).toMatchObject({ state: "broken", token: expect.stringMatching(/^e1-/) });
    }
    const { result, error } = await pull(id);
    expect(error).toBeUndefined();
    expect((result as Pulled).pulled).toMatchObject({ full: tag === "s1", snapshot: `target/${id}@${tag}` });
    expect((proxy.bytes - before) / streamBytes(bytes), `${tag} cut at ${places}`).toBeLessThan(1.1);
    await expectCopy(id, digest);
  }
});

test("a stream goes on after its receiver, and its daemon, were killed or stopped", {
  timeout: 240_000,
}, async () => {
  const id = "guests/killed/disk";
  const size = 256;
  await must(source.url, "CreateVolume", { id, size });
  const digest = await change(id, "s1", 0, size * MIB);
  const before = proxy.bytes;
  const kills: Readonly<Record<string, () => Promise<unknown>>> = {
    receiver: async () => {
      for (const pid of receivers()) process.kill(pid, "SIGKILL");
    },
    target: async () => {
      process.kill(target.pid, "SIGKILL");
      await target.exited;
      target = await startTarget();
    },
    "target, in order": async () => {
      expect(await target.stop()).toBe(0);
      target = await startTarget();
    },
  };
  let wanted = 0;
  for (const [what, kill] of Object.entries(kills)) {
    wanted += 60 * MIB;
    // The answer of one whose daemon is killed never comes.
    const broken = pull(id, "slow").catch(() => undefined);
    await until(`${what}: some has come`, () => proxy.bytes - before > wanted);
    await kill();
    await broken;
    expect(await stateOf(id), what).toMatchObject({ state: "broken" });
  }
  const { error } = await pull(id);
  expect(error).toBeUndefined();
  // Only a receiver that is killed itself can't save all that it has.
  expect(proxy.bytes - before).toBeLessThan(streamBytes(size * MIB) + STEP_BYTES + 3 * UNDER_WAY_BYTES);
  await expectCopy(id, digest);
});

test("a receiver that outlives its daemon is ended before another one goes on", async () => {
  const id = "guests/orphan/disk";
  await must(source.url, "CreateVolume", { id, size: 96 });
  const digest = await change(id, "s1", 0, 96 * MIB);
  const before = proxy.bytes;
  const broken = pull(id, "slow").catch(() => undefined);
  await until("some has come", () => proxy.bytes - before > 50 * MIB);
  const [receiver = 0] = receivers();
  process.kill(receiver, "SIGSTOP");
  process.kill(target.pid, "SIGKILL");
  await target.exited;
  await broken;
  expect(isAlive(receiver)).toBe(true);
  target = await startTarget();
  await until("it has ended", () => !isAlive(receiver));
  expect(await stateOf(id)).toMatchObject({ state: "broken" });
  expect((await pull(id)).error).toBeUndefined();
  expect(proxy.bytes - before).toBeLessThan(streamBytes(96 * MIB) + 2 * STEP_BYTES + UNDER_WAY_BYTES);
  await expectCopy(id, digest);
});

test("what has come is given up where its source has changed, will not go on with it, or somebody says so", async () => {
  const id = "guests/given-up/disk";
  await must(source.url, "CreateVolume", { id, size: 32 });
  await change(id, "s1", 0, 32 * MIB);
  const cut = async () => {
    proxy.cutAfter = 12 * MIB;
    await pull(id);
    expect(await stateOf(id)).toMatchObject({ state: "broken" });
    return (await stateOf(id))?.token ?? "";
  };
  await cut();
  await must(target.url, "AbandonReceive", { id });
  expect(await stateOf(id)).toMatchObject({ state: "none", token: null });
  expect(incoming()).toEqual([]);

  // Another snapshot has the name by now.
  await cut();
  await must(source.url, "DeleteSnapshot", { id: `${id}@s1` });
  await change(id, "s1", MIB, MIB);
  const { result } = await pull(id);
  expect((result as Pulled).pulled).toMatchObject({ full: true });

  // The source refuses a token as one of another kind would: the stream comes anew.
  const digest = await change(id, "s2", 0, 32 * MIB);
  await cut();
  const [name = ""] = incoming();
  const path = join(poolOf("target"), "incoming", name);
  const state = await readPartialState(path);
  if (typeof state === "string") throw new Error(state);
  await writePartialState(path, { ...state, offset: state.offset + 1 });
  expect((await pull(id)).error).toBeUndefined();
  await expectCopy(id, digest);
});

test("an increment that broke is given up where its copy has changed, which is then told", async () => {
  const id = "guests/changed/disk";
  await must(source.url, "CreateVolume", { id, size: 32 });
  await change(id, "s1", 0, 32 * MIB);
  await pull(id);
  const digest = await change(id, "s2", 0, 32 * MIB);
  proxy.cutAfter = 12 * MIB;
  await pull(id);
  expect(await stateOf(id)).toMatchObject({ state: "broken" });
  await must(target.url, "CreateSnapshot", { id, dest: "own" });
  const refused = await pull(id);
  expect(refused.error).toMatchObject({ data: { reason: "dataset.diverged" } });
  expect((await pull(id, "fast", { force: true })).error).toBeUndefined();
  await expectCopy(id, digest);
});
