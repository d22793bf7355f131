import { readFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { connect } from "node:net";
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { HttpReply, HttpRequest, TlsListener } from "../../../../src/protocol/http/transport.js";
import { createTestCa, issueForHost, materialOf } from "../../../support/certificates.js";
import { patterned, streamTo } from "../../../support/streams.js";
import { transports } from "../../../support/transports.js";
import { until } from "../../../support/until.js";

const MIB = 1024 * 1024;
const LIMITS = {
  bodyBytes: 4 * MIB,
  bodyBytesInFlight: 16 * MIB,
  bodyMs: 30_000,
  replyMs: 30_000,
  connections: 1_000,
};

describe.each(transports.map((transport) => [transport.name, transport] as const))(
  "the %s transport with TLS",
  (_name, transport) => {
    const ca = createTestCa();
    const trusted = { ca: readFileSync(ca.file) };
    const first = materialOf(issueForHost(ca, "first"));
    const second = materialOf(issueForHost(ca, "second"));
    let listener: TlsListener;
    let handler: (request: HttpRequest, reply: HttpReply) => void = (_request, reply) =>
      reply.send(200, [], "");

    beforeAll(async () => {
      listener = await transport.listenTls(
        {
          host: "127.0.0.1",
          port: 0,
          limits: LIMITS,
          onRefused: () => {},
          handle: (request, reply) => handler(request, reply),
        },
        first,
      );
    });
    afterAll(async () => {
      await listener.close();
      ca.remove();
    });

    function ask(body = "", agent: Agent | false = false): Promise<Buffer> {
      const { port } = listener;
      return new Promise((resolve, reject) => {
        const sent = request({ host: "127.0.0.1", port, method: "POST", agent, ...trusted }, (reply) => {
          const parts: Buffer[] = [];
          reply.on("data", (part: Buffer) => parts.push(part));
          reply.on("error", reject);
          reply.on("end", () => resolve(Buffer.concat(parts)));
        });
        sent.on("error", reject);
        sent.end(body);
      });
    }
    /** The name of the certificate that a new connection is shown. */
    async function shown(options: ConnectionOptions = {}): Promise<string> {
      const socket = await open(options);
      const { CN } = socket.getPeerCertificate().subject;
      socket.destroy();
      return String(CN);
    }
    function open(options: ConnectionOptions = {}): Promise<TLSSocket> {
      return new Promise((resolve, reject) => {
        const all = { host: "127.0.0.1", port: listener.port, ...trusted, ...options };
        const socket = connectTls(all, () => resolve(socket));
        socket.once("error", reject);
      });
    }

    test("hands over requests, and says that they have come by TLS", async () => {
      let seen: unknown;
      handler = (request, reply) => {
        seen = [request.body, reply.tls !== undefined, reply.peer.endsWith("127.0.0.1")];
        reply.send(200, [], `back ${request.body}`);
      };
      expect((await ask("héllo")).toString()).toBe("back héllo");
      expect(seen).toEqual(["héllo", true, true]);
    });

    test("takes whole bodies, and sends whole replies, of a few MiB", async () => {
      const text = "0123456789abcdef".repeat((3 * MIB) / 16);
      handler = (request, reply) => reply.send(200, [], request.body);
      expect((await ask(text)).equals(Buffer.from(text))).toBe(true);
    });

    test("streams whole to a reader that rests now and then", async () => {
      const length = 16 * MIB;
      handler = (_request, reply) => void streamTo(reply, length);
      const socket = await open();
      socket.write("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
      const parts: Buffer[] = [];
      let rests = 0;
      socket.on("data", (part: Buffer) => {
        parts.push(part);
        if (++rests % 64 !== 0) return;
        socket.pause();
        setTimeout(() => socket.resume(), 5);
      });
      await until("the last chunk has come", () => parts.at(-1)?.toString().endsWith("0\r\n\r\n") === true);
      socket.destroy();
      const received = Buffer.concat(parts);
      const bytes = withoutChunks(received.subarray(received.indexOf("\r\n\r\n") + 4));
      expect(bytes.equals(patterned(0, length))).toBe(true);
    });

    test("a stream that is cut has no end that a client could take for its own", async () => {
      handler = (_request, reply) => {
        const stream = streamTo(reply, 64 * MIB);
        setTimeout(stream.reset, 50);
      };
      await expect(ask()).rejects.toThrow();
    });

    test("speaks TLS 1.2 and 1.3, and nothing older", async () => {
      for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
        const socket = await open({ minVersion: version, maxVersion: version });
        expect(socket.getProtocol()).toBe(version);
        socket.destroy();
      }
      // Node's own client would take TLS 1.1 with ciphers of that security level.
      const old = { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" } as const;
      await expect(open(old)).rejects.toThrow(/alert|protocol|unsupported/i);
    });

    test.each(["GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\0".repeat(20_000), "x"])(
      "what is no TLS hangs nobody and ends nothing (%#)",
      async (text) => {
        handler = (_request, reply) => reply.send(200, [], "served");
        const socket = connect(listener.port, "127.0.0.1");
        socket.on("error", () => {});
        socket.resume();
        socket.write(text);
        // One byte may be the beginning of a handshake. Its time is not waited for here.
        if (text.length > 1) await until("it is cut off", () => socket.destroyed, 20_000);
        else socket.end();
        expect((await ask()).toString()).toBe("served");
        socket.destroy();
      },
    );

    test("shows a renewed certificate to new connections, and those that are open go on", async () => {
      handler = (_request, reply) => reply.send(200, [], "served");
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      await ask("", agent);
      const { port } = listener;
      for (const [next, name] of [[second, "second"] as const, [first, "first"] as const]) {
        await listener.renew(next);
        expect(listener.port).toBe(port);
        expect(await shown()).toBe(name);
        expect((await ask("", agent)).toString()).toBe("served");
      }
      expect(
        Object.values(agent.sockets).flat().length + Object.values(agent.freeSockets).flat().length,
      ).toBe(1);
      agent.destroy();
    });

    test("keeps its certificate when the next one can't be used", async () => {
      handler = (_request, reply) => reply.send(200, [], "served");
      const { certFile, cert } = second;
      // The certificate of one and the key of another.
      await expect(listener.renew({ ...first, certFile, cert })).rejects.toThrow();
      expect(await shown()).toBe("first");
      expect((await ask()).toString()).toBe("served");
    });

    test("renews while clients come, and loses none that is connected", async () => {
      handler = (_request, reply) => reply.send(200, [], "served");
      const agent = new Agent({ keepAlive: true, maxSockets: 8 });
      await Promise.all(Array.from({ length: 8 }, () => ask("", agent)));
      const calls = Array.from({ length: 200 }, () => ask("", agent));
      for (let round = 0; round < 10; round++) await listener.renew(round % 2 === 0 ? second : first);
      expect((await Promise.all(calls)).every((reply) => reply.toString() === "served")).toBe(true);
      agent.destroy();
    });
  },
);

/** The bytes of a chunked body. */
function withoutChunks(body: Buffer): Buffer {
  const parts: Buffer[] = [];
  let at = 0;
  for (;;) {
    const end = body.indexOf("\r\n", at);
    const length = Number.parseInt(body.toString("latin1", at, end), 16);
    if (length === 0) return Buffer.concat(parts);
    parts.push(body.subarray(end + 2, end + 2 + length));
    at = end + 2 + length + 2;
  }
}
