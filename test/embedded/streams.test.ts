import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bytes, type ImageService, openImageService } from "../conformance/image-service.js";
import { asCompressed } from "../conformance/zfs-stream.js";
import { CLI, type DaemonProcess, freePort, startDaemonProcess } from "../support/daemon.js";
import { descendantsOf } from "../support/processes.js";
import { call, type Images, must, type Snapshots, type Volumes } from "../support/rpc.js";
import { isAlive, until } from "../support/until.js";

const MIB = 1_048_576;
const DISK_MIB = 64;
const READERS = 8;
const RSS_LIMIT_BYTES = 250 * MIB;

interface Guest {
  readonly guest: { readonly disks: readonly { readonly source: string; readonly volume: string }[] };
}

describe("streams of an embedded pool", () => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  const poolFolder = join(folder, "pool");
  const data = randomBytes(DISK_MIB * MIB);
  let port: number;
  let service: ImageService;
  let daemon: DaemonProcess;
  let stream: Buffer;

  const start = () =>
    startDaemonProcess({
      listen: { port: 0 },
      pools: [{ name: "tank", driver: "embedded", folder: poolFolder }],
      imageService: `127.0.0.1:${port}`,
      dataDir: join(folder, "records"),
    });
  const download = async (id: string): Promise<Buffer> => {
    const response = await fetch(`${daemon.url}/snapshots/download?id=${id}`);
    expect(response.status).toBe(200);
    return Buffer.from(await response.arrayBuffer());
  };
  /** pids of the processes that the daemon has running for `script`. */
  const processes = (script: "send" | "receive"): number[] =>
    descendantsOf(daemon.pid, `embedded/${script}-process.js`);
  const device = async (id: string): Promise<string> => {
    const { volumes } = await must<Volumes>(daemon.url, "GetVolume", { id });
    return volumes[0]?.device ?? "";
  };

  beforeAll(async () => {
    port = await freePort();
    service = await openImageService(port);
    daemon = await start();
    await must(daemon.url, "CreateVolume", { id: "seed", size: DISK_MIB });
    {
      await using file = await open(await device("seed"), "r+");
      await file.write(data);
    }
    await must(daemon.url, "CreateSnapshot", { id: "seed", dest: "golden" });
    stream = await download("seed@golden");
  });
  afterAll(async () => {
    expect(await daemon.stop()).toBe(0);
    await service.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test("a guest's disk has the bytes of the snapshot that its image was made of", async () => {
    service.serve("golden", bytes(stream));
    await must(daemon.url, "RequestImage", { id: "golden", type: "kvm" });
    const disks = [{ image: "golden" }];
    const { guest } = await must<Guest>(daemon.url, "CreateGuestDisks", { guest: { id: "g", disks } });
    const source = guest.disks[0]?.source ?? "";
    expect(readFileSync(source).equals(data)).toBe(true);
    writeFileSync(source, "the guest was here", { flag: "r+" });
    await must(daemon.url, "CreateSnapshot", { id: "guests/g/disk-0", dest: "s" });
    const unpacked = join(folder, "unpacked.raw");
    const file = join(folder, "g.zfs");
    writeFileSync(file, await download("guests/g/disk-0@s"));
    execFileSync(process.execPath, [CLI, "image", "unpack", file, "-o", unpacked]);
    expect(readFileSync(unpacked).equals(readFileSync(source))).toBe(true);
    expect(readFileSync(source).subarray(MIB).equals(data.subarray(MIB))).toBe(true);
  });

  test("an image that only OpenZFS could take is refused with the reason and what to do", async () => {
    await must(daemon.url, "CreateVolume", { id: "small", size: 4 });
    writeFileSync(await device("small"), randomBytes(65_536), { flag: "r+" });
    await must(daemon.url, "CreateSnapshot", { id: "small", dest: "s" });
    const zstd = 16;
    service.serve("zstd", bytes(asCompressed(await download("small@s"), zstd)));
    const { error } = await call(daemon.url, "RequestImage", { id: "zstd", type: "kvm" });
    expect(error).toMatch(
      /^no usable ZFS stream: .*its data is compressed with zstd; send it without -c, or with compression lz4 or gzip/,
    );
    expect((await call<Images>(daemon.url, "GetImage", { id: "zstd" })).error).toBe("not found");
    await must(daemon.url, "DeleteDataset", { id: "small" });
  });

  test("a filesystem's snapshot is not sent, and the answer says why", async () => {
    await must(daemon.url, "CreateSnapshot", { id: "tank", dest: "all", recursive: true });
    const response = await fetch(`${daemon.url}/snapshots/download?id=tank@all`);
    expect(response.status).toBe(400);
    expect(await response.text()).toContain("can't send tank@all: the embedded driver sends volumes only");
    expect((await download("seed@all")).length).toBeGreaterThan(DISK_MIB * MIB);
    await must(daemon.url, "DeleteSnapshot", { id: "tank@all", recursive: true });
  });

  test("a send that is killed resets its download", async () => {
    let received = 0;
    const failed = new Promise<Error>((resolve) => {
      request(`${daemon.url}/snapshots/download?id=seed@golden`, (response) => {
        response.pause();
        response.once("readable", () => {
          const [pid] = processes("send");
          expect(pid).toBeGreaterThan(0);
          process.kill(pid as number, "SIGKILL");
          response.on("data", (chunk: Buffer) => {
            received += chunk.length;
          });
        });
        response.once("error", resolve);
        response.once("end", () => resolve(new Error("a clean end")));
      })
        // Some releases of Node tell the request of the reset as well.
        .on("error", () => {})
        .end();
    });
    expect((await failed).message).toBe("aborted");
    expect(received).toBeLessThan(stream.length);
    await until("the hold is released", async () => {
      const { error } = await call(daemon.url, "DeleteSnapshot", { id: "seed@golden-not" });
      return error === "not found" && processes("send").length === 0;
    });
  });

  test("a client that goes away ends the process that sends to it", async () => {
    const outgoing = request(`${daemon.url}/snapshots/download?id=seed@golden`, (response) => {
      response.once("readable", () => outgoing.destroy());
    });
    const gone = new Promise((resolve) => outgoing.once("close", resolve));
    outgoing.on("error", () => {}).end();
    await gone;
    await until("the process has ended", () => processes("send").length === 0);
  });

  test("a receive that is killed is an error, leaves nothing, and the next request succeeds", async () => {
    let finish = () => {};
    service.serve("killed", (_request, response) => {
      response.writeHead(200, { "Content-Length": stream.length });
      response.write(stream.subarray(0, stream.length / 2));
      finish = () => void response.end(stream.subarray(stream.length / 2));
    });
    const requested = call<Images>(daemon.url, "RequestImage", { id: "killed" });
    await until("it receives", () => processes("receive").length === 1);
    process.kill(processes("receive")[0] as number, "SIGKILL");
    expect((await requested).error).toMatch(/killed by SIGKILL/);
    expect(readdirSync(join(poolFolder, "incoming"))).toEqual([]);
    finish();
    service.serve("killed", bytes(stream));
    await must(daemon.url, "RequestImage", { id: "killed" });
    await must(daemon.url, "DeleteImage", { id: "killed" });
  });

  test("a daemon that is killed in mid-receive starts without a trace of it", async () => {
    service.serve("half", (_request, response) => {
      response.writeHead(200, { "Content-Length": stream.length });
      response.write(stream.subarray(0, stream.length / 2));
    });
    const requested = call(daemon.url, "RequestImage", { id: "half" }).catch((error: Error) => error);
    const [before] = [await must<Volumes>(daemon.url, "ListVolumes", {})];
    await until("it receives", () => processes("receive").length === 1);
    const [receiver] = processes("receive");
    daemon.process.kill("SIGKILL");
    expect(await requested).toBeInstanceOf(Error);
    await daemon.exited;
    await until("the receiver has noticed", () => !isAlive(receiver as number));
    daemon = await start();
    expect(await must<Volumes>(daemon.url, "ListVolumes", {})).toEqual(before);
    expect(readdirSync(join(poolFolder, "incoming"))).toEqual([]);
    expect((await call(daemon.url, "GetImage", { id: "half" })).error).toBe("not found");
    expect((await download("seed@golden")).equals(stream)).toBe(true);
  });

  test("many downloads at once have the same bytes, and the daemon's memory stays flat", async () => {
    /** Of a body as it comes: to keep all of them would take longer than to send them. */
    const digest = async (body: AsyncIterable<Uint8Array>) => {
      const hash = createHash("sha256");
      for await (const piece of body) hash.update(piece);
      return hash.digest("hex");
    };
    let highestRss = 0;
    const watch = setInterval(() => {
      const [, kib = "0"] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${daemon.pid}/status`, "utf8")) ?? [];
      highestRss = Math.max(highestRss, Number(kib) * 1024);
    }, 20);
    const senders = new Set<number>();
    const count = setInterval(() => {
      for (const pid of processes("send")) senders.add(pid);
    }, 50);
    const bodies = await Promise.all(
      Array.from({ length: READERS }, async () => {
        const { body } = await fetch(`${daemon.url}/snapshots/download?id=seed@golden`);
        return digest(body ?? Readable.from([]));
      }),
    );
    clearInterval(watch);
    clearInterval(count);
    // They start together, so they share a process, but for one that comes late or lags.
    expect(senders.size).toBeGreaterThan(0);
    expect(senders.size).toBeLessThan(READERS);
    expect(new Set(bodies)).toEqual(new Set([await digest(Readable.from([stream]))]));
    expect(highestRss).toBeGreaterThan(0);
    expect(highestRss).toBeLessThan(RSS_LIMIT_BYTES);
    const { snapshots } = await must<Snapshots>(daemon.url, "DeleteSnapshot", { id: "seed@golden" });
    expect(snapshots.map(({ id }) => id)).toEqual(["tank/seed@golden"]);
  });
});
