import { once } from "node:events";
import { connect } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import type { Channel } from "../../../../src/protocol/http/channel.js";
import { PLAIN_TEXT } from "../../../../src/protocol/http/headers.js";
import type { ChannelAccess } from "../../../../src/protocol/http/transport.js";
import { transports } from "../../../support/transports.js";
import { until } from "../../../support/until.js";

const KIB = 1024;
const limits = {
  bodyBytes: 64 * KIB,
  bodyBytesInFlight: 1024 * KIB,
  bodyMs: 5_000,
  replyMs: 5_000,
  connections: 100,
};

const UPGRADE = [
  ...["Connection: Upgrade", "Upgrade: websocket"],
  ...["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version: 13"],
];

describe.each(transports)("channels on $name", (transport) => {
  const closers: (() => unknown)[] = [];
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close();
  });

  /** A server whose channels send back what they get. */
  async function serve(access: Partial<ChannelAccess> = {}) {
    const channels: Channel[] = [];
    const texts: string[] = [];
    const counts = { closed: 0 };
    const listener = await transport.listen({
      host: "127.0.0.1",
      port: 0,
      limits,
      onRefused: () => {},
      handle: (request, reply) =>
        reply.send(200, PLAIN_TEXT, `${request.method} ${request.path} ${request.body}`),
      channels: {
        idleMs: 8_000,
        accept: () => ({
          protocol: "",
          open: (channel) => {
            channels.push(channel);
            return {
              onText: (text) => {
                texts.push(text);
                channel.send(text);
              },
              onDrain: () => {},
              onClose: () => counts.closed++,
            };
          },
        }),
        ...access,
      },
    });
    closers.push(listener.close);
    return { listener, channels, texts, counts, url: `ws://127.0.0.1:${listener.port}/rpc` };
  }

  async function open(url: string, protocols: string[] = []) {
    const socket = new WebSocket(url, protocols, { perMessageDeflate: false });
    closers.push(() => socket.terminate());
    const texts: string[] = [];
    const closed: { code?: number; reason?: string } = {};
    socket.on("message", (data) => texts.push(data.toString()));
    socket.on("error", () => {});
    socket.on("close", (code, reason) => Object.assign(closed, { code, reason: reason.toString() }));
    await once(socket, "open");
    return { socket, texts, closed };
  }

  test("texts come whole and in order, those in fragments and those of the longest length too", async () => {
    const { url, channels } = await serve();
    const { socket, texts } = await open(url);
    socket.send("größer");
    socket.send("a", { fin: false });
    socket.send("b", { fin: false });
    socket.send("c");
    const longest = "x".repeat(limits.bodyBytes);
    socket.send(longest);
    await until("all have come back", () => texts.length === 3);
    expect(texts).toEqual(["größer", "abc", longest]);
    expect(channels[0]?.peer).toMatch(/127\.0\.0\.1$|^0000/);
  });

  test("a message that is too long ends its channel, and so does one that is no text", async () => {
    const { url, texts, counts } = await serve();
    const long = await open(url);
    long.socket.send("x".repeat(limits.bodyBytes + 1));
    const binary = await open(url);
    binary.socket.send(Buffer.from("bytes"));
    await until("both are closed", () => long.closed.code !== undefined && binary.closed.code !== undefined);
    expect(binary.closed).toEqual({ code: 1003, reason: "only texts are understood" });
    // uWebSockets.js closes without a word.
    expect([1006, 1009]).toContain(long.closed.code);
    expect(texts).toEqual([]);
    await until("the server knows", () => counts.closed === 2);
  });

  test("much comes whole to a client that rests now and then", async () => {
    const { url, channels } = await serve();
    const { socket, texts } = await open(url);
    await until("it is open", () => channels.length === 1);
    const message = (index: number) => `${index} ${"y".repeat(index % 40_000)}`;
    socket.pause();
    for (let index = 0; index < 1_000; index += 100) {
      channels[0]?.together(() => {
        for (let each = index; each < index + 100; each++) channels[0]?.send(Buffer.from(message(each * 37)));
      });
    }
    expect(channels[0]?.waitingBytes).toBeGreaterThan(0);
    socket.resume();
    await until("all have come", () => texts.length === 1_000);
    expect(texts.every((text, index) => text === message(index * 37))).toBe(true);
    await until("nothing waits", () => channels[0]?.waitingBytes === 0);
  });

  test("what was sent comes before the close, with its code and reason", async () => {
    const { url, channels } = await serve();
    const { texts, closed } = await open(url);
    await until("it is open", () => channels.length === 1);
    channels[0]?.send("last");
    channels[0]?.close(4008, "slow");
    channels[0]?.send("later");
    channels[0]?.close(4001, "again");
    await until("it is closed", () => closed.code !== undefined);
    expect([texts, closed]).toEqual([["last"], { code: 4008, reason: "slow" }]);
    expect(channels[0]?.waitingBytes).toBe(0);
  });

  test("a client that answers no ping is cut off, and one that does stays", async () => {
    const { url, counts } = await serve();
    const silent = new WebSocket(url, { autoPong: false, perMessageDeflate: false });
    closers.push(() => silent.terminate());
    silent.on("error", () => {});
    const answers = await open(url);
    await until("the silent one is cut off", () => silent.readyState === WebSocket.CLOSED, 40_000);
    expect([counts.closed, answers.closed]).toEqual([1, {}]);
  });

  test("a request that is refused gets its status, also later, and no channel", async () => {
    const { url, channels } = await serve({
      accept: (_request, reply) => {
        setTimeout(() => reply.send(401, PLAIN_TEXT, "a token is needed\n"), 20);
        return undefined;
      },
    });
    const socket = new WebSocket(url);
    const [, response] = await once(socket, "unexpected-response");
    expect(response.statusCode).toBe(401);
    expect(channels).toEqual([]);
  });

  test.each(["Authorization", "Host"])(
    "a request with two %s is answered 400, and opens none",
    async (name) => {
      let asked = 0;
      const { listener, channels } = await serve({
        accept: () => {
          asked++;
          return undefined;
        },
      });
      const socket = connect({ host: "127.0.0.1", port: listener.port });
      closers.push(() => socket.destroy());
      let text = "";
      socket.on("data", (chunk: Buffer) => {
        text += chunk.toString();
      });
      const host = name === "Host" ? [] : ["Host: a"];
      const lines = ["GET /rpc HTTP/1.1", ...host, `${name}: a`, `${name}: b`, ...UPGRADE, "", ""];
      socket.write(lines.join("\r\n"));
      await once(socket, "close");
      // Newer versions of the module see two Host themselves, and answer with a page of their own.
      const own = transport.name === "uws" && name === "Host" ? "|<h1>Bad Request</h1>.*" : "";
      const words = `(bad request: more than one ${name}\n${own})`;
      expect(text).toMatch(new RegExp(`^HTTP/1.1 400 .*\r\n\r\n${words}$`, "s"));
      expect([asked, channels]).toEqual([0, []]);
    },
  );

  test("a subprotocol is chosen only if the server wants it", async () => {
    const seen: string[] = [];
    const none = () => ({ onText: () => {}, onDrain: () => {}, onClose: () => {} });
    const { url } = await serve({
      accept: (request) => {
        seen.push(request.header("sec-websocket-protocol"));
        return { protocol: "two", open: none };
      },
    });
    const { socket } = await open(url, ["one", "two"]);
    expect(socket.protocol).toBe("two");
    expect(seen[0]?.split(/, */)).toEqual(["one", "two"]);
  });

  test("a request for another upgrade is served without it, whatever its verb", async () => {
    const { listener } = await serve();
    const socket = connect(listener.port, "127.0.0.1");
    closers.push(() => socket.destroy());
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk.toString();
    });
    const upgrade = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n";
    for (const body of ["one", "two"]) {
      socket.write(`POST /rpc HTTP/1.1\r\nHost: x\r\n${upgrade}Content-Length: 3\r\n\r\n${body}`);
      await until("it is answered", () => text.endsWith(`POST /rpc ${body}`));
    }
    expect(await listener.connections()).toBe(1);
    expect(text.match(/HTTP\/1.1 200 OK/g)?.length).toBe(2);
  });

  test("a server that closes ends its channels", async () => {
    const { url, listener } = await serve();
    const { closed } = await open(url);
    expect(await listener.connections()).toBe(1);
    await listener.close();
    await until("it is closed", () => closed.code !== undefined);
  });
});
