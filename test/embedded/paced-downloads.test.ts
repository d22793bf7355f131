import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { connect } from "../../src/client/client.js";
import { bulkConfig, downloadByRing } from "../support/bulk-cases.js";
import { curl } from "../support/curl.js";
import { type DaemonProcess, startDaemonProcess } from "../support/daemon.js";
import { createRandomSnapshot } from "../support/random-snapshot.js";

const MIB = 1_048_576;
const DISK_MIB = 12;
const RATE = 2 * MIB;
const ID = "guests/g1/disk-0@s1";
const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));

const start = (limits: object = {}) =>
  startDaemonProcess(
    bulkConfig(folder, { name: "tank", driver: "embedded", folder: join(folder, "pool") }, { limits }),
  );
let reference = { sha256: "", bytes: 0 };

beforeAll(async () => {
  const daemon = await start();
  await createRandomSnapshot(daemon.url, "guests/g1/disk-0@s1", DISK_MIB);
  reference = await downloadByRing(daemon.url, ID);
  await daemon.stop();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Downloads, from the first byte on. @returns bytes a second. */
async function rateOf(url: string): Promise<number> {
  const reply = await fetch(url, { headers: { connection: "close" } });
  expect(reply.status).toBe(200);
  let bytes = 0;
  let begunAt = 0;
  for await (const part of reply.body as AsyncIterable<Uint8Array>) {
    begunAt ||= performance.now();
    bytes += part.length;
  }
  expect(bytes).toBe(reference.bytes);
  return bytes / ((performance.now() - begunAt) / 1000);
}

describe("a rate", () => {
  let daemon: DaemonProcess;
  beforeAll(async () => {
    daemon = await start();
  });
  afterAll(async () => expect(await daemon.stop()).toBe(0));

  const urlOf = (more = "") => `${daemon.url}/snapshots/download?id=${ID}${more}`;

  test.each([
    ["by the ring", ""],
    ["by the port for bulk downloads", "&redirect=1"],
  ])("is held within 5 %% %s", async (_path, more) => {
    const rate = await rateOf(urlOf(`&rate=${RATE}${more}`));
    process.stdout.write(`rate ${RATE}${more}: ${Math.round(rate)} bytes a second\n`);
    expect(Math.abs(rate / RATE - 1)).toBeLessThan(0.05);
  });

  test("is each client's own, and changes no byte, on both paths", async () => {
    const both = ["", "&redirect=1"].map((more) => curl(urlOf(`&rate=${2 * RATE}${more}`), ["-L"]).ended);
    for (const { sha256 } of await Promise.all([...both, curl(urlOf()).ended])) {
      expect(sha256).toBe(reference.sha256);
    }
  });

  test("of a client that shares a send with others of the same rate is held too", async () => {
    const rates = await Promise.all([1, 2, 3].map(() => rateOf(urlOf(`&rate=${RATE}`))));
    for (const rate of rates) expect(rate / RATE).toBeLessThan(1.05);
  });

  test.each(["1000", "x", "0"])("of %s is refused, and nothing is sent", async (text) => {
    const reply = await fetch(urlOf(`&rate=${text}`));
    expect([reply.status, await reply.text()]).toEqual([400, "rate must be bytes a second, 65536 or more\n"]);
  });

  test("HEAD tells of a stream without one, on both ports, and refuses as GET does", async () => {
    const bulk = await fetch(urlOf("&redirect=1"), { redirect: "manual" });
    const second = new URL(bulk.headers.get("location") ?? "");
    for (const url of [urlOf("&flags=raw,compressed"), second.href]) {
      const head = await fetch(url, { method: "HEAD" });
      expect(head.status).toBe(200);
      expect(head.headers.get("x-to-guid")).toMatch(/^\d+$/);
      expect(head.headers.get("x-from-guid")).toBeNull();
      expect(head.headers.get("x-stream-features")).toBe("");
      expect(Number(head.headers.get("x-estimated-bytes"))).toBeGreaterThan(0);
      expect(head.headers.get("x-download-id")).toBeNull();
    }
    const missing = await fetch(urlOf("&from=@none"), { method: "HEAD" });
    expect(missing.status).toBe(404);
    const put = await fetch(urlOf(), { method: "PUT" });
    expect([put.status, put.headers.get("allow")]).toEqual([405, "GET, HEAD, POST"]);
  });

  test("and the other terms are options of the client too; flags change no byte of an embedded stream", async () => {
    const client = connect({ url: daemon.url });
    const stream = await client.download(ID, { flags: ["compressed", "raw"], rate: 16 * MIB });
    const parts: Uint8Array[] = [];
    for await (const part of stream as unknown as AsyncIterable<Uint8Array>) parts.push(part);
    expect(Buffer.concat(parts).length).toBe(reference.bytes);
    const refused = client.download(ID, { from: "@none" });
    await expect(refused).rejects.toMatchObject({ status: 404 });
    const resumed = client.download(ID, { resume: "1-a-b-cc" });
    await expect(resumed).rejects.toThrow("the token is not an embedded pool's");
  });
});

test("limits.sendBytesPerSecond holds all downloads together, of both ports", async () => {
  const daemon = await start({ sendBytesPerSecond: 2 * RATE });
  const urlOf = (more = "") => `${daemon.url}/snapshots/download?id=${ID}${more}`;
  const startedAt = performance.now();
  const rates = await Promise.all([rateOf(urlOf()), rateOf(urlOf("&redirect=1&flags=raw"))]);
  const together = (2 * reference.bytes) / ((performance.now() - startedAt) / 1000);
  process.stdout.write(`together: ${Math.round(together)} bytes a second of ${2 * RATE}\n`);
  expect(together / (2 * RATE)).toBeLessThan(1.05);
  // Both begin a process first.
  expect(together / (2 * RATE)).toBeGreaterThan(0.6);
  for (const rate of rates) expect(rate / (2 * RATE)).toBeLessThan(0.8);
  expect(await daemon.stop()).toBe(0);
});
