import { execFileSync } from "node:child_process";
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from "vitest";
import { type DaemonProcess, startDaemonProcess, vmPool } from "../support/daemon.js";
import { startInProcess } from "../support/in-process.js";
import { testLong } from "../support/long-tests.js";
import { openNameServer } from "../support/name-server.js";
import { call, type Images, must, type Snapshots, type Volumes } from "../support/rpc.js";
import { sql } from "../support/sql.js";
import { transportNames } from "../support/transports.js";
import { until } from "../support/until.js";
import { createPool, destroyPool, fillVolume, type Vm, vmExec } from "../support/vm.js";

const vm = inject("vm");
const POOL = "life";

describe.skipIf("skip" in vm)("the daemon's life", () => {
  const running = vm as Vm;
  const env = { OPENZFS_VM_RUN: running.run };
  const folder = mkdtempSync(join(tmpdir(), "imagestore-life-"));
  const dataDir = join(folder, "data");
  const daemons: DaemonProcess[] = [];
  let stream: Buffer;
  let large: Buffer;
  let files: Buffer;
  let images: Server;

  const zfs = (...args: string[]) => vmExec(running, ["zfs", ...args]);
  /** Every filesystem and volume of the pool, a line each. */
  const names = () => zfs("list", "-Hr", "-o", "name", POOL);
  const start = async (config: Record<string, unknown> = {}, pool: Record<string, unknown> = {}) => {
    const daemon = await startDaemonProcess(
      {
        listen: { port: 0 },
        pools: [{ ...vmPool(running, POOL), ...pool }],
        imageService: `127.0.0.1:${(images.address() as AddressInfo).port}`,
        dataDir,
        log: { level: "info" },
        ...config,
      },
      env,
    );
    daemons.push(daemon);
    return daemon;
  };
  const imageIds = async (daemon: DaemonProcess) =>
    ((await must<Images>(daemon.url, "ListImages", {})).images ?? []).map((image) => image.id).sort();

  beforeAll(async () => {
    createPool(running, POOL, "/dev/vdh");
    zfs("create", "-V", "8M", `${POOL}/seed`);
    zfs("snapshot", `${POOL}/seed@s`);
    stream = Buffer.from(vmExec(running, ["sh", "-c", `zfs send ${POOL}/seed@s | base64`]), "base64");
    zfs("create", `${POOL}/files`);
    zfs("snapshot", `${POOL}/files@s`);
    files = Buffer.from(vmExec(running, ["sh", "-c", `zfs send ${POOL}/files@s | base64`]), "base64");
    zfs("destroy", "-r", `${POOL}/files`);
    images = createServer((request, response) => {
      // "hang": the head of an image, and then nothing.
      if (request.url?.includes("hang")) response.write(stream.subarray(0, 1000));
      else if (request.url?.includes("/large/")) response.end(large);
      else if (request.url?.includes("/files/")) response.end(files);
      else response.end(stream);
    });
    await new Promise<void>((resolve) => images.listen(0, "127.0.0.1", resolve));
  });
  afterEach(async () => {
    for (const daemon of daemons.splice(0)) await daemon.stop();
  });
  afterAll(() => {
    images?.closeAllConnections();
    images?.close();
    destroyPool(running, POOL);
    rmSync(folder, { recursive: true, force: true });
  });

  test("a start that can't succeed ends with status 1 and one clear line", async () => {
    const taken = createTcpServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    const { port } = taken.address() as AddressInfo;
    const refusals: [Record<string, unknown>, Record<string, unknown>, RegExp][] = [
      [
        { listen: { port, transport: transportNames[0] } },
        {},
        /imagestore: port \d+ on 127\.0\.0\.1 is in use/,
      ],
      [{ listen: { port, transport: "node" } }, {}, /imagestore: port \d+ on 127\.0\.0\.1 is in use/],
      [{}, { name: "absent" }, /imagestore: pool absent does not exist/],
      [{}, { zpoolCommand: ["/nowhere/zpool"] }, /imagestore: .*no such program: zpool.*\(\/nowhere\/zpool/],
      [{}, { zpoolCommand: [dataDir.replace("/data", "")] }, /imagestore: .*not permitted to run/],
      [
        {},
        {
          zpoolCommand: [
            "sh",
            "-c",
            "echo Permission denied the ZFS utilities must be run as root. >&2; exit 1",
            "-",
          ],
        },
        /imagestore: Permission denied the ZFS utilities must be run as root\./,
      ],
      [
        { dataDir: "/etc/passwd/data" },
        {},
        /imagestore: the records of pool life can't be opened: .*ENOTDIR/,
      ],
      [
        { listen: { port: 0, host: "192.0.2.1" }, auth: { open: true } },
        {},
        /imagestore: this machine has no address 192\.0\.2\.1/,
      ],
    ];
    for (const [config, pool, line] of refusals) {
      const refused = await start({ log: { level: "error" }, ...config }, pool).catch(
        (error: Error) => error,
      );
      expect(refused).toBeInstanceOf(Error);
      expect((refused as Error).message).toMatch(line);
      expect((refused as Error).message).toMatch(/^the daemon ended with status 1: imagestore: .*\n$/);
    }
    taken.close();
  });

  test("a second daemon on the same records is refused and disturbs nothing", async () => {
    const first = await start();
    await expect(start()).rejects.toThrow(/another imagestore has it open/);
    expect(await imageIds(first)).toEqual([]);
    expect(await first.stop()).toBe(0);
  });

  test("a restart adopts, drops and removes what the pool says, and says so", async () => {
    const before = await start();
    await must<Images>(before.url, "RequestImage", { id: "kept", type: "kvm" });
    await must<Images>(before.url, "RequestImage", { id: "gone" });
    expect(await before.stop()).toBe(0);

    zfs("destroy", "-r", `${POOL}/images/gone`);
    zfs("clone", `${POOL}/seed@s`, `${POOL}/images/made`);
    zfs("snapshot", `${POOL}/images/made@first`);
    zfs("snapshot", `${POOL}/images/made@second`);
    // Our own leftover carries our mark; the other has only a name like it.
    zfs("create", "-V", "8M", "-o", "imagestore:fetch=dead", `${POOL}/images/.partial-ours`);
    zfs("create", "-V", "8M", `${POOL}/images/.partial-theirs`);
    const after = await start();
    const found = await must<Images>(after.url, "ListImages", {});
    expect(found.images).toEqual([
      expect.objectContaining({ id: "kept", type: "kvm", size: 8, status: "complete" }),
      expect.objectContaining({ id: "made", snapshot: `${POOL}/images/made@first`, status: "complete" }),
    ]);
    const left = zfs("list", "-Hr", "-o", "name", `${POOL}/images`);
    expect(left).not.toContain(".partial-ours");
    expect(left).toContain(".partial-theirs");
    const reportLine = () =>
      after
        .log()
        .split("\n")
        .find((line) => line.includes("agree with the pool"));
    await until("its report is logged", () => reportLine() !== undefined);
    expect(JSON.parse(reportLine() ?? "{}")).toMatchObject({
      adopted: ["made"],
      dropped: ["gone"],
      partialsRemoved: [`${POOL}/images/.partial-ours`],
    });
    zfs("destroy", `${POOL}/images/.partial-theirs`);
    expect(await after.stop()).toBe(0);
  });

  test("without its record file a daemon finds its images and old holds in the pool", async () => {
    const before = await start();
    expect(await imageIds(before)).toEqual(["kept", "made"]);
    expect(await before.stop()).toBe(0);
    rmSync(dataDir, { recursive: true });
    zfs("hold", "imagestore:dead-1", `${POOL}/seed@s`);
    zfs("hold", "somebody", `${POOL}/seed@s`);
    const after = await start();
    const found = await must<Images>(after.url, "ListImages", { type: "kvm" });
    expect(found.images).toEqual([expect.objectContaining({ id: "kept", type: "kvm" })]);
    const holds = zfs("holds", "-H", `${POOL}/seed@s`);
    expect(holds).not.toContain("imagestore:");
    expect(holds).toContain("somebody");
    zfs("release", "somebody", `${POOL}/seed@s`);
    expect(await after.stop()).toBe(0);
  });

  test("a daemon killed in mid-download releases its hold at the next start", async () => {
    const killed = await start();
    await must<Volumes>(killed.url, "CreateVolume", { id: "guests/bulk", size: 32 });
    fillVolume(running, `${POOL}/guests/bulk`, 24);
    await must<Snapshots>(killed.url, "CreateSnapshot", { id: "guests/bulk", dest: "s" });
    const response = await fetch(`${killed.url}/snapshots/download?id=guests/bulk@s`);
    await response.body?.getReader().read();
    expect(zfs("holds", "-H", `${POOL}/guests/bulk@s`)).toContain("imagestore:");
    killed.process.kill("SIGKILL");
    await killed.exited;
    const after = await start();
    await until("the hold is released", () => zfs("holds", "-H", `${POOL}/guests/bulk@s`).trim() === "");
    await until("the dataset can be deleted", async () => {
      const deleted = await call<Volumes>(after.url, "DeleteDataset", { id: "guests/bulk" });
      return deleted.error === null;
    });
    expect(await after.stop()).toBe(0);
  });

  testLong("the original's database is imported once", async () => {
    const originalDatabase = join(folder, "original.db");
    const record = (id: string, snapshot: string) =>
      JSON.stringify({ id, type: "kvm", volume: `${POOL}/seed`, snapshot, size: 8, status: "complete" });
    await sql(originalDatabase, `CREATE TABLE "mistify-agent-image" (key TEXT, bucket TEXT, value BLOB)`);
    await sql(
      originalDatabase,
      `INSERT INTO "mistify-agent-image" VALUES
         ('old', 'images', '${record("old", `${POOL}/seed@s`)}'),
         ('lost', 'images', '${record("lost", `${POOL}/seed@nowhere`)}'),
         ('bad', 'images', '{"id":"../x"}')`,
    );
    const first = await start({}, { originalDatabase });
    expect(await imageIds(first)).toEqual(["kept", "made", "old"]);
    await must<Volumes>(first.url, "CloneImage", { id: "old", dest: "guests/from-old" });
    await must<Volumes>(first.url, "DeleteDataset", { id: "guests/from-old" });
    expect(await first.stop()).toBe(0);
    await sql(
      originalDatabase,
      `INSERT INTO "mistify-agent-image" VALUES ('late', 'images', '${record("late", `${POOL}/seed@s`)}')`,
    );
    const second = await start({}, { originalDatabase });
    expect(await imageIds(second)).toEqual(["kept", "made", "old"]);
    expect(await second.stop()).toBe(0);
  });

  test("an image that does not fit leaves nothing behind, and fits when there is room", async () => {
    const daemon = await start();
    await must<Volumes>(daemon.url, "CreateVolume", { id: "guests/large", size: 16 });
    fillVolume(running, `${POOL}/guests/large`, 12);
    await must<Snapshots>(daemon.url, "CreateSnapshot", { id: "guests/large", dest: "s" });
    const response = await fetch(`${daemon.url}/snapshots/download?id=guests/large@s`);
    large = Buffer.from(await response.arrayBuffer());
    zfs("set", "quota=6M", `${POOL}/images`);
    const { error } = await call<Images>(daemon.url, "RequestImage", { id: "large" });
    expect(error).toBe("no space left on device");
    expect(names()).not.toContain(".partial-large");
    expect(names()).not.toContain("images/large");
    expect((await call<Images>(daemon.url, "GetImage", { id: "large" })).error).toBe("not found");
    zfs("set", "quota=none", `${POOL}/images`);
    await must<Images>(daemon.url, "RequestImage", { id: "large" });
    await must<Images>(daemon.url, "DeleteImage", { id: "large" });
    await must<Volumes>(daemon.url, "DeleteDataset", { id: "guests/large" });
    expect(await daemon.stop()).toBe(0);
  });

  test("an image that is no volume is refused and leaves nothing behind", async () => {
    const daemon = await start();
    const { error } = await call<Images>(daemon.url, "RequestImage", { id: "files" });
    expect(error).toMatch(/^no usable image: .*it is a filesystem's, not a volume's, url: /);
    expect(names()).not.toContain("files");
    expect(await imageIds(daemon)).not.toContain("files");
    expect(await daemon.stop()).toBe(0);
  });

  const isRoot = process.getuid?.() === 0;
  test.skipIf(!isRoot)(
    `a full disk below the records loses no image${isRoot ? "" : " (skipped: mounting a small disk needs root)"}`,
    async () => {
      const disk = join(folder, "small");
      mkdirSync(disk);
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=512k", "tmpfs", disk]);
      try {
        const daemon = await start({ dataDir: disk });
        // Whatever room SQLite has not taken yet is taken now.
        const filler = openSync(join(disk, "filler"), "w");
        try {
          for (;;) writeSync(filler, Buffer.alloc(4096));
        } catch (error) {
          expect((error as NodeJS.ErrnoException).code).toBe("ENOSPC");
        }
        closeSync(filler);
        const ids = Array.from({ length: 8 }, (_, index) => `full-${index}`);
        for (const id of ids) await must<Images>(daemon.url, "RequestImage", { id });
        await expect.poll(() => daemon.log()).toContain("a record could not be written");
        expect(await imageIds(daemon)).toEqual(expect.arrayContaining(ids));
        expect(await daemon.stop()).toBe(0);
        rmSync(join(disk, "filler"));
        const after = await start({ dataDir: disk });
        expect(await imageIds(after)).toEqual(expect.arrayContaining(ids));
        for (const id of ids) await must<Images>(after.url, "DeleteImage", { id });
        expect(await after.stop()).toBe(0);
      } finally {
        execFileSync("umount", [disk]);
      }
    },
  );

  testLong("SIGTERM lets running operations finish and refuses new ones", async () => {
    const daemon = await start();
    const ids = Array.from({ length: 12 }, (_, index) => `guests/term-${index}`);
    const creating = ids.map((id) => call<Volumes>(daemon.url, "CreateVolume", { id, size: 8 }));
    await until("the first commands run", () => names().includes("guests/term-"));
    daemon.process.kill("SIGTERM");
    const outcomes = await Promise.all(creating);
    expect(outcomes.map((outcome) => outcome.error)).toEqual(ids.map(() => null));
    expect(await daemon.exited).toBe(0);
    const left = names();
    for (const id of ids) expect(left).toContain(id);
    await expect(fetch(`${daemon.url}/healthz`)).rejects.toThrow();
  });

  test("an operation that outlasts graceMs is given up and leaves nothing behind", async () => {
    const daemon = await start({ timeouts: { graceMs: 500 } });
    const fetching = call<Images>(daemon.url, "RequestImage", { id: "hang" });
    await until("the receive runs", () => names().includes(".partial-hang"));
    const startedAt = performance.now();
    expect(await daemon.stop()).toBe(0);
    expect(performance.now() - startedAt).toBeLessThan(15_000);
    const { error } = await fetching;
    expect(error).toMatch(/given up/);
    await until("the partial is gone", () => !names().includes(".partial-hang"));
  });

  testLong("a second signal ends it at once", async () => {
    const daemon = await start({ timeouts: { graceMs: 60_000 } });
    const fetching = call<Images>(daemon.url, "RequestImage", { id: "hang2" }).catch((error: Error) => error);
    await until("the receive runs", () => names().includes(".partial-hang2"));
    daemon.process.kill("SIGTERM");
    await until("it is stopping", () => daemon.log().includes('"msg":"stopping"'));
    daemon.process.kill("SIGTERM");
    await daemon.exited;
    expect(daemon.process.signalCode).toBe("SIGKILL");
    expect(await fetching).toBeInstanceOf(Error);
    const next = await start();
    expect(names()).not.toContain(".partial-hang2");
    expect(await next.stop()).toBe(0);
  });

  testLong("the port of an image service without one comes from a DNS SRV look-up", async () => {
    const server = await openNameServer({ records: [{ port: (images.address() as AddressInfo).port }] });
    const daemon = await start({
      imageService: "localhost",
      dnsServers: [server.address],
    });
    await must<Images>(daemon.url, "RequestImage", { id: "by-srv" });
    expect(server.asked).toEqual(["localhost"]);
    server.close();
    const { error } = await call<Images>(daemon.url, "RequestImage", { id: "by-srv-2" });
    expect(error).toContain("no DNS server can be reached; imageService as HOST:PORT needs no look-up");
    expect(await daemon.stop()).toBe(0);
  });

  testLong(
    "a crash of the streaming thread resets its downloads, fails its fetches, and the next ones work",
    async () => {
      process.env.OPENZFS_VM_RUN = running.run;
      const { daemon, url, stop } = await startInProcess({
        pools: [vmPool(running, POOL)],
        imageService: `127.0.0.1:${(images.address() as AddressInfo).port}`,
        limits: { streamWindowBytes: 65_536 },
      });
      try {
        await must<Volumes>(url, "CreateVolume", { id: "guests/crash", size: 32 });
        fillVolume(running, `${POOL}/guests/crash`, 24);
        await must<Snapshots>(url, "CreateSnapshot", { id: "guests/crash", dest: "s" });
        const response = await fetch(`${url}/snapshots/download?id=guests/crash@s`);
        const fetching = call<Images>(url, "RequestImage", { id: "hang3" });
        await until("the receive runs", () => names().includes(".partial-hang3"));
        await daemon.crashStreaming();
        await expect(response.arrayBuffer()).rejects.toThrow();
        expect((await fetching).error).toMatch(/ask again/);
        await until("holds are released", () => zfs("holds", "-H", `${POOL}/guests/crash@s`).trim() === "");
        const again = await fetch(`${url}/snapshots/download?id=guests/crash@s`);
        expect((await again.arrayBuffer()).byteLength).toBeGreaterThan(24 * 1024 * 1024);
        await must<Images>(url, "RequestImage", { id: "after-crash" });
        expect(names()).not.toContain(".partial-hang3");
      } finally {
        await stop();
      }
    },
  );

  test("readyz names the pool whose actor does not answer", async () => {
    process.env.OPENZFS_VM_RUN = running.run;
    const { daemon, url, stop } = await startInProcess({ pools: [vmPool(running, POOL)] });
    try {
      const ready = await fetch(`${url}/readyz`);
      expect(ready.status).toBe(200);
      expect(await ready.json()).toEqual({ ready: true, stopping: false, pools: { [POOL]: "ready" } });
      await [...daemon.actors.values()][0]?.crash();
      const unready = await fetch(`${url}/readyz`);
      expect(unready.status).toBe(503);
      expect(await unready.json()).toMatchObject({
        ready: false,
        pools: { [POOL]: expect.stringMatching(/./) },
      });
      expect((await fetch(`${url}/healthz`)).status).toBe(200);
      await until("the actor is up again", async () => (await fetch(`${url}/readyz`)).status === 200);
    } finally {
      await stop();
    }
    expect(existsSync(dataDir)).toBe(true);
  });
});
