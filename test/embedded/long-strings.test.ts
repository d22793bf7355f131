import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type DaemonProcess, startDaemonProcess } from "../support/daemon.js";
import { must, type Volumes } from "../support/rpc.js";

const MIB = 1_048_576;
/** For the many requests: tests share the machine. */
const MEMBER = "abcdefg<".repeat(MIB / 2);
/** With all that has to be escaped in a request or in a reply. */
const ESCAPED = 'ab<c"\\\n>'.repeat(2 * MIB);

interface Reply20 {
  readonly id: unknown;
  readonly result?: Readonly<Record<string, unknown>>;
  readonly error?: {
    readonly code: number;
    readonly message: string;
    readonly data: { readonly reason: string; readonly detail?: string };
  };
}

/** Each member of each method that is a string, in a request that is good but for it. */
const REQUESTS: readonly (readonly [method: string, params: object])[] = [
  ["ListImages", { type: MEMBER }],
  ["ListImages", { after: MEMBER }],
  ["GetImage", { id: MEMBER }],
  ["RequestImage", { id: MEMBER }],
  ["RequestImage", { id: "i", type: MEMBER }],
  ["RequestImage", { id: "i", source: MEMBER }],
  ["DeleteImage", { id: MEMBER }],
  ["CloneImage", { id: MEMBER, dest: "w" }],
  ["CloneImage", { id: "i", dest: MEMBER }],
  ["ListVolumes", { pool: MEMBER }],
  ["ListVolumes", { after: MEMBER }],
  ["CreateVolume", { id: MEMBER, size: 1 }],
  ["GetVolume", { id: MEMBER }],
  ["DeleteDataset", { id: MEMBER }],
  ["ListSnapshots", { id: MEMBER }],
  ["GetSnapshot", { id: `v@${MEMBER}` }],
  ["CreateSnapshot", { id: "v", dest: MEMBER }],
  ["RollbackSnapshot", { id: MEMBER }],
  ["VerifyDisks", { guest: { id: MEMBER, disks: [{ size: 1 }] } }],
  ["CreateGuestDisks", { guest: { id: "g", disks: [{ image: MEMBER }] } }],
  ["DeleteGuestsDisks", { guest: { id: "g", metadata: { [MEMBER]: "" } }, action: MEMBER }],
  ["GetPool", { id: MEMBER }],
  [MEMBER, {}],
  ["ListVolumes", { [MEMBER]: 1 }],
];

describe("long strings, with limits.bodyBytes raised", () => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  let daemon: DaemonProcess;

  beforeAll(async () => {
    daemon = await startDaemonProcess({
      listen: { port: 0 },
      pools: [{ name: "tank", driver: "embedded", folder: join(folder, "pool") }],
      dataDir: join(folder, "records"),
      limits: { bodyBytes: 64 * MIB, replyBytes: 256 * MIB },
    });
    await must<Volumes>(daemon.url, "CreateVolume", { id: "v", size: 1 });
  });
  afterAll(async () => {
    await daemon?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  async function post(path: string, body: object): Promise<{ status: number; text: string }> {
    const response = await fetch(`${daemon.url}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    return { status: response.status, text: await response.text() };
  }

  test("of 16 MiB come back as an id, of both versions", async () => {
    const call20 = { jsonrpc: "2.0", method: "GetVolume", params: { id: "v" }, id: ESCAPED };
    const { status, text } = await post("/rpc", call20);
    expect(status).toBe(200);
    expect((JSON.parse(text) as Reply20).id === ESCAPED).toBe(true);
    // 1.0 repeats any value.
    const id = [ESCAPED, { [ESCAPED]: 1.5 }];
    const reply10 = await post("/_mistify_RPC_", { method: "ImageStore.ListVolumes", params: [{}], id });
    expect(reply10.status).toBe(200);
    expect(JSON.stringify((JSON.parse(reply10.text) as Reply20).id) === JSON.stringify(id)).toBe(true);
  });

  test("of 16 MiB come back in the metadata of a guest", async () => {
    const guest = { id: "g", disks: [{ size: 1 }], metadata: { note: ESCAPED } };
    const { text } = await post("/rpc", { jsonrpc: "2.0", method: "VerifyDisks", params: { guest }, id: 1 });
    const { result } = JSON.parse(text) as { result: { guest: typeof guest } };
    expect(result.guest.metadata.note === ESCAPED).toBe(true);
  });

  test("of 4 MiB, anywhere in a request, are served or refused with a reason, and are no line of the log", async () => {
    for (const [method, params] of REQUESTS) {
      const { status, text } = await post("/rpc", { jsonrpc: "2.0", method, params, id: 7 });
      const { id, error } = JSON.parse(text) as Reply20;
      const where = `${method.slice(0, 20)} ${Object.keys(params).join().slice(0, 20)}`;
      expect([where, status, id, error?.code === -32603]).toEqual([where, 200, 7, false]);
    }
    const unknown = await post("/_mistify_RPC_", { method: MEMBER, params: [{}], id: 7 });
    expect(unknown.status).toBe(400);
    const ignored = await post("/_mistify_RPC_", {
      method: "GetVolume",
      params: [{ id: "v", [MEMBER]: 1 }],
      id: 7,
    });
    expect(JSON.parse(ignored.text)).toMatchObject({ error: null, id: 7 });
    expect(await must<Volumes>(daemon.url, "ListVolumes", {})).toMatchObject({ volumes: [{ id: "tank/v" }] });
    for (const line of daemon.log().split("\n")) expect(line.length).toBeLessThan(64 * 1024);
  });

  test("of 4 MiB, as the id of a download, are refused", async () => {
    const { status } = await post("/snapshots/download", { id: MEMBER });
    expect(status).toBe(400);
  });
});
