import { execFileSync } from "node:child_process";
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sendVolume } from "../../src/protocol/raw-disk/send-volume.js";
import { bytes, type ImageService, openImageService } from "../conformance/image-service.js";
import { CLI, type DaemonProcess, freePort, startDaemonProcess } from "../support/daemon.js";
import { call, must, type Snapshots, type Volumes } from "../support/rpc.js";

const TIB = 2 ** 40;
const FOUR_TIB_MIB = 4 * 2 ** 20;
/** To read the holes of 4 TiB takes 18 minutes at 4 GB/s. */
const LIMIT_MS = 30_000;
const WORDS = "all of its data";

/** The stream of a volume of 4 TiB with a few bytes of data, about 19 kB. */
async function makeStream(folder: string): Promise<Buffer> {
  const file = join(folder, "disk");
  writeFileSync(file, WORDS);
  truncateSync(file, 4 * TIB);
  const pieces: Uint8Array[] = [];
  await sendVolume({
    file,
    dataRanges: [{ start: 0, end: 4096 }],
    stream: {
      toName: "pool/vast@s",
      toGuid: 77n,
      fromGuid: 0n,
      creationTime: 1_700_000_000n,
      volsize: BigInt(4 * TIB),
      volblocksize: 16384,
    },
    write: (chunk) => void pieces.push(Uint8Array.from(chunk)),
  });
  return Buffer.concat(pieces);
}

async function timed<T>(what: string, work: () => Promise<T>): Promise<T> {
  const begun = performance.now();
  const result = await work();
  const ms = performance.now() - begun;
  expect(ms, `${what} took ${Math.round(ms)} ms`).toBeLessThan(LIMIT_MS);
  return result;
}

describe("an image of a few bytes that claims 4 TiB", () => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  let service: ImageService;
  let daemon: DaemonProcess;

  beforeAll(async () => {
    const port = await freePort();
    service = await openImageService(port);
    service.serve("vast", bytes(await makeStream(folder)));
    daemon = await startDaemonProcess({
      listen: { port: 0 },
      pools: [
        { name: "large", driver: "embedded", folder: join(folder, "large") },
        { name: "small", driver: "embedded", folder: join(folder, "small"), quotaBytes: 2 ** 30 },
      ],
      imageService: `127.0.0.1:${port}`,
      dataDir: join(folder, "records"),
    });
  });
  afterAll(async () => {
    await daemon.stop();
    await service.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test("is fetched, cloned, snapshotted, rolled back, sent and deleted without its holes being read", async (context) => {
    const { url } = daemon;
    const { blocks, bsize } = statfsSync(folder);
    if (blocks * bsize * 64 < 4 * TIB) return context.skip("a pool here takes no volume of 4 TiB");
    await timed("fetch", () => must(url, "RequestImage", { id: "vast", type: "kvm" }));
    const cloned = await timed("clone", () => must<Volumes>(url, "CloneImage", { id: "vast", dest: "c" }));
    const [volume] = cloned.volumes;
    expect(volume?.size).toBe(FOUR_TIB_MIB);
    const device = volume?.device ?? "";
    {
      await using file = await open(device, "r+");
      const { buffer } = await file.read(Buffer.alloc(WORDS.length), 0, WORDS.length, 0);
      expect(buffer.toString()).toBe(WORDS);
      await file.write("and more", 3 * TIB);
    }
    await timed("snapshot", () => must<Snapshots>(url, "CreateSnapshot", { id: "c", dest: "s" }));
    await timed("rollback", () => must(url, "RollbackSnapshot", { id: "c@s" }));
    const stream = await timed("download", async () => {
      const response = await fetch(`${url}/snapshots/download?id=c@s`);
      expect(response.status).toBe(200);
      return Buffer.from(await response.arrayBuffer());
    });
    expect(stream.includes("and more")).toBe(true);
    expect(stream.length).toBeLessThan(1_000_000);
    const file = join(folder, "c.zfs");
    writeFileSync(file, stream);
    const unpacked = join(folder, "c.raw");
    execFileSync(process.execPath, [CLI, "image", "unpack", file, "-o", unpacked]);
    expect(statSync(unpacked).size).toBe(4 * TIB);
    await timed("delete", () => must(url, "DeleteDataset", { id: "c" }));
    await timed("delete the image", () => must(url, "DeleteImage", { id: "vast" }));
  });

  test("is refused by a pool that could never hold it, with both sizes, and nothing is left", async () => {
    const { url } = daemon;
    const { error } = await call(url, "RequestImage", { id: "vast", pool: "small" });
    expect(error).toBe(
      `no space left on device: a volume of at least ${4 * TIB} bytes, and pool small takes none of more than ${64 * 2 ** 30}`,
    );
    expect((await must<Volumes>(url, "ListVolumes", { pool: "small" })).volumes).toEqual([]);
    for (const name of ["incoming", "volumes"]) expect(readdirSync(join(folder, "small", name))).toEqual([]);
    expect(readFileSync(join(folder, "small", "pool.db")).length).toBeGreaterThan(0);
  });
});
