import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bytes, type ImageService, openImageService } from "../conformance/image-service.js";
import { type DaemonProcess, freePort, startDaemonProcess } from "../support/daemon.js";
import { createRandomSnapshot } from "../support/random-snapshot.js";
import { call, type Images, must } from "../support/rpc.js";
import { until } from "../support/until.js";

const MIB = 1_048_576;
const IMAGE_MIB = 24;
const QUOTA_MIB = 40;

describe("a fetch into a pool with little room", () => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  const incoming = join(folder, "tank", "incoming");
  let service: ImageService;
  let daemon: DaemonProcess;
  let stream: Buffer;

  const request = (id: string) => call<Images>(daemon.url, "RequestImage", { id });
  /** What the fetches have taken of the disk. */
  const takenBytes = () => {
    // Files come and go meanwhile.
    const du = `du -s --block-size=1 ${incoming} 2>/dev/null || true`;
    return Number.parseInt(execFileSync("sh", ["-c", du], { encoding: "utf8" }), 10);
  };

  beforeAll(async () => {
    const port = await freePort();
    service = await openImageService(port);
    daemon = await startDaemonProcess({
      listen: { port: 0 },
      pools: [
        { name: "tank", driver: "embedded", folder: join(folder, "tank"), quotaBytes: QUOTA_MIB * MIB },
        { name: "source", driver: "embedded", folder: join(folder, "source") },
      ],
      imageService: `127.0.0.1:${port}`,
      dataDir: join(folder, "records"),
    });
    await createRandomSnapshot(daemon.url, "source/seed@s", IMAGE_MIB);
    const sent = await fetch(`${daemon.url}/snapshots/download?id=source/seed@s`);
    stream = Buffer.from(await sent.arrayBuffer());
    service.serve("whole", bytes(stream));
  }, 60_000);
  afterAll(async () => {
    await daemon?.stop();
    await service?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test("ends before it takes what a thick volume was promised, says how much that is, and leaves nothing", async () => {
    const thickMib = 30;
    await must(daemon.url, "CreateVolume", { id: "thick", size: thickMib });
    let most = 0;
    const requested = request("whole");
    let hasEnded = false;
    void requested.finally(() => {
      hasEnded = true;
    });
    await until("it has ended", () => {
      most = Math.max(most, takenBytes() || 0);
      return hasEnded;
    });
    const { error } = await requested;
    const [, needed, free] =
      /^no space left on device: it needs at least (\d+) bytes, and (\d+) are free and not promised$/.exec(
        error ?? "",
      ) ?? [];
    expect(Number(free), error ?? "").toBeGreaterThan(0);
    expect(Number(free)).toBeLessThanOrEqual((QUOTA_MIB - thickMib) * MIB);
    expect(Number(needed)).toBeGreaterThan(Number(free));
    // Its folder and the two files in which it agrees on room take some blocks.
    expect(most).toBeLessThanOrEqual((QUOTA_MIB - thickMib) * MIB + 65_536);
    expect(readdirSync(incoming)).toEqual([]);
    await must(daemon.url, "DeleteDataset", { id: "thick" });
    expect((await request("whole")).error).toBeNull();
    await must(daemon.url, "DeleteImage", { id: "whole" });
  });

  test("counts as it grows: no volume is promised what it has taken, and others get the rest", async () => {
    let finish = () => {};
    const half = stream.length / 2;
    service.serve("slow", (_request, response) => {
      response.writeHead(200, { "Content-Length": stream.length });
      response.write(stream.subarray(0, half));
      finish = () => void response.end(stream.subarray(half));
    });
    const requested = request("slow");
    await until("half of it is there", () => takenBytes() > half - 2 * MIB);
    const refused = await call(daemon.url, "CreateVolume", { id: "large", size: QUOTA_MIB - 8 });
    expect(refused.error).toBe("no space left on device");
    await must(daemon.url, "CreateVolume", { id: "small", size: 8 });
    finish();
    expect((await requested).error).toBeNull();
    const after = await call(daemon.url, "CreateVolume", { id: "rest", size: QUOTA_MIB - IMAGE_MIB - 8 - 1 });
    expect(after.error).toBeNull();
  });
});
