import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { open as openFile } from "node:fs/promises";
import { get, type IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { type DaemonProcess, startDaemonProcess, vmPool } from "../support/daemon.js";
import { testLong } from "../support/long-tests.js";
import { call, must } from "../support/rpc.js";
import { until } from "../support/until.js";
import { createPool, destroyPool, type Vm, vmExec } from "../support/vm.js";

const vm = inject("vm");
const POOL = "sends";
const MIB = 1024 * 1024;
const VOLUME = `${POOL}/guests/g/disk`;

/** Each command of the VM may take seconds on a busy machine. */
const SLOW = { timeout: 400_000 };

describe.skipIf("skip" in vm)("what a download may ask for, on OpenZFS", SLOW, () => {
  const running = vm as Vm;
  const id = "guests/g/disk";
  let daemon: DaemonProcess;

  const inVm = (script: string) => vmExec(running, ["sh", "-c", script]);
  const write = (volume: string, at: number, mib: number) =>
    inVm(`until [ -b /dev/zvol/${volume} ]; do sleep 0.1; done
      dd if=/dev/urandom of=/dev/zvol/${volume} bs=1M seek=${at} count=${mib} conv=fsync 2>/dev/null`);
  const guidOf = (name: string) => inVm(`zfs get -Hp -o value guid '${name}'`).trim();
  const holdsOf = (name: string) => inVm(`zfs holds -H '${name}'`).trim();

  beforeAll(async () => {
    createPool(running, POOL, "/dev/vdl");
    daemon = await startDaemonProcess(
      {
        listen: { port: 0, bulk: { port: 0 } },
        pools: [vmPool(running, POOL)],
        auth: { open: true },
        log: { level: "error" },
      },
      { OPENZFS_VM_RUN: running.run },
    );
    await must(daemon.url, "CreateVolume", { id, size: 16 });
    write(VOLUME, 0, 6);
    await must(daemon.url, "CreateSnapshot", { id, dest: "a" });
    await must(daemon.url, "CreateBookmark", { id: `${id}@a`, dest: "mark" });
    write(VOLUME, 2, 2);
    await must(daemon.url, "CreateSnapshot", { id, dest: "b" });
    write(VOLUME, 7, 3);
    await must(daemon.url, "CreateSnapshot", { id, dest: "c" });
    await must(daemon.url, "CreateVolume", { id: "guests/g/other", size: 16 });
    write(`${POOL}/guests/g/other`, 0, 4);
    await must(daemon.url, "CreateSnapshot", { id: "guests/g/other", dest: "s" });
  });
  afterAll(async () => {
    const status = await daemon?.stop();
    destroyPool(running, POOL);
    expect(status).toBe(0);
  });

  const urlOf = (query: string) => `${daemon.url}/snapshots/download?${query}`;

  async function streamOf(query: string): Promise<Buffer> {
    const reply = await fetch(urlOf(query), { headers: { connection: "close" } });
    if (reply.status !== 200) throw new Error(`${reply.status}: ${await reply.text()}`);
    return Buffer.from(await reply.arrayBuffer());
  }

  /** Has the VM's own `zfs receive` take a stream. @returns its exit status. */
  function receive(stream: Buffer, ...args: readonly string[]): number | null {
    const { status } = spawnSync(running.exec, ["zfs", "receive", "-u", ...args], {
      env: { ...process.env, OPENZFS_VM_RUN: running.run },
      input: stream,
      stdio: ["pipe", "ignore", "ignore"],
    });
    return status;
  }

  /** The SHA-256 of what a snapshot has, by a clone of it. */
  function contentOf(snapshot: string): string {
    const clone = `${POOL}/look`;
    return inVm(`zfs clone '${snapshot}' ${clone} && until [ -b /dev/zvol/${clone} ]; do sleep 0.1; done
      sha256sum /dev/zvol/${clone} | cut -c1-64; until zfs destroy ${clone} 2>/dev/null; do sleep 0.2; done`).trim();
  }

  const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");

  /** What `zfs send` itself writes. */
  function sendOf(...args: readonly string[]): string {
    const { stdout } = spawnSync(running.exec, ["zfs", "send", ...args], {
      env: { ...process.env, OPENZFS_VM_RUN: running.run },
      input: "",
      maxBuffer: 64 * MIB,
    });
    return sha256(stdout);
  }

  test("increments from a snapshot, a bookmark and with those between are what zfs send writes", async () => {
    const byQuery = {
      "from=@b": ["-i", "@b"],
      "from=%23mark": ["-i", "#mark"],
      [`from=${id}@a&intermediates=1`]: ["-I", "@a"],
    };
    for (const [query, args] of Object.entries(byQuery)) {
      expect(sha256(await streamOf(`id=${id}@c&${query}`)), query).toBe(sendOf(...args, `${VOLUME}@c`));
    }
  });

  test("increments are received, and make what the volume had", async () => {
    const full = await streamOf(`id=${id}@a`);
    expect(receive(full, `${POOL}/one`)).toBe(0);
    expect(receive(await streamOf(`id=${id}@c&from=%23mark`), `${POOL}/one`)).toBe(0);
    expect(receive(full, `${POOL}/all`)).toBe(0);
    expect(receive(await streamOf(`id=${id}@c&from=@a&intermediates=1`), `${POOL}/all`)).toBe(0);
    const wanted = contentOf(`${VOLUME}@c`);
    expect([contentOf(`${POOL}/one@c`), contentOf(`${POOL}/all@c`)]).toEqual([wanted, wanted]);
  });

  test("flags are those of zfs send, and HEAD tells of a stream what its begin says", async () => {
    const byFlags = { compressed: "-c", largeBlock: "-L", embedData: "-e", raw: "-w" };
    for (const [flag, option] of Object.entries(byFlags)) {
      const query = `id=${id}@b&flags=${flag}`;
      expect(sha256(await streamOf(query)), flag).toBe(sendOf(option, `${VOLUME}@b`));
    }
    const query = `id=${id}@c&from=@a&flags=compressed,largeBlock,embedData`;
    const head = await fetch(urlOf(query), { method: "HEAD", headers: { connection: "close" } });
    expect(head.status).toBe(200);
    const begin = (await streamOf(query)).subarray(0, 312);
    expect(head.headers.get("x-to-guid")).toBe(String(begin.readBigUInt64LE(40)));
    expect(head.headers.get("x-from-guid")).toBe(String(begin.readBigUInt64LE(48)));
    expect(head.headers.get("x-to-guid")).toBe(guidOf(`${VOLUME}@c`));
    expect(Math.abs(Number(head.headers.get("x-estimated-bytes")) / (5 * MIB) - 1)).toBeLessThan(0.1);
    const bits = { embed_data: 16n, lz4: 17n, large_blocks: 19n, compressed: 22n, zstd: 25n, raw: 24n };
    const version = begin.readBigUInt64LE(16) >> 2n;
    const stated = Object.entries(bits).flatMap(([name, bit]) => ((version >> bit) & 1n ? [name] : []));
    const told = (head.headers.get("x-stream-features") ?? "").split(",");
    expect(stated.filter((feature) => !told.includes(feature))).toEqual([]);
    expect(told).toContain("compressed");
    await until("the holds are released", () => holdsOf(`${VOLUME}@c`) === "");
  });

  testLong("a token of a receiver that was cut goes on, and one of another snapshot is refused", async () => {
    const stream = await streamOf(`id=${id}@c&from=@a&flags=compressed`);
    expect(receive(await streamOf(`id=${id}@a`), `${POOL}/cut`)).toBe(0);
    expect(receive(stream.subarray(0, 2 * MIB), "-s", `${POOL}/cut`)).not.toBe(0);
    const token = inVm(`zfs get -Hp -o value receive_resume_token ${POOL}/cut`).trim();
    const query = `id=${id}@c&from=@a&resume=${token}`;
    const head = await fetch(urlOf(query), { method: "HEAD", headers: { connection: "close" } });
    expect(head.headers.get("x-stream-features")).toContain("resuming");
    const rest = await streamOf(query);
    expect(rest.length).toBeLessThan(stream.length - MIB);
    expect(receive(rest, "-s", `${POOL}/cut`)).toBe(0);
    expect(contentOf(`${POOL}/cut@c`)).toBe(contentOf(`${VOLUME}@c`));

    const refusals = [
      [`id=guests/g/other@s&resume=${token}`, 403, `resume: the token is not of ${POOL}/guests/g/other@s`],
      [`id=${id}@b&from=@a&resume=${token}`, 403, `resume: the token is not of ${VOLUME}@b`],
      [`id=${id}@c&from=@b&resume=${token}`, 403, "resume: the token's base is not from"],
      [`id=${id}@c&resume=${token}`, 400, "resume: the token is of an increment, so from must name its base"],
      [
        `id=${id}@c&from=@a&resume=${token.replace(/-[0-9a-f]+-/, "-1-")}`,
        400,
        "cannot resume send: resume token is corrupt",
      ],
      [`id=${id}@c&resume=x`, 400, "resume must be a receive_resume_token"],
    ] as const;
    for (const [refused, status, text] of refusals) {
      const reply = await fetch(urlOf(refused), { headers: { connection: "close" } });
      expect([reply.status, await reply.text()], refused).toEqual([status, expect.stringContaining(text)]);
    }
    expect([holdsOf(`${VOLUME}@c`), holdsOf(`${VOLUME}@a`), holdsOf(`${VOLUME}@b`)]).toEqual(["", "", ""]);
    // The same name, another snapshot.
    const gone = `id=${id}@c&from=@a&resume=${token}`;
    await must(daemon.url, "DeleteSnapshot", { id: `${id}@c` });
    expect((await fetch(urlOf(gone), { headers: { connection: "close" } })).status).toBe(404);
    await must(daemon.url, "CreateSnapshot", { id, dest: "c" });
    const renewed = await fetch(urlOf(gone), { headers: { connection: "close" } });
    expect([renewed.status, await renewed.text()]).toEqual([404, expect.stringContaining("is gone")]);
  });

  const open = (query: string) =>
    new Promise<IncomingMessage>((resolve, reject) => {
      get(urlOf(query), { agent: false }, resolve).once("error", reject);
    });

  testLong(
    "the base is held while it is needed, also where the client goes or the send is killed",
    async () => {
      const query = `id=${id}@c&from=@a&rate=65536`;
      for (const end of ["client", "send"]) {
        const reply = await open(query);
        reply.on("error", () => {});
        await new Promise((resolve) => reply.once("data", resolve));
        expect(holdsOf(`${VOLUME}@a`)).toContain("imagestore:");
        const refused = await call(daemon.url, "DeleteSnapshot", { id: `${id}@a` });
        expect(refused.error).toContain("is held");
        const closed = new Promise((resolve) => reply.once("close", resolve));
        if (end === "client") reply.destroy();
        else inVm("ps | grep '[z]fs send -i' | while read pid rest; do kill $pid; done");
        await closed;
        expect(reply.complete).toBe(false);
        await until("both holds are released", () => holdsOf(`${VOLUME}@a`) + holdsOf(`${VOLUME}@c`) === "");
      }
    },
  );

  test("a rate is held within 5 %, by the ring and by the port for bulk downloads", async () => {
    const rate = MIB / 2;
    for (const redirect of ["", "&redirect=1"]) {
      const reply = await fetch(urlOf(`id=${id}@b&rate=${rate}${redirect}`), {
        headers: { connection: "close" },
      });
      let bytes = 0;
      let begunAt = 0;
      for await (const part of reply.body as AsyncIterable<Uint8Array>) {
        begunAt ||= performance.now();
        bytes += part.length;
      }
      const measured = bytes / ((performance.now() - begunAt) / 1000);
      process.stdout.write(`rate ${rate}${redirect}: ${Math.round(measured)} bytes a second\n`);
      expect(measured / rate).toBeLessThan(1.05);
      // What a read brings at once, and sockets hold, is a part of so short a stream.
      expect(measured / rate).toBeGreaterThan(0.95);
    }
  });

  testLong("an embedded pool's increment is received by zfs and has the same content", async () => {
    await receiveEmbedded(receive, contentOf);
  });
});

/** Sends a full stream and an increment of an embedded pool to `zfs receive`. */
async function receiveEmbedded(
  receive: (stream: Buffer, ...args: readonly string[]) => number | null,
  contentOf: (snapshot: string) => string,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  const daemon = await startDaemonProcess({
    listen: { port: 0 },
    pools: [{ name: "emb", driver: "embedded", folder: join(folder, "pool") }],
    dataDir: join(folder, "records"),
    log: { level: "error" },
  });
  try {
    const id = "guests/g/disk";
    const { volumes } = await must<{ volumes: { device: string }[] }>(daemon.url, "CreateVolume", {
      id,
      size: 8,
    });
    const device = volumes[0]?.device ?? "";
    const write = async (at: number, data: Buffer) => {
      await using file = await openFile(device, "r+");
      await file.write(data, 0, data.length, at);
    };
    // `receive` keeps this process busy for so long that the daemon would close a connection that is kept.
    const headers = { connection: "close" };
    const streamOf = async (query: string) => {
      const reply = await fetch(`${daemon.url}/snapshots/download?${query}`, { headers });
      return Buffer.from(await reply.arrayBuffer());
    };
    await write(0, Buffer.alloc(3 * MIB, 1));
    await must(daemon.url, "CreateSnapshot", { id, dest: "a" });
    await must(daemon.url, "CreateBookmark", { id: `${id}@a`, dest: "mark" });
    await write(MIB, Buffer.alloc(MIB));
    await write(5 * MIB, Buffer.alloc(MIB, 3));
    await must(daemon.url, "ResizeVolume", { id, size: 12 });
    await must(daemon.url, "CreateSnapshot", { id, dest: "b" });
    const wanted = createHash("sha256").update(readFileSync(device)).digest("hex");
    const full = await streamOf(`id=${id}@a`);
    expect(receive(full, `${POOL}/emb1`)).toBe(0);
    expect(receive(await streamOf(`id=${id}@b&from=@a`), `${POOL}/emb1`)).toBe(0);
    await must(daemon.url, "DeleteSnapshot", { id: `${id}@a` });
    const byBookmark = await streamOf(`id=${id}@b&from=%23mark`);
    expect(receive(full, `${POOL}/emb2`)).toBe(0);
    expect(receive(byBookmark, `${POOL}/emb2`)).toBe(0);
    expect([contentOf(`${POOL}/emb1@b`), contentOf(`${POOL}/emb2@b`)]).toEqual([wanted, wanted]);
  } finally {
    await daemon.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}
