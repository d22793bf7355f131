import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { request } from "undici";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type DaemonProcess, startDaemonProcess } from "../support/daemon.js";
import { must, type Snapshots, type Volumes } from "../support/rpc.js";
import { transportNames } from "../support/transports.js";
import { until } from "../support/until.js";

const OURS = /^[0-9a-f]{12}-[0-9a-z]+$/;

describe.each(transportNames)("request ids over %s", (transport) => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  let daemon: DaemonProcess;

  beforeAll(async () => {
    daemon = await startDaemonProcess({
      listen: { port: 0, transport },
      pools: [{ name: "tank", driver: "embedded", folder: join(folder, "pool") }],
      dataDir: join(folder, "records"),
      log: { level: "info" },
    });
    await must<Volumes>(daemon.url, "CreateVolume", { id: "v", size: 1 });
    await must<Snapshots>(daemon.url, "CreateSnapshot", { id: "v", dest: "s" });
  });
  afterAll(async () => {
    await daemon?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  type Options = Parameters<typeof request>[1];
  async function idOf(path: string, id: string | undefined, options: Options = {}): Promise<unknown> {
    const headers = {
      "content-type": "application/json",
      ...(id === undefined ? {} : { "x-request-id": id }),
    };
    const { headers: answered, body } = await request(`${daemon.url}${path}`, {
      ...options,
      headers: { ...headers, ...options?.headers },
    });
    await body.dump();
    return answered["x-request-id"];
  }
  const rpc = (method: string, params: object) => JSON.stringify({ jsonrpc: "2.0", method, params, id: 1 });
  /** The lines of the log with this request id. */
  const linesOf = (id: string): Record<string, unknown>[] =>
    daemon
      .log()
      .split("\n")
      .filter((line) => line.includes(id))
      .map((line) => JSON.parse(line));

  test.each<[string, string, Options]>([
    ["a call", "/rpc", { method: "POST", body: rpc("GetVolume", { id: "v" }) }],
    ["a batch", "/rpc", { method: "POST", body: `[${rpc("ListVolumes", {})}]` }],
    [
      "a call that fails",
      "/_mistify_RPC_",
      { method: "POST", body: '{"method":"ImageStore.GetVolume","params":[{}],"id":1}' },
    ],
    ["a malformed call", "/_mistify_RPC_", { method: "POST", body: "{" }],
    ["a notification", "/rpc", { method: "POST", body: '{"jsonrpc":"2.0","method":"ListVolumes"}' }],
    ["a download", "/snapshots/download?id=v@s", { method: "GET" }],
    ["a refused download", "/snapshots/download?id=v@none", { method: "GET" }],
    ["a probe", "/readyz", { method: "GET" }],
    ["an unknown path", "/nowhere", { method: "GET" }],
    ["a refused verb", "/readyz", { method: "DELETE" }],
    [
      "a refused page",
      "/rpc",
      { method: "POST", body: "{}", headers: { origin: "http://elsewhere.example" } },
    ],
    ["a HEAD", "/healthz", { method: "HEAD" }],
  ])("%s has its client's id in the reply, or one of ours", async (_what, path, options) => {
    expect(await idOf(path, "client-7/a:b", options)).toBe("client-7/a:b");
    const ours = [await idOf(path, undefined, options), await idOf(path, undefined, options)];
    for (const id of ours) expect(id).toMatch(OURS);
    expect(new Set(ours).size).toBe(2);
  });

  test.each(["with space", 'quo"te', "back\\slash", "x".repeat(129)])("%j is not taken over", async (id) => {
    expect(await idOf("/healthz", id, { method: "GET" })).toMatch(OURS);
    expect(await idOf("/healthz", "x".repeat(128), { method: "GET" })).toBe("x".repeat(128));
  });

  test("every line of a call, of a failed change and of a download has it, and the peer", async () => {
    await idOf("/rpc", "id-of-read", { method: "POST", body: rpc("GetVolume", { id: "v" }) });
    await idOf("/rpc", "id-of-batch", {
      method: "POST",
      body: `[${rpc("GetVolume", { id: "v" })},${rpc("ListVolumes", {})}]`,
    });
    await idOf("/rpc", "id-of-change", { method: "POST", body: rpc("DeleteDataset", { id: "none" }) });
    await idOf("/snapshots/download?id=v@s", "id-of-download", { method: "GET" });
    await until("the download is logged", () => linesOf("id-of-download").length > 0);
    const known = { peer: expect.stringContaining("127.0.0.1"), pool: "tank" };
    expect(linesOf("id-of-read")).toMatchObject([{ ...known, method: "GetVolume", requestId: "id-of-read" }]);
    expect(linesOf("id-of-batch")).toHaveLength(2);
    expect(linesOf("id-of-change")).toMatchObject([
      { ...known, level: 40, msg: "a change failed", requestId: "id-of-change", code: "dataset.not_found" },
    ]);
    expect(linesOf("id-of-download")).toMatchObject([{ ...known, method: "download", code: "ok" }]);
  });
});
