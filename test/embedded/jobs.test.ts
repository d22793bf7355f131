import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type DaemonProcess, startDaemonProcess } from "../support/daemon.js";
import { call, must } from "../support/rpc.js";
import { until } from "../support/until.js";

interface Job {
  readonly id: string;
  readonly method: string;
  readonly dataset: string;
  readonly state: string;
  readonly phase: string | null;
  readonly bytes: number;
}

interface Jobs {
  readonly jobs: readonly Job[];
}

describe("jobs", () => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-jobs-"));
  /** An image service that sends half of the image, and the rest when it is let go on. */
  let service: Server;
  const held = new Map<string, ServerResponse>();
  let daemon: DaemonProcess;
  let stream = Buffer.alloc(0);

  beforeAll(async () => {
    service = createServer((request, response) => {
      const [, id = ""] = /^\/images\/([^/]+)\/download$/.exec(request.url ?? "") ?? [];
      response.writeHead(200, { "Content-Length": stream.length });
      response.write(stream.subarray(0, stream.length / 2));
      held.set(id, response);
    });
    await new Promise<void>((resolve) => service.listen(0, "127.0.0.1", resolve));
    daemon = await startDaemonProcess({
      listen: { port: 0, bulk: { port: 0 } },
      pools: [{ name: "tank", driver: "embedded", folder: join(folder, "tank") }],
      imageService: `127.0.0.1:${(service.address() as AddressInfo).port}`,
      dataDir: join(folder, "data"),
    });
    await must(daemon.url, "CreateVolume", { id: "seed", size: 64 });
    await must(daemon.url, "CreateSnapshot", { id: "seed", dest: "s" });
    const response = await fetch(`${daemon.url}/snapshots/download?id=seed@s`);
    stream = Buffer.from(await response.arrayBuffer());
  });
  afterAll(async () => {
    await daemon?.stop();
    service?.closeAllConnections();
    service?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const goOn = (id: string) => held.get(id)?.end(stream.subarray(stream.length / 2));
  const list = async (params: object = {}) => (await must<Jobs>(daemon.url, "ListJobs", params)).jobs;

  test("a fetch is one while it lasts, with the bytes that have come", async () => {
    const requested = must(daemon.url, "RequestImage", { id: "slow" });
    await until("half of the image has come", async () => {
      const [job] = await list({ method: "RequestImage" });
      return job?.phase === "receiving" && job.bytes === Math.floor(stream.length / 2);
    });
    const [job] = await list({ state: "running" });
    expect(job).toMatchObject({ method: "RequestImage", pool: "tank", dataset: "tank/images/slow" });
    expect(await must<Jobs>(daemon.url, "GetJob", { id: job?.id })).toMatchObject({
      jobs: [{ id: job?.id }],
    });
    expect(await list({ state: "failed" })).toEqual([]);
    goOn("slow");
    await requested;
    expect(await list({ state: "running" })).toEqual([]);
  });

  test("one that nobody knows is not found, and a state that there is not is refused", async () => {
    expect((await call(daemon.url, "GetJob", { id: "none" })).error).toBe("not found");
    expect((await call(daemon.url, "GetJob", {})).error).toBe("need an id");
    expect((await call(daemon.url, "ListJobs", { state: "lost" })).error).toBe("not a state of jobs");
    expect((await call(daemon.url, "ListJobs", { pool: "other" })).error).toContain("no such pool");
  });
});
