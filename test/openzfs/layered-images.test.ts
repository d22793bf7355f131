import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { type DaemonProcess, startDaemonProcess, vmPool } from "../support/daemon.js";
import { call, must } from "../support/rpc.js";
import { until } from "../support/until.js";
import { createPool, destroyPool, fillVolume, type Vm, vmExec } from "../support/vm.js";

const vm = inject("vm");
const POOL = "layered";
const MIB = 1024 * 1024;

interface Images {
  readonly images: readonly { readonly id: string; readonly origin?: string }[] | null;
}

describe.skipIf("skip" in vm)("images that build on others", () => {
  const running = vm as Vm;
  const folder = mkdtempSync(join(tmpdir(), "imagestore-layered-"));
  const streams = new Map<string, Buffer>();
  /** Of these half a stream comes, and then nothing. */
  const stalled = new Set<string>();
  const service = createServer((request, response) => {
    const id = request.url?.split("/").at(-2) ?? "";
    const stream = streams.get(id);
    if (!stream) response.writeHead(404).end();
    else if (stalled.has(id)) response.write(stream.subarray(0, stream.length / 2));
    else response.end(stream);
  });
  let daemon: DaemonProcess;
  let port = 0;

  const inVm = (script: string) => vmExec(running, ["sh", "-ec", script]).trim();
  const propertyOf = (property: string, name: string) =>
    inVm(`zfs get -Hp -o value ${property} ${POOL}/${name}`);
  const images = () => inVm(`zfs list -Hr -o name ${POOL}/images`).split("\n");
  const send = (options: string): Buffer => {
    const { status, stdout, stderr } = spawnSync(running.exec, ["sh", "-c", `zfs send ${options}`], {
      env: { ...process.env, OPENZFS_VM_RUN: running.run },
      maxBuffer: 64 * MIB,
    });
    expect(status, stderr.toString()).toBe(0);
    return stdout;
  };
  const start = () =>
    startDaemonProcess(
      {
        ...{ listen: { port: 0 }, imageService: `127.0.0.1:${port}`, dataDir: join(folder, "data") },
        pools: [vmPool(running, POOL)],
      },
      { OPENZFS_VM_RUN: running.run },
    );
  const request = (id: string, origin?: string) =>
    call<Images>(daemon.url, "RequestImage", { id, type: "kvm", ...(origin && { origin }) });

  beforeAll(async () => {
    createPool(running, POOL, "/dev/vdi");
    const [source, write] = [`${POOL}/src/v`, "dd if=/dev/urandom bs=1M conv=fsync,notrunc"];
    inVm(`zfs create ${POOL}/src; zfs create -s -V 16M -o volblocksize=16k ${source}`);
    fillVolume(running, source, 8);
    // A clone of what is published, and later snapshots of its source.
    inVm(`
      zfs snapshot ${source}@v1
      zfs clone ${source}@v1 ${POOL}/src/w
      until [ -b /dev/zvol/${POOL}/src/w ]; do sleep 0.1; done
      ${write} of=/dev/zvol/${POOL}/src/w seek=7 count=2
      zfs snapshot ${POOL}/src/w@l1
      ${write} of=/dev/zvol/${source} seek=12 count=1
      zfs snapshot ${source}@v2
      ${write} of=/dev/zvol/${source} seek=3 count=1
      zfs snapshot ${source}@v3
    `);
    streams.set("golden", send(`${source}@v1`));
    streams.set("web", send(`-c -i ${source}@v1 ${POOL}/src/w@l1`));
    streams.set("next", gzipSync(send(`-p -i @v1 ${source}@v2`), { level: 1 }));
    streams.set("wrong", send(`-i @v2 ${source}@v3`));
    streams.set("whole", streams.get("golden") as Buffer);
    await new Promise<void>((resolve) => service.listen(0, "127.0.0.1", resolve));
    const address = service.address();
    port = typeof address === "object" && address ? address.port : 0;
    daemon = await start();
    await must(daemon.url, "RequestImage", { id: "golden", type: "kvm" });
  });
  afterAll(async () => {
    await daemon?.stop();
    service.closeAllConnections();
    service.close();
    destroyPool(running, POOL);
    rmSync(folder, { recursive: true, force: true });
  });

  test("are clones that have the bytes of their streams and share the others", async () => {
    const promised = async () =>
      (await must<{ pools: { promised: number }[] }>(daemon.url, "GetPool", {})).pools[0]?.promised;
    const before = await promised();
    for (const [id, origin, guest, source] of [
      ["web", "golden", "a", "src/w@l1"],
      ["next", "golden@v1", "b", "src/v@v2"],
    ] as const) {
      const { images: made } = await must<Images>(daemon.url, "RequestImage", { id, type: "kvm", origin });
      expect(made).toMatchObject([{ id, origin: `${POOL}/images/golden@v1`, status: "complete", size: 16 }]);
      const [clonedFrom, readonly, referenced, used] = propertyOf(
        "origin,readonly,referenced,used",
        `images/${id}`,
      ).split("\n");
      expect([clonedFrom, readonly]).toEqual([`${POOL}/images/golden@v1`, "on"]);
      expect(Number(referenced)).toBeGreaterThan(8 * MIB);
      expect(Number(used)).toBeLessThan(3 * MIB);
      const [, tag] = source.split("@");
      expect(propertyOf("guid", `images/${id}@${tag}`)).toBe(propertyOf("guid", source));
      await must(daemon.url, "CloneImage", { id, dest: `guests/${guest}` });
      inVm(`
        zfs clone -o readonly=on -o volmode=full ${POOL}/${source} ${POOL}/src/shown-${guest}
        for each in guests/${guest} src/shown-${guest}; do
          until [ -b /dev/zvol/${POOL}/$each ]; do sleep 0.1; done
        done
        cmp /dev/zvol/${POOL}/guests/${guest} /dev/zvol/${POOL}/src/shown-${guest}
      `);
      await must(daemon.url, "DeleteDataset", { id: `guests/${guest}` });
    }
    expect(await promised()).toBe(before);
  });

  test("are refused where the stream builds on another snapshot, on none, or no origin is named", async () => {
    const before = images();
    for (const [id, origin, reason] of [
      ["wrong", "golden", /its origin layered\/images\/golden@v1 has the guid/],
      ["whole", "golden", /it is whole and builds on no other/],
      ["wrong", undefined, /must be named as its origin/],
      ["wrong", "silver", /there is no image silver/],
      ["wrong", "golden@v9", /there is no layered\/images\/golden@v9/],
    ] as const) {
      expect((await request(id, origin)).error, id).toMatch(reason);
    }
    expect(images()).toEqual(before);
  });

  test("keep their origin while they are fetched; a daemon that is killed leaves nothing of them", async () => {
    for (const id of ["web", "next"]) await must(daemon.url, "DeleteImage", { id });
    stalled.add("web");
    const lost = request("web", "golden").catch(() => undefined);
    await until("it is received", () => images().includes(`${POOL}/images/.partial-web`));
    const { error } = await call(daemon.url, "DeleteImage", { id: "golden" });
    expect(error).toMatch(/held|clones/);
    console.info(`an origin that is in use: ${error}`);
    expect(inVm(`zfs holds -H ${POOL}/images/golden@v1`)).toContain("imagestore:");
    daemon.process.kill("SIGKILL");
    await daemon.exited;
    await lost;
    stalled.clear();
    daemon = await start();
    await until("nothing of it is left", () => !images().includes(`${POOL}/images/.partial-web`));
    expect(images()).toEqual([`${POOL}/images`, `${POOL}/images/golden`]);
    expect(inVm(`zfs holds -H ${POOL}/images/golden@v1`)).toBe("");
    await must(daemon.url, "RequestImage", { id: "web", type: "kvm", origin: "golden" });
    await must(daemon.url, "RequestImage", { id: "next", type: "kvm", origin: "golden" });
  });

  test("keep their origin from being deleted, or live on with it in the trash", async () => {
    const refused = await call(daemon.url, "DeleteImage", { id: "golden" });
    for (const id of ["web", "next"]) expect(refused.error).toContain(`${POOL}/images/${id}`);
    await must(daemon.url, "DeleteImage", { id: "golden", whenInUse: "trash" });
    const left = (await must<Images>(daemon.url, "ListImages", {})).images ?? [];
    expect(left.map(({ id, origin }) => [id, origin])).toEqual([
      ["web", undefined],
      ["next", undefined],
    ]);
    expect(propertyOf("origin", "images/web")).toMatch(/^layered\/images\/\.trash-\d+@v1$/);
    for (const id of ["web", "next"]) await must(daemon.url, "DeleteImage", { id });
    expect((await must<Images>(daemon.url, "ListImages", { trash: true })).images).toBeNull();
    expect(images()).toEqual([`${POOL}/images`]);
  });
});
