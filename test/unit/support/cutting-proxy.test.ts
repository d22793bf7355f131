import { once } from "node:events";
import { connect, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { startCuttingProxy } from "../../support/cutting-proxy.js";

/** Takes so many bytes through a proxy, by a client that at first reads nothing. @returns what passed till then. */
async function pass(bytes: number): Promise<{ readonly early: number; readonly received: number }> {
  const server = createServer((socket) => socket.on("error", () => {}).end(Buffer.alloc(bytes)));
  await once(server.listen(0, "127.0.0.1"), "listening");
  const address = server.address();
  const proxy = await startCuttingProxy(typeof address === "object" && address ? address.port : 0);
  const client = connect(Number(new URL(proxy.url).port), "127.0.0.1");
  let received = 0;
  client.on("data", (piece: Buffer) => {
    received += piece.length;
  });
  client.pause();
  await sleep(500);
  const early = proxy.bytes;
  client.resume();
  await once(client, "close");
  await proxy.close();
  server.close();
  return { early, received };
}

test("the end of a reply reaches a client that is late", async () => {
  // As much as there is room for on the way, and a little less: its last piece waits in the proxy.
  const { early } = await pass(64 * 1024 * 1024);
  for (const less of [5_000, 15_000, 25_000]) {
    const { received } = await pass(early - less);
    expect(received).toBe(early - less);
  }
});
