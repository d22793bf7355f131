import { connect, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import type { HttpReply, Listener, ReplyBody } from "../../../../src/protocol/http/transport.js";
import { patterned } from "../../../support/streams.js";
import { transports } from "../../../support/transports.js";
import { until } from "../../../support/until.js";

/** More than the kernel's buffers on both sides take. */
const LENGTH = 32 * 1024 * 1024;
const REPLY_MS = 1_000;
/** Shorter than the 10 s after which uWebSockets.js itself ends a connection that takes nothing. */
const ENDS_WITHIN_MS = 5_000;

describe.each(transports.map((transport) => [transport.name, transport] as const))(
  "a reply of the %s transport that its client doesn't take",
  (_name, transport) => {
    const open: { listener?: Listener; sockets: Socket[] } = { sockets: [] };
    afterEach(async () => {
      for (const socket of open.sockets) socket.destroy();
      open.sockets = [];
      await open.listener?.close();
    });

    /** The replies, each of `LENGTH` bytes. */
    const replies: HttpReply[] = [];
    /** How many of them have ended. */
    let ended = 0;

    async function listen(replyMs: number, body: ReplyBody = Buffer.alloc(LENGTH, "r")): Promise<number> {
      replies.length = 0;
      ended = 0;
      open.listener = await transport.listen({
        host: "127.0.0.1",
        port: 0,
        limits: { bodyBytes: 1_000, bodyBytesInFlight: 1_000, bodyMs: 30_000, replyMs, connections: 100 },
        onRefused: () => {},
        handle: (_request, reply) => {
          replies.push(reply);
          reply.onEnd(() => ended++);
          reply.send(200, [], body);
        },
      });
      return open.listener.port;
    }

    function ask(port: number): Socket {
      const socket = connect({ host: "127.0.0.1", port });
      socket.on("error", () => {});
      socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
      open.sockets.push(socket);
      return socket;
    }

    test("ends after timeouts.replyMs, when nothing is read", async () => {
      const port = await listen(REPLY_MS);
      ask(port);
      await until("it is sent", () => replies.length === 1);
      await until("it has ended", () => replies[0]?.isDisconnected === true, ENDS_WITHIN_MS);
      expect(ended).toBe(1);
    });

    test("ends after timeouts.replyMs, when a little of it is read now and then", async () => {
      const port = await listen(REPLY_MS);
      const socket = ask(port);
      const sip = setInterval(() => socket.read(1_024), 20);
      await until("it is sent", () => replies.length === 1);
      await until("it has ended", () => replies[0]?.isDisconnected === true, ENDS_WITHIN_MS);
      clearInterval(sip);
    });

    test("is whole for a client that begins to read in time, and its connection is good after it", async () => {
      const port = await listen(REPLY_MS);
      const socket = ask(port);
      await until("it is sent", () => replies.length === 1);
      let received = 0;
      socket.on("data", (chunk: Buffer) => {
        received += chunk.length;
      });
      await until("it is there", () => received > LENGTH);
      // Longer than the limit: its clock no longer runs.
      const readAt = performance.now();
      await until("the limit has passed", () => performance.now() - readAt > REPLY_MS + 200);
      socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
      await until("the next one is there", () => received > 2 * LENGTH);
      expect(replies.map(({ isDisconnected }) => isDisconnected)).toEqual([false, false]);
      await until("both have ended", () => ended === 2);
    });

    test("ends when its client goes away", async () => {
      const port = await listen(60_000);
      const socket = ask(port);
      await until("it is sent", () => replies.length === 1);
      expect(ended).toBe(0);
      socket.destroy();
      await until("it has ended", () => ended === 1);
      // Whoever asks later is told at once.
      let isTold = false;
      replies[0]?.onEnd(() => {
        isTold = true;
      });
      expect(isTold).toBe(true);
    });

    test.each([
      ["small parts", [1, 2, 0, 3]],
      ["parts around the size of a buffer", [26, 16_383, 16_384, 16_385, 7]],
      ["a large part between small ones", [26, 12_000_000, 9]],
      ["large parts", [5_000_000, 1, 5_000_000]],
    ])("of %s is whole for a client that is slow to begin, and then has ended", async (_what, lengths) => {
      const whole = patterned(0, 4 * Math.ceil(lengths.reduce((sum, each) => sum + each) / 4));
      let at = 0;
      const parts = lengths.map((length) => {
        at += length;
        return whole.subarray(at - length, at);
      });
      const port = await listen(60_000, parts);
      const socket = ask(port);
      await until("it is sent", () => replies.length === 1);
      const chunks: Buffer[] = [];
      socket.on("data", (chunk: Buffer) => chunks.push(chunk));
      const head = () => Buffer.concat(chunks).indexOf("\r\n\r\n") + 4;
      await until("it is there", () => head() > 4 && Buffer.concat(chunks).length >= head() + at);
      const got = Buffer.concat(chunks);
      expect(got.subarray(0, head()).toString()).toMatch(new RegExp(`content-length: ${at}\r\n`, "i"));
      expect(got.subarray(head()).equals(whole.subarray(0, at))).toBe(true);
      await until("it has ended", () => ended === 1);
    });
  },
);
