import { mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type DaemonProcess, startDaemonProcess } from "../support/daemon.js";
import { call, must } from "../support/rpc.js";
import { until } from "../support/until.js";

const MIB = 1024 * 1024;

describe("a volume's file that something has cut short", () => {
  let folder: string;
  let daemon: DaemonProcess;
  const volumes = () => join(folder, "pool", "volumes");

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
    const pools = [{ name: "tank", driver: "embedded", folder: join(folder, "pool") }];
    daemon = await startDaemonProcess({ listen: { port: 0 }, pools, dataDir: join(folder, "records") });
    await must(daemon.url, "CreateVolume", { id: "v", size: 4 });
    const [file = ""] = readdirSync(volumes());
    writeFileSync(join(volumes(), file), Buffer.alloc(4 * MIB, "v"));
    await must(daemon.url, "CreateSnapshot", { id: "v", dest: "s" });
    await must(daemon.url, "CreateSnapshot", { id: "v", dest: "t" });
    // The snapshot t, which is the newest, and the volume itself.
    const files = readdirSync(volumes());
    for (const each of files) truncateSync(join(volumes(), each), 4 * MIB - 4096);
  });
  afterAll(async () => {
    await daemon.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const damaged = /is damaged: its file has 4190208 of 4194304 bytes/;

  test.each([
    ["a snapshot", "CreateSnapshot", { id: "v", dest: "u" }],
    ["a rollback", "RollbackSnapshot", { id: "v@t" }],
  ])("is not copied by %s, with what is missing as zeros", async (_name, method, params) => {
    const before = readdirSync(volumes()).sort();
    expect((await call(daemon.url, method, params)).error).toMatch(damaged);
    expect(readdirSync(volumes()).sort()).toEqual(before);
  });

  test("is not sent as if it were whole", async () => {
    const response = await fetch(`${daemon.url}/snapshots/download?id=v@s`);
    expect(response.status).not.toBe(200);
    expect(await response.text()).not.toBe("");
    await until("the log says why", () => damaged.test(daemon.log()));
  });

  test("can still be deleted", async () => {
    for (const id of ["v@s", "v@t"]) await must(daemon.url, "DeleteSnapshot", { id });
    await must(daemon.url, "DeleteDataset", { id: "v" });
    expect(readdirSync(volumes())).toEqual([]);
  });
});
