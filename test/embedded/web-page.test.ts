import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { request } from "undici";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type DaemonProcess, startDaemonProcess } from "../support/daemon.js";
import { transportNames } from "../support/transports.js";

const CALL = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "GetPool", params: {} });

describe.each(transportNames)("the page over %s", (transport) => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  let daemon: DaemonProcess;
  const start = (listen: object, name: string) =>
    startDaemonProcess({
      listen: { port: 0, transport, bulk: { port: 0 }, ...listen },
      pools: [{ name: "tank", driver: "embedded", folder: join(folder, name) }],
    });
  beforeAll(async () => {
    daemon = await start({}, "with");
  });
  afterAll(async () => {
    await daemon?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  async function ask(
    path: string,
    headers: Record<string, string> = {},
    method: "GET" | "HEAD" = "GET",
    base = daemon.url,
  ) {
    const reply = await request(`${base}${path}`, { headers, method });
    const bytes = Buffer.from(await reply.body.arrayBuffer());
    return { status: reply.statusCode, headers: reply.headers, bytes, text: bytes.toString() };
  }

  /** The status of a call as a page of an origin makes it. */
  async function callFrom(origin: string, base = daemon.url): Promise<number> {
    const headers = { "content-type": "application/json", origin };
    const reply = await request(`${base}/rpc`, { method: "POST", headers, body: CALL });
    await reply.body.dump();
    return reply.statusCode;
  }

  test("is whole: its script and style are there, compressed as their reader takes it", async () => {
    const page = await ask("/ui");
    expect(page).toMatchObject({ status: 200, headers: { "cache-control": "no-cache" } });
    const assets = Array.from(
      page.text.matchAll(/(?:src|href)="(\/ui\/assets\/[^"]+)"/g),
      ([, path]) => path,
    );
    expect(assets.map((path) => path?.slice(path.lastIndexOf("."))).sort()).toEqual([".css", ".js", ".svg"]);
    for (const path of assets.filter((each) => !each?.endsWith(".svg"))) {
      const plain = await ask(`${path}`);
      expect(plain.headers["cache-control"]).toContain("immutable");
      const packed = await ask(`${path}`, { "accept-encoding": "gzip, br" });
      expect(packed.headers["content-encoding"]).toBe("br");
      expect(brotliDecompressSync(packed.bytes).equals(plain.bytes)).toBe(true);
      expect(
        gunzipSync((await ask(`${path}`, { "accept-encoding": "gzip" })).bytes).equals(plain.bytes),
      ).toBe(true);
      const head = await ask(`${path}`, {}, "HEAD");
      expect([head.status, head.bytes.length]).toEqual([200, 0]);
    }
  });

  test("has no file of the daemon below it, and is not on the port for bulk downloads", async () => {
    for (const path of [
      "/ui/main/cli.js",
      "/ui/%2e%2e/main/cli.js",
      "/ui/assets/%2e%2e%2findex.html",
      "/uix",
    ]) {
      expect([path, (await ask(path)).status]).toEqual([path, 404]);
    }
    expect((await ask("/ui", {}, "GET", daemon.bulkUrl)).status).toBe(404);
  });

  test("may call its daemon, and the pages of others may not", async () => {
    const { host, port } = new URL(daemon.url);
    expect(await callFrom(`http://${host}`)).toBe(200);
    for (const origin of [
      `http://localhost:${port}`,
      "http://evil.example",
      "null",
      `http://${host}.evil.example`,
    ]) {
      expect([origin, await callFrom(origin)]).toEqual([origin, 403]);
    }
    expect((await ask("/ui", { host: "evil.example" })).status).toBe(403);
  });

  test("is not there with listen.ui false, and then no origin may call by itself", async () => {
    const without = await start({ ui: false }, "without");
    try {
      expect((await ask("/ui", {}, "GET", without.url)).status).toBe(404);
      expect(await callFrom(`http://${new URL(without.url).host}`, without.url)).toBe(403);
    } finally {
      await without.stop();
    }
  });
});
