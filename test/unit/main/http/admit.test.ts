import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { HttpReply, HttpRequest, Listener } from "../../../../src/protocol/http/transport.js";
import { transports } from "../../../support/transports.js";
import { until } from "../../../support/until.js";

const MIB = 1024 * 1024;
const LIMITS = {
  bodyBytes: MIB,
  bodyBytesInFlight: 2 * MIB,
  bodyMs: 60_000,
  replyMs: 30_000,
  connections: 1_000,
};

describe.each(transports.map((transport) => [transport.name, transport] as const))(
  "what is refused at the head of a request (%s)",
  (_name, transport) => {
    let listener: Listener;
    const clients: Socket[] = [];
    let handed: string[] = [];
    /** What `admit` was shown. */
    let heads: string[] = [];
    let answerMs = 0;

    beforeAll(async () => {
      listener = await transport.listen({
        host: "127.0.0.1",
        port: 0,
        limits: LIMITS,
        onRefused: () => {},
        admit: (request, reply) => {
          heads.push(`${request.method} ${request.path}${request.body}`);
          if (request.header("authorization") === "good") return true;
          const refuse = () => reply.send(401, [], "refused\n");
          if (answerMs === 0) refuse();
          else setTimeout(refuse, answerMs);
          return false;
        },
        handle: (request: HttpRequest, reply: HttpReply) => {
          handed.push(request.body);
          reply.send(200, [], "served\n");
        },
      });
    });
    beforeEach(() => {
      handed = [];
      heads = [];
      answerMs = 0;
    });
    afterAll(async () => {
      for (const socket of clients) socket.destroy();
      await listener.close();
    });

    /** A connection, and what has come by it. */
    function client() {
      const socket = connect(listener.port, "127.0.0.1");
      clients.push(socket);
      let text = "";
      let isReset = false;
      socket.on("data", (part: Buffer) => {
        text += part.toString("latin1");
      });
      socket.on("error", () => {
        isReset = true;
      });
      return { socket, text: () => text, isReset: () => isReset };
    }
    const head = (length: number, more = "") =>
      `POST /rpc HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n${more}\r\n`;

    test("leaves nothing at its connection, however often it comes", async () => {
      const warnings: string[] = [];
      const onWarning = ({ message }: Error) => void warnings.push(message);
      process.on("warning", onWarning);
      const { socket, text } = client();
      for (let count = 1; count <= 20; count++) {
        socket.write(head(0));
        await until("it is answered", () => text().split("refused\n").length === count + 1);
      }
      process.off("warning", onWarning);
      expect(warnings).toEqual([]);
    });

    test.each([0, 200])(
      "closes the connection where its client wants that, and says so (answered after %i ms)",
      async (ms) => {
        answerMs = ms;
        for (const body of ["", "x".repeat(100_000)]) {
          const { socket, text, isReset } = client();
          let isEnded = false;
          socket.once("end", () => {
            isEnded = true;
          });
          socket.write(head(body.length, "Connection: close\r\n") + body);
          await until("it is answered and closed", () => isEnded || isReset());
          expect(text()).toMatch(/^HTTP\/1.1 401 .*refused\n$/s);
          expect(text()).toMatch(/\r\nconnection: close\r\n/i);
          expect(isReset()).toBe(false);
        }
      },
    );

    test("is answered before its body has come, and nothing of that is kept", async () => {
      const waiting = Array.from({ length: 8 }, () => client());
      for (const { socket } of waiting) {
        socket.write(head(MIB));
        socket.write("x".repeat(MIB - 1));
      }
      for (const { text } of waiting) await until("it is answered", () => text().endsWith("refused\n"));
      expect(listener.bodyBytesInFlight).toBe(0);
      // Bodies of callers that are known have all the room.
      const known = client();
      known.socket.write(head(MIB, "Authorization: good\r\n"));
      known.socket.write("y".repeat(MIB));
      await until("it is served", () => known.text().endsWith("served\n"));
      expect(handed.map(({ length }) => length)).toEqual([MIB]);
      expect(new Set(heads)).toEqual(new Set(["POST /rpc"]));
    });

    test.each(["", "Connection: close\r\n"])(
      "has its answer though its client reads only when it has sent all (%j)",
      async (more) => {
        const { socket, text, isReset } = client();
        socket.pause();
        const length = 24 * MIB;
        socket.write(head(length, more));
        // More than the kernel keeps of a connection.
        await new Promise<void>((resolve) => socket.write("x".repeat(length), () => resolve()));
        socket.resume();
        await until("it is answered", () => text().endsWith("refused\n"));
        expect(text()).toMatch(/^HTTP\/1\.1 401 /);
        expect(isReset()).toBe(false);
        if (more !== "") return;
        socket.write(head(1, "Authorization: good\r\n"));
        socket.write("y");
        await until("the next request is served", () => text().endsWith("served\n"));
      },
    );

    test("may be answered later, with or without its body", async () => {
      answerMs = 100;
      const all = [client(), client()];
      for (const [index, { socket }] of all.entries())
        socket.write(`${head(5)}${index === 0 ? "" : "12345"}`);
      for (const { text } of all) await until("it is answered", () => text().endsWith("refused\n"));
      expect(handed).toEqual([]);
    });

    test("is cut off if it sends on and on", async () => {
      const { socket, text } = client();
      socket.write(head(900 * MIB));
      const began = performance.now();
      while (!socket.destroyed && performance.now() - began < 60_000) {
        socket.write("x".repeat(100));
        await sleep(50);
      }
      expect(text()).toMatch(/^HTTP\/1\.1 401 /);
      // As long as an idle connection, with the newer build of uWebSockets.js.
      expect(performance.now() - began).toBeLessThan(50_000);
    });

    test("without a body is answered as ever", async () => {
      const { socket, text } = client();
      socket.write("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
      await until("it is refused", () => text().endsWith("refused\n"));
      socket.write("GET /b HTTP/1.1\r\nHost: x\r\nAuthorization: good\r\n\r\n");
      await until("it is served", () => text().endsWith("served\n"));
      expect(heads).toEqual(["GET /a", "GET /b"]);
    });
  },
);
