import { spawn } from "node:child_process";
import { Agent, request as httpRequest, type IncomingMessage } from "node:http";
import { connect, type Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { HttpReply, HttpRequest, Listener } from "../../../../src/protocol/http/transport.js";
import { patterned, streamTo } from "../../../support/streams.js";
import { isOlderUws, transports, uwsTransport } from "../../../support/transports.js";
import { until } from "../../../support/until.js";

const LIMIT = 10_000;
const LIMITS = {
  bodyBytes: LIMIT,
  bodyBytesInFlight: 1_000_000,
  bodyMs: 30_000,
  replyMs: 30_000,
  connections: 1_000,
};
const HIDE = fileURLToPath(new URL("../../../support/hide-packages.mjs", import.meta.url));
const CHOOSE = fileURLToPath(new URL("../../../../compiled/main/http/choose.js", import.meta.url));

type Handler = (request: HttpRequest, reply: HttpReply) => void;

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

interface Ask {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string | Buffer;
  readonly agent?: Agent;
}

/** What loads depends on the C library too. CI demands it of the releases of Node that have a build for Debian 12. */
test.runIf(process.versions.modules === "115")(
  "uWebSockets.js loads here, so that both transports are tested",
  () => {
    expect(transports.map(({ name }) => name)).toEqual(["uws", "node"]);
  },
);

describe.each(transports.map((transport) => [transport.name, transport] as const))(
  "the %s transport",
  (_name, transport) => {
    let listener: Listener;
    let handler: Handler = (_request, reply) => reply.send(200, [], "");

    beforeAll(async () => {
      listener = await transport.listen({
        host: "127.0.0.1",
        port: 0,
        limits: LIMITS,
        onRefused: () => {},
        handle: (request, reply) => handler(request, reply),
      });
    });
    afterAll(() => listener.close());

    function ask({ method = "POST", path = "/", headers = {}, body = "", agent }: Ask = {}): Promise<Answer> {
      return new Promise((resolve, reject) => {
        const length = { "content-length": String(Buffer.byteLength(body)) };
        const options = {
          host: "127.0.0.1",
          port: listener.port,
          method,
          path,
          headers: { ...length, ...headers },
        };
        const outgoing = httpRequest({ ...options, agent: agent ?? false }, (incoming) => {
          const chunks: Buffer[] = [];
          incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
          incoming.on("error", reject);
          incoming.on("end", () =>
            resolve({
              status: incoming.statusCode ?? 0,
              headers: incoming.headers,
              body: Buffer.concat(chunks),
            }),
          );
        });
        outgoing.on("error", reject);
        outgoing.end(body);
      });
    }

    /** A client that reads only when told to. */
    async function openRaw(path = "/"): Promise<Socket> {
      const socket = connect({ host: "127.0.0.1", port: listener.port });
      await new Promise((resolve) => socket.once("connect", resolve));
      socket.on("error", () => {});
      socket.pause();
      socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
      return socket;
    }

    test("hands over method, path, query, headers and body", async () => {
      let seen: unknown;
      handler = (request, reply) => {
        const { method, path, query, tooLarge } = request;
        const type = request.header("content-type");
        const encoding = request.header("accept-encoding");
        seen = { method, path, query, tooLarge, type, encoding, body: request.body };
        reply.send(200, [], "");
      };
      await ask({
        path: "/a/b?x=1&y=%20",
        headers: { "Content-Type": "application/json", "Accept-Encoding": "gzip, br" },
        body: "héllo",
      });
      expect(seen).toEqual({
        method: "POST",
        path: "/a/b",
        query: "x=1&y=%20",
        tooLarge: false,
        type: "application/json",
        encoding: "gzip, br",
        body: "héllo",
      });
    });

    test("gives an empty text for what is absent", async () => {
      let seen: unknown;
      handler = (request, reply) => {
        seen = [
          request.query,
          request.header("content-type"),
          request.header("accept-encoding"),
          request.body.length,
        ];
        reply.send(200, [], "");
      };
      await ask({ method: "GET" });
      expect(seen).toEqual(["", "", "", 0]);
    });

    test.each(["GET", "POST", "PUT", "DELETE", "PATCH"])("hands over the body of %s", async (method) => {
      handler = (request, reply) => reply.send(200, [], `${request.method} ${request.body}`);
      expect((await ask({ method, body: "body" })).body.toString()).toBe(`${method} body`);
    });

    /** What comes back for these pieces, each sent as a segment of its own, until the end or an answer to each. */
    async function exchange(pieces: readonly string[], answers: number, halfClose = false): Promise<string> {
      const socket = connect({ port: listener.port, host: "127.0.0.1", allowHalfOpen: true });
      socket.setNoDelay(true);
      let text = "";
      /** The server has ended its half, or the connection is gone. */
      let ended = false;
      socket.on("data", (chunk: Buffer) => {
        text += chunk.toString("latin1");
      });
      for (const event of ["end", "error", "close"]) {
        socket.on(event, () => {
          ended = true;
        });
      }
      const answered = () => text.split("HTTP/1.1 ").length - 1;
      for (const [index, piece] of pieces.entries()) {
        if (index > 0) await until("the piece before is answered", () => answered() >= index || ended);
        socket.write(piece);
      }
      if (halfClose) socket.end();
      await until("all is answered", () => answered() >= answers || ended);
      socket.destroy();
      return text;
    }
    const statuses = (text: string) => [...text.matchAll(/^HTTP\/1\.1 (\d+)/gm)].map(([, status]) => status);

    test("a HEAD request is answered with the length alone, and so is the next one", async () => {
      handler = (_request, reply) => reply.send(200, [["X-A", "b"]], "twelve bytes");
      const head = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
      const text = await exchange([head, head, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"], 3);
      expect(statuses(text)).toEqual(["200", "200", "200"]);
      expect(text.match(/content-length: 12\r\n/gi)).toHaveLength(3);
      expect(text.split("twelve bytes")).toHaveLength(2);
    });

    test("a request of length 0 is answered, wherever its head is cut", async () => {
      handler = (_request, reply) => reply.send(200, [], "");
      const request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
      for (const at of [1, 8, 30, request.length - 3, request.length - 1]) {
        const socket = connect(listener.port, "127.0.0.1");
        let text = "";
        socket.on("data", (chunk: Buffer) => {
          text += chunk.toString("latin1");
        });
        socket.write(request.slice(0, at));
        // Long enough that the rest is a segment of its own, also for the server.
        setTimeout(() => socket.write(request.slice(at)), 30);
        await until(`an answer to a head that is cut at ${at}`, () => text.endsWith("\r\n\r\n"), 5_000);
        socket.destroy();
      }
    });

    test.each([
      ["two different lengths", "Content-Length: 3\r\nContent-Length: 4\r\n"],
      ["two hosts", "Host: localhost\r\nContent-Length: 3\r\n"],
      ["two callers", "Authorization: Bearer a\r\nAuthorization: Bearer b\r\nContent-Length: 3\r\n"],
      ["one caller twice", "Authorization: Bearer a\r\nauthorization: Bearer a\r\nContent-Length: 3\r\n"],
      ["nobody and a caller", "Authorization:\r\nAuthorization: Bearer a\r\nContent-Length: 3\r\n"],
    ])("a request with %s is answered 400, and its connection is closed", async (_title, lines) => {
      let calls = 0;
      handler = (_request, reply) => {
        calls++;
        reply.send(200, [], "");
      };
      const text = await exchange([`POST / HTTP/1.1\r\nHost: a\r\n${lines}\r\nabcd`], 2);
      expect(statuses(text)).toEqual(["400"]);
      expect(calls).toBe(0);
    });

    test("an Origin that is repeated is handed over with all its values", async () => {
      let seen = "";
      handler = (request, reply) => {
        seen = request.header("origin");
        reply.send(200, [], "");
      };
      await exchange(["GET / HTTP/1.1\r\nHost: a\r\nOrigin: http://a\r\nOrigin: http://b\r\n\r\n"], 1);
      expect(seen).toBe("http://a, http://b");
    });

    test("of two changes in one segment the first runs: both are answered in turn, or docs/api.md says not", async () => {
      const seen: string[] = [];
      handler = (request, reply) => {
        seen.push(request.body);
        setImmediate(() => reply.send(200, [], `done ${request.body}`));
      };
      const change = (body: string) => `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n${body}`;
      const answer = await exchange([change("1") + change("2")], 2);
      if (transport.name === "node") {
        expect(seen).toEqual(["1", "2"]);
        expect(answer).toMatch(/done 1.*done 2$/s);
      } else expect([seen, answer]).toEqual([["1"], ""]);
    });

    if (transport.name === "node") {
      test("a client that half-closes after its request is answered, however late, and one that is gone is noticed", async () => {
        const waiting: HttpReply[] = [];
        handler = (_request, reply) => waiting.push(reply);
        const request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        const answer = exchange([request], 2, true);
        await until("the request has come", () => waiting.length === 1);
        // The server asks whether the client is there: that counts as one answer.
        const late = waiting[0];
        setTimeout(() => late?.send(200, [], "late"), 1_500);
        expect(statuses(await answer)).toEqual(["102", "200"]);
        const gone = connect(listener.port, "127.0.0.1", () => gone.write(request));
        await until("the request has come", () => waiting.length === 2);
        gone.destroy();
        await until("the reply knows that its client is gone", () => waiting[1]?.isDisconnected === true);
      });

      test("of an absolute target path, query and host are handed over", async () => {
        const seen: unknown[] = [];
        handler = (request, reply) => {
          seen.push([request.path, request.query, request.header("host")]);
          reply.send(200, [], "");
        };
        await exchange(["GET http://b:1/p/q?x=y HTTP/1.1\r\nHost: a\r\n\r\n"], 1);
        await exchange(["GET HTTPS://b HTTP/1.1\r\nHost: a\r\n\r\n"], 1);
        expect(seen).toEqual([
          ["/p/q", "x=y", "b:1"],
          ["/", "", "b"],
        ]);
      });

      test.each([
        ["HTTP/1.0", ["GET / HTTP/1.0\r\n\r\n"], "200"],
        ["no Host", ["GET / HTTP/1.1\r\n\r\n"], "400"],
        ["lines that end in LF", ["GET / HTTP/1.1\nHost: a\n\n"], "400"],
        ["a folded line", ["GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n"], "400"],
        ["a hundred lines", [`GET / HTTP/1.1\r\nHost: a\r\n${"X: y\r\n".repeat(100)}\r\n`], "200"],
        [
          "a head that is too large",
          [`GET / HTTP/1.1\r\nHost: a\r\nX: ${"y".repeat(17_000)}\r\n\r\n`],
          "431",
        ],
      ])("a request with %s is answered at once", async (_title, pieces, status) => {
        handler = (_request, reply) => reply.send(200, [], "");
        expect(statuses(await exchange(pieces, 1))).toEqual([status]);
      });
    } else if (!isOlderUws) {
      test("a head may have 16 KiB, in any number of segments", async () => {
        handler = (_request, reply) => reply.send(200, [], "");
        const headOf = (bytes: number) => `GET / HTTP/1.1\r\nHost: a\r\nX: ${"y".repeat(bytes)}\r\n\r\n`;
        const head = headOf(12_000);
        expect(statuses(await exchange([head], 1))).toEqual(["200"]);
        expect(statuses(await exchange([headOf(17_000)], 1))).toEqual(["431"]);
        const socket = connect(listener.port, "127.0.0.1", () => socket.write(head.slice(0, 4_500)));
        let text = "";
        socket.on("data", (chunk) => {
          text += chunk;
        });
        setTimeout(() => socket.write(head.slice(4_500)), 30);
        await until("the reply has come", () => text.startsWith("HTTP/1.1 200"));
        socket.destroy();
      });

      test.each([
        ["HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", "505"],
        ["no Host", "GET / HTTP/1.1\r\n\r\n", "400"],
        ["lines that end in LF", "GET / HTTP/1.1\nHost: a\n\n", "505"],
        ["a folded line", "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", "400"],
        ["an absolute target", "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "505"],
        ["60 lines", `GET / HTTP/1.1\r\nHost: a\r\n${"X: y\r\n".repeat(60)}\r\n`, "200"],
        ["200 lines", `GET / HTTP/1.1\r\nHost: a\r\n${"X: y\r\n".repeat(200)}\r\n`, "431"],
      ])("a request with %s is answered at once", async (_title, request, status) => {
        handler = (_request, reply) => reply.send(200, [], "");
        expect(statuses(await exchange([request], 1))).toEqual([status]);
      });
    } else {
      // docs/api.md lists these. When the library learns to answer one of them, this test says so.
      test("a head of more than 4 KiB in two segments ends the connection, in one it is served", async () => {
        let calls = 0;
        handler = (_request, reply) => {
          calls++;
          reply.send(200, [], "");
        };
        const head = `GET / HTTP/1.1\r\nHost: a\r\nX: ${"y".repeat(5_000)}\r\n\r\n`;
        expect(statuses(await exchange([head], 1))).toEqual(["200"]);
        const socket = connect(listener.port, "127.0.0.1", () => socket.write(head.slice(0, 4_500)));
        let isClosed = false;
        socket.on("error", () => {});
        socket.on("close", () => {
          isClosed = true;
        });
        setTimeout(() => socket.write(head.slice(4_500)), 30);
        await until("the connection has ended", () => isClosed);
        expect(calls).toBe(1);
      });

      test("what the library can't read is never served, and its connection ends within its limit", async () => {
        let calls = 0;
        handler = (_request, reply) => {
          calls++;
          reply.send(200, [], "");
        };
        const host = "HTTP/1.1\r\nHost: a\r\n";
        const answers = await Promise.all(
          [
            "GET / HTTP/1.0\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\nHost: a\n\n",
            `GET / ${host}X: a\r\n b\r\n\r\n`,
            `GET / ${host}${"X: y\r\n".repeat(60)}\r\n`,
            `GET http://a/ ${host}\r\n`,
          ].map((request) => exchange([request], 1)),
        );
        expect(answers).toEqual(answers.map(() => ""));
        expect(calls).toBe(0);
      });
    }

    test("sends status, headers and a length", async () => {
      handler = (_request, reply) =>
        reply.send(
          415,
          [
            ["X-One", "1"],
            ["Content-Type", "text/plain"],
          ],
          "no é",
        );
      const { status, headers, body } = await ask();
      expect(status).toBe(415);
      expect(headers).toMatchObject({ "x-one": "1", "content-type": "text/plain", "content-length": "5" });
      expect(body.toString()).toBe("no é");
    });

    test.each([200, 204, 400, 403, 404, 405, 408, 409, 413, 415, 500, 502, 503, 504, 507])(
      "sends status %i",
      async (status) => {
        handler = (_request, reply) => reply.send(status, [], "");
        expect((await ask()).status).toBe(status);
      },
    );

    test("a body of the limit, bodyBytes, passes; one byte more is too large and is not handed over", async () => {
      handler = (request, reply) => reply.send(200, [], `${request.tooLarge} ${request.body.length}`);
      expect((await ask({ body: Buffer.alloc(LIMIT) })).body.toString()).toBe(`false ${LIMIT}`);
      expect((await ask({ body: Buffer.alloc(LIMIT + 1) })).body.toString()).toBe("true 0");
      expect((await ask({ body: Buffer.alloc(LIMIT * 10) })).body.toString()).toBe("true 0");
    });

    test("a chunked body without a length is bounded too", async () => {
      handler = (request, reply) => reply.send(200, [], `${request.tooLarge} ${request.body.length}`);
      const chunked = (bytes: number) =>
        ask({ headers: { "transfer-encoding": "chunked", "content-length": "" }, body: Buffer.alloc(bytes) });
      await expect(chunked(1_000).catch(() => "refused")).resolves.toBeDefined();
      // A client may be cut off, but what it sent must never be handed over whole.
      let handed = 0;
      handler = (request, reply) => {
        handed = Math.max(handed, request.body.length);
        reply.send(200, [], "");
      };
      await chunked(LIMIT * 3).catch(() => undefined);
      expect(handed).toBeLessThanOrEqual(LIMIT);
    });

    test("a body far beyond the limit is not read to its end", async () => {
      let handed = 0;
      const asked: boolean[] = [];
      handler = (request, reply) => {
        handed = Math.max(handed, request.body.length);
        asked.push(request.tooLarge);
        reply.send(413, [], "too large");
      };
      const socket = connect({ host: "127.0.0.1", port: listener.port });
      socket.on("error", () => {});
      socket.resume();
      const piece = Buffer.alloc(65_536);
      const length = 900_000_000;
      socket.write(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n`);
      socket.setMaxListeners(0);
      let sent = 0;
      while (!socket.destroyed && sent < length) {
        sent += piece.length;
        if (socket.write(piece)) continue;
        await new Promise<void>((resolve) => {
          socket.once("drain", resolve);
          socket.once("close", () => resolve());
        });
      }
      await until("the connection is closed", () => socket.destroyed);
      expect([handed, asked]).toEqual([0, [true]]);
      // What is discarded, and what the kernel's buffers hold.
      expect(sent).toBeLessThan(100_000_000);
    });

    test("a body of many pieces arrives in order", async () => {
      handler = (request, reply) => reply.send(200, [], request.body);
      const socket = connect({ host: "127.0.0.1", port: listener.port });
      const chunks: Buffer[] = [];
      socket.on("data", (chunk) => chunks.push(chunk));
      socket.write("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 26\r\n\r\n");
      for (const letter of "abcdefghijklmnopqrstuvwxyz") {
        await new Promise((resolve) => socket.write(letter, resolve));
        await new Promise((resolve) => setImmediate(resolve));
      }
      await until("the reply is there", () =>
        Buffer.concat(chunks).toString().endsWith("abcdefghijklmnopqrstuvwxyz"),
      );
      socket.destroy();
    });

    test("many requests share a connection", async () => {
      handler = (request, reply) => reply.send(200, [], request.body);
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      for (let round = 0; round < 20; round++) {
        expect((await ask({ agent, body: `r${round}` })).body.toString()).toBe(`r${round}`);
      }
      agent.destroy();
    });

    test("a reply may come later, and replies to others meanwhile", async () => {
      let late: HttpReply | undefined;
      handler = (request, reply) => {
        if (request.path === "/late") late = reply;
        else reply.send(200, [], "at once");
      };
      const waiting = ask({ path: "/late" });
      await until("the late request is there", () => late !== undefined);
      expect((await ask()).body.toString()).toBe("at once");
      late?.send(200, [], "late");
      expect((await waiting).body.toString()).toBe("late");
    });

    test("a client that goes away is told of once, and writing to it then does nothing", async () => {
      let gone = 0;
      let reply: HttpReply | undefined;
      handler = (_request, each) => {
        reply = each;
        each.onDisconnect(() => gone++);
      };
      const socket = await openRaw();
      await until("the request is there", () => reply !== undefined);
      expect(reply?.isDisconnected).toBe(false);
      socket.destroy();
      await until("the client is gone", () => gone > 0);
      expect(reply?.isDisconnected).toBe(true);
      reply?.send(200, [], "too late");
      expect(gone).toBe(1);
    });

    test("a client that goes away within a stream is told of", async () => {
      let gone = false;
      handler = (_request, reply) => {
        reply.onDisconnect(() => {
          gone = true;
        });
        streamTo(reply, Number.POSITIVE_INFINITY);
      };
      const socket = await openRaw();
      socket.resume();
      await new Promise((resolve) => socket.once("data", resolve));
      socket.destroy();
      await until("the client is gone", () => gone);
    });

    test("a reader that is slow gets every byte, and the server keeps few of them meanwhile", async () => {
      const total = 40_000_000;
      let stream: ReturnType<typeof streamTo> | undefined;
      handler = (_request, reply) => {
        stream = streamTo(reply, total);
      };
      const incoming = await new Promise<IncomingMessage>((resolve, reject) => {
        httpRequest({ host: "127.0.0.1", port: listener.port, agent: false }, resolve)
          .on("error", reject)
          .end();
      });
      let received = 0;
      let wrong = 0;
      let most = 0;
      let rest: Buffer = Buffer.alloc(0);
      for await (const piece of incoming as AsyncIterable<Buffer>) {
        const chunk = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
        const whole = chunk.length - (chunk.length % 4);
        if (!chunk.subarray(0, whole).equals(patterned(received, whole))) wrong++;
        received += whole;
        rest = chunk.subarray(whole);
        most = Math.max(most, (stream?.written() ?? 0) - received);
      }
      expect([received, wrong, rest.length]).toEqual([total, 0, 0]);
      // What the kernel's buffers on both sides hold at most, and a few frames.
      expect(most).toBeLessThan(20_000_000);
      await until("the end is reported", () => stream?.flushed() === true);
    });

    test.each([0, 1, 5_119, 5_120, 5_121, 16_384, 65_537, 12_000_000])(
      "a whole reply of %i bytes reaches a reader that is slow to begin, to the last byte",
      async (length) => {
        const body = patterned(0, 4 * Math.ceil(length / 4)).subarray(0, length);
        handler = (_request, reply) => reply.send(200, [["X-Kind", "whole"]], body);
        const incoming = await new Promise<IncomingMessage>((resolve, reject) => {
          httpRequest({ host: "127.0.0.1", port: listener.port, agent: false }, (response) => {
            response.pause();
            setTimeout(() => resolve(response), 100);
          })
            .on("error", reject)
            .end();
        });
        const pieces: Buffer[] = [];
        for await (const piece of incoming as AsyncIterable<Buffer>) pieces.push(piece);
        expect(incoming.headers).toMatchObject({ "content-length": String(length), "x-kind": "whole" });
        expect(Buffer.concat(pieces).equals(body)).toBe(true);
      },
    );

    test("a large reply of text is counted in bytes", async () => {
      const text = "é€😀".repeat(20_000);
      handler = (_request, reply) => reply.send(200, [], text);
      const response = await fetch(`http://127.0.0.1:${listener.port}/`);
      expect(response.headers.get("content-length")).toBe(String(Buffer.byteLength(text)));
      expect(await response.text()).toBe(text);
    });

    test("readers that take nothing hold the server back, and its memory stays bounded", async () => {
      const total = 400_000_000;
      const streams: ReturnType<typeof streamTo>[] = [];
      handler = (_request, reply) => {
        streams.push(streamTo(reply, total));
      };
      const rssBefore = process.memoryUsage.rss();
      const sockets = await Promise.all(Array.from({ length: 5 }, () => openRaw()));
      const written = () => streams.reduce((sum, stream) => sum + stream.written(), 0);
      let seen = -1;
      let still = 0;
      await until("all streams stand still", () => {
        still = written() === seen ? still + 1 : 0;
        seen = written();
        return streams.length === sockets.length && still > 50;
      });
      for (const stream of streams) expect(stream.written()).toBeLessThan(20_000_000);
      expect(process.memoryUsage.rss() - rssBefore).toBeLessThan(200_000_000);
      for (const socket of sockets) socket.destroy();
    });

    test.each([0, 1, 2, 255, 256, 257, 65_537])("a stream of %i bytes arrives whole", async (total) => {
      handler = (_request, reply) => void streamTo(reply, total);
      const { status, headers, body } = await ask({ method: "GET" });
      expect([status, headers["x-kind"], body.length]).toEqual([200, "stream", total]);
      expect(body.equals(patterned(0, 4 * Math.ceil(total / 4)).subarray(0, total))).toBe(true);
    });

    test("a reset within a stream is an error for the client, whatever it had read", async () => {
      handler = (_request, reply) => {
        const stream = streamTo(reply, Number.POSITIVE_INFINITY);
        setImmediate(stream.reset);
      };
      await expect(ask({ method: "GET" })).rejects.toThrow();
      handler = (_request, reply) => streamTo(reply, Number.POSITIVE_INFINITY).reset();
      await expect(ask({ method: "GET" })).rejects.toThrow();
    });

    test("a reset reaches a client that reads nothing", async () => {
      let gone = false;
      handler = (_request, reply) => {
        reply.onDisconnect(() => {
          gone = true;
        });
        const stream = streamTo(reply, Number.POSITIVE_INFINITY);
        expect(stream.isBlocked()).toBe(true);
        stream.reset();
      };
      const socket = await openRaw();
      await until("the stream is reset", () => gone);
      socket.resume();
      await until("the client sees the end", () => socket.destroyed);
    });

    test("a port in use is refused by its code", async () => {
      const options = { host: "127.0.0.1", port: listener.port, limits: LIMITS, onRefused() {}, handle() {} };
      await expect(transport.listen(options)).rejects.toMatchObject({ code: "EADDRINUSE" });
    });

    test("an address that isn't ours is refused by its code", async () => {
      const options = { host: "192.0.2.1", port: 0, limits: LIMITS, onRefused() {}, handle() {} };
      await expect(transport.listen(options)).rejects.toMatchObject({ code: "EADDRNOTAVAIL" });
    });

    test("after stopAccepting the port is free, and what was under way still ends", async () => {
      let under: HttpReply | undefined;
      const own = await transport.listen({
        host: "127.0.0.1",
        port: 0,
        limits: LIMITS,
        onRefused: () => {},
        handle: (_request, reply) => {
          under = reply;
        },
      });
      const answer = new Promise<string>((resolve, reject) => {
        httpRequest({ host: "127.0.0.1", port: own.port, agent: false }, (incoming) => {
          incoming.on("data", (chunk: Buffer) => resolve(chunk.toString()));
          incoming.on("error", reject);
        })
          .on("error", reject)
          .end();
      });
      await until("the request is there", () => under !== undefined);
      own.stopAccepting();
      own.stopAccepting();
      const refused = new Promise((resolve) => connect(own.port, "127.0.0.1").once("error", resolve));
      await expect(refused).resolves.toMatchObject({ code: "ECONNREFUSED" });
      under?.send(200, [], "whole");
      await expect(answer).resolves.toBe("whole");
      await own.close();
    });

    test("close cuts what is still open", async () => {
      let asked = false;
      const own = await transport.listen({
        host: "127.0.0.1",
        port: 0,
        limits: LIMITS,
        onRefused: () => {},
        handle: () => {
          asked = true;
        },
      });
      const cut = new Promise((resolve) => {
        httpRequest({ host: "127.0.0.1", port: own.port, agent: false }).once("error", resolve).end();
      });
      await until("the request is there", () => asked);
      await own.close();
      await expect(cut).resolves.toBeInstanceOf(Error);
    });
  },
);

/** The builds of uWebSockets.js that are installed with the project, the newer one first. */
const BUILDS = ["@btc-vision/uwebsockets.js", "@trufflesuite/uws-js-unofficial"];

interface Choice {
  readonly name?: string;
  readonly error?: string;
  readonly lines: readonly (readonly [level: string, fields: unknown, message?: string])[];
  readonly stderr: string;
}

/** Runs chooseTransport in a process of its own, which can't load the packages `hidden`. */
function choose(wanted: string, hidden: readonly string[] = []): Promise<Choice> {
  const script = `
    const { chooseTransport } = await import(${JSON.stringify(CHOOSE)});
    const lines = [];
    const log = { info: (...line) => lines.push(["info", ...line]), warn: (...line) => lines.push(["warn", ...line]) };
    try {
      console.log(JSON.stringify({ name: chooseTransport(${JSON.stringify(wanted)}, log).name, lines }));
    } catch (error) {
      console.log(JSON.stringify({ error: error.message, lines }));
    }`;
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
      env: { ...process.env, NODE_OPTIONS: `--import ${HIDE}`, HIDE_PACKAGES: hidden.join() },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    let stderr = "";
    child.stdout.on("data", (chunk: Buffer) => {
      output += chunk.toString();
    });
    child.stderr.on("data", (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    child.once("error", reject);
    child.once("close", () => resolve({ ...JSON.parse(output), stderr }));
  });
}

describe("choosing a transport", () => {
  test.runIf(uwsTransport)(
    "auto and uws take a build of uWebSockets.js, and say in one line which and why not those before it",
    async () => {
      for (const wanted of ["auto", "uws"]) {
        const { name, lines, stderr } = await choose(wanted);
        expect({ name, stderr }).toEqual({ name: "uws", stderr: "" });
        const source = expect.stringMatching(
          /^(?:@btc-vision\/uwebsockets\.js|@trufflesuite\/uws-js-unofficial)$/,
        );
        const passedOver = expect.arrayContaining(["uWebSockets.js: not installed"]);
        const version = expect.stringMatching(/^20\.\d+\./);
        expect(lines).toEqual([["info", { source, version, passedOver }, "serving with uWebSockets.js"]]);
      }
    },
  );

  test("node takes node:http without a word", async () => {
    expect(await choose("node", BUILDS)).toEqual({ name: "node", lines: [], stderr: "" });
  });

  test("where no build loads, auto takes node:http and warns, uws throws", async () => {
    const reasons = ["uWebSockets.js", ...BUILDS].map((name) => `${name}: not installed`);
    expect(await choose("auto", BUILDS)).toEqual({
      name: "node",
      lines: [
        ["warn", { passedOver: reasons }, "no uWebSockets.js loads: serving with node:http, which is slower"],
      ],
      stderr: "",
    });
    const { error, lines, stderr } = await choose("uws", BUILDS);
    expect({ lines, stderr }).toEqual({ lines: [], stderr: "" });
    expect(error).toBe(`listen.transport is "uws", but no uWebSockets.js loads: ${reasons.join("; ")}`);
  });
});
