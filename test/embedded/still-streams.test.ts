import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { WorkReport } from "../../src/protocol/threads/work-report.js";
import { bytes, type ImageService, openImageService } from "../conformance/image-service.js";
import { type DaemonProcess, freePort, startDaemonProcess } from "../support/daemon.js";
import { descendantsOf } from "../support/processes.js";
import { createRandomSnapshot } from "../support/random-snapshot.js";
import { call, type Images } from "../support/rpc.js";
import { until } from "../support/until.js";

/** More than the pipes and the ring hold. */
const DISK_MIB = 48;

describe("a stream whose process is stopped", () => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  let service: ImageService;
  let daemon: DaemonProcess;
  let stream: Buffer;

  const download = () => fetch(`${daemon.url}/snapshots/download?id=seed@golden`);
  /** The late work of the pool, and whether it takes work all the same. */
  const readiness = async () => {
    const response = await fetch(`${daemon.url}/readyz`);
    const { late } = (await response.json()) as { late?: { tank?: readonly WorkReport[] } };
    return { status: response.status, late: late?.tank ?? [] };
  };
  const lateWork = async (name: string): Promise<WorkReport> => {
    let found: WorkReport | undefined;
    await until(`${name} is late`, async () => {
      const { status, late } = await readiness();
      expect(status).toBe(200);
      found = late.find((work) => work.name === name);
      return found !== undefined;
    });
    return found as WorkReport;
  };
  const nothingLate = () => until("nothing is late", async () => (await readiness()).late.length === 0);
  const stop = async (script: "send" | "receive"): Promise<number> => {
    let pid: number | undefined;
    await until(`it ${script}s`, () => {
      [pid] = descendantsOf(daemon.pid, `embedded/${script}-process.js`);
      return pid !== undefined;
    });
    process.kill(pid as number, "SIGSTOP");
    return pid as number;
  };

  beforeAll(async () => {
    const port = await freePort();
    service = await openImageService(port);
    daemon = await startDaemonProcess({
      listen: { port: 0 },
      pools: [{ name: "tank", driver: "embedded", folder: join(folder, "pool") }],
      imageService: `127.0.0.1:${port}`,
      dataDir: join(folder, "records"),
      timeouts: { commandMs: 1_000, lateMs: 1_000 },
    });
    await createRandomSnapshot(daemon.url, "seed@golden", DISK_MIB);
    stream = Buffer.from(await (await download()).arrayBuffer());
  }, 60_000);
  afterAll(async () => {
    await daemon?.stop();
    await service?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test("a receive: its fetch is named late, and is whole when the process goes on", async () => {
    service.serve("golden", bytes(stream));
    const requested = call<Images>(daemon.url, "RequestImage", { id: "golden" });
    const pid = await stop("receive");
    const { waitsFor, datasets } = await lateWork("RequestImage");
    expect(datasets).toEqual(["golden"]);
    expect(waitsFor).toMatchObject([{ kind: "stream" }]);
    expect(waitsFor[0]?.stillMs).toBeGreaterThanOrEqual(2_000);
    await expect.poll(() => daemon.log()).toContain("an operation is late");
    process.kill(pid, "SIGCONT");
    expect((await requested).error).toBeNull();
    await nothingLate();
    await expect.poll(() => daemon.log()).toMatch(/"a late operation (?:goes on|has ended)"/);
  });

  test("a send: its download is named late, and is whole when the process goes on", async () => {
    const response = await download();
    const pid = await stop("send");
    const body = response.arrayBuffer();
    const { waitsFor, datasets, requestId } = await lateWork("download");
    expect(requestId).toBe(response.headers.get("x-request-id"));
    expect(datasets).toEqual(["tank/seed@golden"]);
    expect(waitsFor).toMatchObject([{ kind: "stream", what: "bytes of tank/seed@golden" }]);
    expect(await (await fetch(`${daemon.url}/metrics`)).text()).toContain(
      'imagestore_operations_late{pool="tank"} 1',
    );
    process.kill(pid, "SIGCONT");
    expect(Buffer.from(await body).equals(stream)).toBe(true);
    await nothingLate();
    await expect
      .poll(() => daemon.log())
      .toMatch(/"a download is late"[\s\S]*"a late download (?:goes on|has ended)"/);
  });
});
