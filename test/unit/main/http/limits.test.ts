import { connect, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { connectionLimit, readDescriptors } from "../../../../src/main/http/descriptors.js";
import type { HttpLimits, HttpReply, Listener } from "../../../../src/protocol/http/transport.js";
import { transports } from "../../../support/transports.js";
import { until } from "../../../support/until.js";

const ROOMY: HttpLimits = {
  bodyBytes: 100_000,
  bodyBytesInFlight: 1_000_000,
  bodyMs: 30_000,
  replyMs: 30_000,
  connections: 100,
};
const NO_ROOM = "the bodies of other requests take all of limits.bodyBytesInFlight (200000 bytes), try again";

interface Client {
  readonly socket: Socket;
  /** All that has come. */
  text(): string;
}

describe.each(transports.map((transport) => [transport.name, transport] as const))(
  "the limits of the %s transport",
  (_name, transport) => {
    const open: { listener?: Listener; clients: Client[] } = { clients: [] };
    afterEach(async () => {
      for (const { socket } of open.clients) socket.destroy();
      open.clients = [];
      await open.listener?.close();
    });

    /** What has been handed over and is not answered. */
    const handed: { body: string; reply: HttpReply }[] = [];
    let refused = 0;

    async function listen(limits: Partial<HttpLimits>): Promise<number> {
      handed.length = 0;
      refused = 0;
      const listener = await transport.listen({
        host: "127.0.0.1",
        port: 0,
        limits: { ...ROOMY, ...limits },
        onRefused: () => refused++,
        handle: ({ body, tooLarge }, reply) => {
          if (tooLarge) reply.send(413, [], "too large");
          else handed.push({ body, reply });
        },
      });
      open.listener = listener;
      return listener.port;
    }

    function client(port: number): Client {
      const socket = connect({ host: "127.0.0.1", port });
      const chunks: Buffer[] = [];
      socket.on("data", (chunk) => chunks.push(chunk));
      socket.on("error", () => {});
      const made = { socket, text: () => Buffer.concat(chunks).toString("latin1") };
      open.clients.push(made);
      return made;
    }

    /** Sends the first `sent` bytes of a body of `length`. */
    function begin(port: number, length: number, sent: number): Client {
      const made = client(port);
      made.socket.write(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n${"b".repeat(sent)}`);
      return made;
    }

    test("bodies in flight have limits.bodyBytesInFlight; the next one is answered 503, and room comes back", async () => {
      const port = await listen({ bodyBytesInFlight: 200_000 });
      begin(port, 100_000, 100_000);
      const second = begin(port, 100_000, 99_999);
      await until("the first is handed over", () => handed.length === 1);
      second.socket.write("b");
      await until("the second is handed over", () => handed.length === 2);
      const third = begin(port, 50_000, 50_000);
      await until("the third is refused", () => third.text().includes(NO_ROOM));
      expect(third.text()).toMatch(/^HTTP\/1\.1 503 /);
      expect(third.text()).toMatch(/\r\nRetry-After: 1\r\n/);
      handed[0]?.reply.send(200, [], "whole");
      // The connection of the refused one is still good.
      third.socket.write(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\n${"c".repeat(50_000)}`);
      await until("its next body is handed over", () => handed.length === 3);
      expect(handed[2]?.body).toBe("c".repeat(50_000));
    });

    test("a body that is refused because there is no room is read to its end first", async () => {
      const port = await listen({ bodyBytesInFlight: 200_000 });
      for (let count = 0; count < 2; count++) begin(port, 100_000, 100_000);
      await until("both are handed over", () => handed.length === 2);
      const third = begin(port, 60_000, 30_000);
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect(third.text()).toBe("");
      third.socket.write("b".repeat(30_000));
      await until("it is answered", () => third.text().includes(NO_ROOM));
    });

    test("the room of clients that have gone comes back", async () => {
      const port = await listen({ bodyBytesInFlight: 200_000 });
      for (let round = 0; round < 5; round++) {
        const clients = [begin(port, 100_000, 90_000), begin(port, 100_000, 90_000)];
        await new Promise((resolve) => setTimeout(resolve, 20));
        for (const { socket } of clients) socket.destroy();
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      begin(port, 100_000, 100_000);
      begin(port, 100_000, 100_000);
      await until("both fit", () => handed.length === 2);
    });

    test("small bodies pass while the large ones have all the room", async () => {
      const port = await listen({ bodyBytesInFlight: 200_000 });
      for (let count = 0; count < 2; count++) begin(port, 100_000, 100_000);
      await until("both are handed over", () => handed.length === 2);
      for (let count = 0; count < 20; count++) begin(port, 150, 150);
      await until("the small ones are handed over", () => handed.length === 22);
    });

    test("a body that comes in pieces of a byte is whole, and takes no more room than it is long", async () => {
      const port = await listen({ bodyBytesInFlight: 100_000 });
      const slow = begin(port, 200, 0);
      slow.socket.setNoDelay(true);
      for (let sent = 0; sent < 200; sent++) {
        slow.socket.write(String(sent % 10));
        await new Promise((resolve) => setImmediate(resolve));
      }
      await until("it is handed over", () => handed.length === 1);
      expect(handed[0]?.body).toBe("0123456789".repeat(20));
    });

    test("a body that takes longer than timeouts.bodyMs is answered 408 and its connection closed", async () => {
      const port = await listen({ bodyMs: 200 });
      const inTime = begin(port, 100, 50);
      await new Promise((resolve) => setTimeout(resolve, 20));
      inTime.socket.write("b".repeat(50));
      const late = begin(port, 100, 50);
      const trickle = setInterval(() => late.socket.write("b"), 20);
      await until("it is answered", () => late.text().includes("timeouts.bodyMs (200 ms)"));
      clearInterval(trickle);
      expect(late.text()).toMatch(/^HTTP\/1\.1 408 /);
      await until("it is closed", () => late.socket.destroyed);
      expect(handed.map(({ body }) => body)).toEqual(["b".repeat(100)]);
      handed[0]?.reply.send(200, [], "whole");
      await until("the other one is answered", () => inTime.text().endsWith("whole"));
    });

    test("more than limits.connections are answered 503 and closed, and counted, until one has gone", async () => {
      const port = await listen({ connections: 8 });
      const first = Array.from({ length: 8 }, () => client(port));
      await until("they are open", () => first.every(({ socket }) => !socket.connecting));
      // uWebSockets.js counts its connections now and then.
      await new Promise((resolve) => setTimeout(resolve, 700));
      const ninth = client(port);
      await until("it is refused", () => ninth.socket.destroyed);
      expect(ninth.text()).toMatch(/^HTTP\/1\.1 503 [\s\S]*limits\.connections \(8\) are open, try again\n$/);
      expect(refused).toBe(1);
      // Those that are open are served.
      first[0]?.socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
      await until("a request is handed over", () => handed.length === 1);
      handed[0]?.reply.send(200, [], "served");
      await until("it is answered", () => first[0]?.text().endsWith("served") === true);
      first[1]?.socket.destroy();
      await until("there is room again", async () => {
        const again = begin(port, 0, 0);
        await new Promise((resolve) => setTimeout(resolve, 100));
        return handed.length > 1 || !again.socket.destroyed;
      });
    });
  },
);

describe("the limit of connections", () => {
  test("is what is wanted, if that leaves half of the descriptors", () => {
    expect(connectionLimit(100, { most: 256, open: 56 })).toBe(100);
    expect(connectionLimit(101, { most: 256, open: 56 })).toBe(100);
    expect(connectionLimit(10_000, { most: 1_048_576, open: 60 })).toBe(10_000);
  });

  test("is one at least, and what is wanted where the descriptors are not known", () => {
    expect(connectionLimit(100, { most: 50, open: 56 })).toBe(1);
    expect(connectionLimit(100, undefined)).toBe(100);
  });

  test("knows the descriptors of this process", () => {
    const seen = readDescriptors();
    expect(seen?.open).toBeGreaterThan(3);
    expect(seen?.most).toBeGreaterThan(seen?.open ?? 0);
  });
});
