import { createHash, randomBytes } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { getSigned } from "../../../../src/workers/backups/signed-get.js";
import { SilentStore } from "../../../../src/workers/backups/store-failures.js";
import { until } from "../../../support/until.js";

const content = randomBytes(9 * 1024 * 1024 + 77);
const digestOf = (data: Buffer) => createHash("sha256").update(data).digest("hex");
let server: Server;
let open = 0;

beforeAll(async () => {
  server = createServer((request, response) => {
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
    const path = request.url?.split("?")[0];
    if (path === "/gone") return void response.writeHead(404).end("<Error/>");
    if (path === "/whole") return void response.end(content);
    response.writeHead(from === 0 ? 200 : 206, { "content-length": content.length - from });
    if (path === "/cut") response.write(content.subarray(0, 1_000_000), () => response.destroy());
    else if (path === "/silent") response.write(content.subarray(0, 1_000));
    else response.end(content.subarray(from));
  });
  server.on("connection", (socket) => {
    open++;
    socket.once("close", () => open--);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
afterAll(() => {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(resolve));
});

function get(path: string, from = 0, signal = new AbortController().signal) {
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}?X-Amz-Signature=secret`;
  return getSigned(url, { from, signal, idleMs: 1_000, secureContext: undefined });
}

/** Reads all, and gives each chunk back only after a while. */
async function readSlowly(chunks: AsyncIterable<Buffer> | undefined): Promise<string> {
  const hash = createHash("sha256");
  let count = 0;
  for await (const chunk of chunks ?? []) {
    if (count++ % 16 === 0) await sleep(1);
    hash.update(chunk);
  }
  return hash.digest("hex");
}

describe("an object by a signed URL", () => {
  test("comes whole, and from a byte on, in memory that its reader gives back", async () => {
    expect(await readSlowly(await get("/object"))).toBe(digestOf(content));
    expect(await readSlowly(await get("/object", 1_234_567))).toBe(digestOf(content.subarray(1_234_567)));
    const memory = new Set<ArrayBufferLike>();
    for await (const chunk of (await get("/object")) ?? []) memory.add(chunk.buffer);
    expect(memory.size).toBeLessThan(8);
  });

  test("is not read where the store answers with something else, and the connection is closed", async () => {
    expect(await get("/gone")).toBeUndefined();
    expect(await get("/whole", 5)).toBeUndefined();
    await until("they are closed", () => open === 0);
  });

  test("breaks as its connection does, and when it falls silent", async () => {
    await expect(readSlowly(await get("/cut"))).rejects.toMatchObject({ code: "ECONNRESET" });
    await expect(readSlowly(await get("/silent"))).rejects.toBeInstanceOf(SilentStore);
    await until("they are closed", () => open === 0);
  });

  test("ends with its signal, and with a reader who stops", async () => {
    const stop = new AbortController();
    const reading = readSlowly(await get("/silent", 0, stop.signal));
    stop.abort(new Error("ended"));
    await expect(reading).rejects.toThrow("ended");
    for await (const chunk of (await get("/object")) ?? []) {
      expect(chunk.length).toBeGreaterThan(0);
      break;
    }
    await until("they are closed", () => open === 0);
  });
});
