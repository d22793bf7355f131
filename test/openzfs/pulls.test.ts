import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { type CuttingProxy, startCuttingProxy } from "../support/cutting-proxy.js";
import { type DaemonProcess, freePort, startDaemonProcess, vmPool } from "../support/daemon.js";
import { leftOut, titled } from "../support/long-tests.js";
import { call20, migrationCases, type PullScene, pull, pullCases, sha256 } from "../support/pull-cases.js";
import { must, type Volumes } from "../support/rpc.js";
import { createPool, destroyPool, type Vm, vmExec } from "../support/vm.js";

const vm = inject("vm");
const MIB = 1024 * 1024;
const POOLS = ["pullone", "pulltwo"] as const;

describe.skipIf("skip" in vm)("a pull between two nodes on OpenZFS", { timeout: 400_000 }, () => {
  const running = vm as Vm;
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  const inVm = (script: string) => vmExec(running, ["sh", "-c", script]);
  let scene: PullScene;
  let proxy: CuttingProxy;
  let embedded: DaemonProcess;

  // The VM has random data of its own: over ssh it would take much longer.
  const write: PullScene["write"] = async (id, at, { length }) => {
    inVm(
      `until [ -b /dev/zvol/${POOLS[0]}/${id} ]; do sleep 0.1; done
       dd if=/dev/urandom of=/dev/zvol/${POOLS[0]}/${id} bs=64k count=${length / 65_536} oflag=seek_bytes seek=${at} conv=fsync 2>/dev/null`,
    );
  };
  const digest: PullScene["digest"] = async (daemon, snapshot) => {
    const pool = daemon === scene.source ? POOLS[0] : POOLS[1];
    const clone = `${pool}/look`;
    return inVm(`zfs clone '${pool}/${snapshot}' ${clone} && until [ -b /dev/zvol/${clone} ]; do sleep 0.1; done
      sha256sum /dev/zvol/${clone} | cut -c1-64; until zfs destroy ${clone} 2>/dev/null; do sleep 0.2; done`).trim();
  };

  beforeAll(async () => {
    createPool(running, POOLS[0], "/dev/vdk");
    createPool(running, POOLS[1], "/dev/vdl");
    const start = (pool: string, more: object) =>
      startDaemonProcess(
        {
          // Without a port for bulk downloads, to which a proxy can't be put in the way.
          listen: { port: 0 },
          pools: [vmPool(running, pool)],
          log: { level: "info" },
          ...more,
        },
        { OPENZFS_VM_RUN: running.run },
      );
    const source = await start(POOLS[0], {});
    proxy = await startCuttingProxy(Number(new URL(source.url).port));
    const peers = {
      source: { url: source.url },
      gone: { url: `http://127.0.0.1:${await freePort()}` },
      cut: { url: proxy.url },
    };
    const target = await start(POOLS[1], { peers });
    embedded = await startDaemonProcess({
      listen: { port: 0 },
      pools: [{ name: "folder", driver: "embedded", folder: join(folder, "pool") }],
      peers,
    });
    scene = { source, target, write, digest };
  });
  afterAll(async () => {
    await embedded?.stop();
    await scene?.target.stop();
    await scene?.source.stop();
    await proxy?.close();
    for (const pool of POOLS) destroyPool(running, pool);
    rmSync(folder, { recursive: true, force: true });
  });

  pullCases(() => scene, leftOut !== undefined);
  migrationCases(() => scene);

  test("a copy on an embedded pool has the same data, also after an increment", async () => {
    const id = "guests/mixed/disk";
    const { source } = scene;
    await must(source.url, "CreateVolume", { id, size: 16 });
    for (const tag of ["s1", "s2"]) {
      await write(id, 3 * MIB, Buffer.alloc(2 * MIB));
      await must(source.url, "CreateSnapshot", { id, dest: tag });
      const { pulled } = await pull(embedded, id);
      expect(pulled.full).toBe(tag === "s1");
      const { volumes } = await must<Volumes>(embedded.url, "GetVolume", { id });
      expect(sha256(await readFile(volumes[0]?.device ?? ""))).toBe(await digest(source, `${id}@${tag}`));
    }
  });

  test("a stream that breaks goes on where it broke, full or not", async () => {
    // A second try of this test must not find what the first has made.
    const id = `guests/cut-${randomBytes(4).toString("hex")}/disk`;
    const { source } = scene;
    await must(source.url, "CreateVolume", { id, size: 32 });
    for (const tag of ["s1", "s2"]) {
      await write(id, 0, Buffer.alloc(16 * MIB));
      await must(source.url, "CreateSnapshot", { id, dest: tag });
      const before = proxy.bytes;
      proxy.cutAfter = 10 * MIB;
      const broken = await call20(scene.target, "PullVolume", { id, peer: "cut", source: id });
      expect(broken.error).toMatchObject({ data: { reason: "stream.cut_short", retryable: true } });
      const again = await call20(scene.target, "PullVolume", { id, peer: "cut", source: id });
      expect(again.error).toBeUndefined();
      const { pulled } = again.result as Awaited<ReturnType<typeof pull>>;
      expect(pulled.full).toBe(tag === "s1");
      // What a pool had not written yet comes again, and what a reset has thrown away in the buffers of sockets: some MiB.
      expect(pulled.bytes).toBeLessThan(14 * MIB);
      expect(proxy.bytes - before).toBeLessThan(24 * MIB);
      expect(await digest(scene.target, `${id}@${tag}`)).toBe(await digest(source, `${id}@${tag}`));
    }
  });

  const givenUp = titled("what a broken stream has left is shown to nobody, and can be given up");
  test.skipIf(leftOut !== undefined)(givenUp, async () => {
    const id = "guests/given-up/disk";
    const { source, target } = scene;
    await must(source.url, "CreateVolume", { id, size: 32 });
    await write(id, 0, Buffer.alloc(16 * MIB));
    await must(source.url, "CreateSnapshot", { id, dest: "s1" });
    proxy.cutAfter = 10 * MIB;
    await call20(target, "PullVolume", { id, peer: "cut", source: id });
    const incoming = () => inVm(`zfs list -Ho name -r ${POOLS[1]} | grep incoming || true`).trim();
    expect(incoming()).toMatch(/^pulltwo\/images\/\.incoming-[0-9a-f]{32}$/);
    const { volumes } = await must<Volumes>(target.url, "ListVolumes", {});
    expect(volumes.filter((each) => each.id.includes("incoming") || each.id.includes(id))).toEqual([]);
    await must(target.url, "AbandonReceive", { id });
    expect(incoming()).toBe("");
    const { volumes: left } = await must<Volumes>(target.url, "AbandonReceive", { id });
    expect(left).toMatchObject([{ size: 0 }]);
  });
});
