import { connect, createServer, type Socket } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  connectionKey,
  findConnection,
  readConnections,
} from "../../../../src/workers/streams/connection-table.js";
import { until } from "../../../support/until.js";

const ESTABLISHED = 1;

/** A connection to `host`: the server's end, which nobody reads, and the client's. */
async function connected(listenOn: string, host: string): Promise<{ own: Socket; client: Socket }> {
  const server = createServer({ pauseOnConnect: true });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, listenOn, resolve);
  });
  const accepted = new Promise<Socket>((resolve) => server.once("connection", resolve));
  const address = server.address();
  const client = connect(typeof address === "object" && address ? address.port : 0, host);
  client.pause();
  const own = await accepted;
  own.on("error", () => {});
  onTestFinished(() => {
    client.destroy();
    own.destroy();
    server.close();
  });
  return { own, client };
}

describe("the kernel's table of connections", () => {
  test.each([
    ["IPv4", "127.0.0.1", "127.0.0.1"],
    ["IPv6", "::1", "::1"],
    ["IPv4 to a socket of IPv6", "::", "127.0.0.1"],
  ])("has a connection of %s, and what its client has not taken", async (_name, listenOn, host) => {
    const { own, client } = await connected(listenOn, host);
    const key = connectionKey(own);
    if (!key) throw new Error("the socket is connected");
    const row = async () => (await readConnections([key])).get(key);
    expect(await row()).toEqual({ state: ESTABLISHED, queuedBytes: 0 });
    own.write(Buffer.alloc(32 * 1024 * 1024));
    await until("the client's side is full", async () => ((await row())?.queuedBytes ?? 0) > 0);
    client.destroy();
    await until("it is gone", async () => {
      own.resume();
      return (await row()) === undefined;
    });
  });

  test("has no key for a socket that is not connected", async () => {
    const { own } = await connected("127.0.0.1", "127.0.0.1");
    own.destroy();
    expect(connectionKey(own)).toBeUndefined();
  });

  test("an address in any of its spellings gives the same key", () => {
    const key = (localAddress: string) =>
      connectionKey({ localAddress, localPort: 80, remoteAddress: "fe80::1%eth0", remotePort: 443 });
    expect(key("::ffff:1.2.3.4")).toEqual(key("0:0:0:0:0:ffff:102:304"));
    expect(key("2001:db8::")?.text).toMatch(/^ [0-9A-F]{32}:0050 [0-9A-F]{32}:01BB $/);
    expect(key("1.2.3.4")?.file).toBe("/proc/self/net/tcp");
  });

  test("a row of another connection is not taken for it", () => {
    const key = connectionKey({
      localAddress: "127.0.0.1",
      localPort: 80,
      remoteAddress: "127.0.0.1",
      remotePort: 443,
    });
    if (!key) throw new Error("it has all parts");
    const row = (text: string) =>
      `   7:${text}01 0000002A:00000000 00:00000000 00000000     0        0 1234 1\n`;
    expect(findConnection(row(key.text), key)).toEqual({ state: 1, queuedBytes: 42 });
    expect(findConnection(row(key.text.replace("0050", "0051")), key)).toBeUndefined();
    expect(findConnection("", key)).toBeUndefined();
  });
});
