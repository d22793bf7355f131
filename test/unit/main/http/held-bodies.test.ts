import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { nodeTransport } from "../../../../src/main/http/node.js";
import { createUwsTransport } from "../../../../src/main/http/uws.js";
import { loadUws } from "../../../../src/main/http/uws-builds.js";
import type { IncomingBody, Listener } from "../../../../src/protocol/http/transport.js";
import { until } from "../../../support/until.js";

const LIMITS = {
  bodyBytes: 1_000,
  bodyBytesInFlight: 1_000_000,
  headBytes: 8_000,
  connections: 100,
  bodyMs: 60_000,
  replyMs: 60_000,
};
const { build } = loadUws();
const transports = [nodeTransport, ...(build ? [createUwsTransport(build)] : [])];
/** Longer than any build of uWebSockets.js keeps a connection of which nothing comes. */
const LONG_MS = 14_000;
const CHUNK = Buffer.alloc(16_000, 7);
/** After some of so many pairs of chunks, a further chunk starts the module's clock. */
const MOST_PAIRS = 12;

const chunked = (data: Buffer) =>
  Buffer.concat([Buffer.from(`${data.length.toString(16)}\r\n`), data, Buffer.from("\r\n")]);

/** Sends the head of a body without a known length. */
async function begin(port: number, path: string): Promise<{ socket: Socket; answer: () => string }> {
  const socket = connect(port, "127.0.0.1");
  socket.setNoDelay(true);
  await once(socket, "connect");
  let answer = "";
  socket.on("data", (data) => {
    answer += data.toString();
  });
  socket.on("error", () => {});
  socket.write(`POST ${path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`);
  return { socket, answer: () => answer };
}

describe.each(transports.map((transport) => [transport.name, transport] as const))(
  "a body that is held back, by %s",
  (_name, transport) => {
    let listener: Listener;
    /** Those that are held back, by their paths. */
    const held = new Map<string, IncomingBody>();

    beforeAll(async () => {
      listener = await transport.listen({
        ...{ host: "127.0.0.1", port: 0, limits: LIMITS, onRefused: () => {}, streams: () => true },
        /** Holds a body back at the first piece behind as many bytes as its path says. */
        handle: ({ path, incoming }, reply) => {
          const after = Number(path.slice(1));
          let taken = 0;
          incoming?.start({
            onPiece: ({ length }) => {
              const before = taken;
              taken += length;
              if (before > after || taken <= after) return;
              incoming.pause();
              held.set(path, incoming);
            },
            onEnd: (isWhole) => {
              if (isWhole) reply.send(200, [], `took ${taken}`);
            },
          });
        },
      });
    });
    afterAll(() => listener.close());

    async function holdAfter(pairs: number): Promise<void> {
      const path = `/${pairs * 2 * CHUNK.length}`;
      const { socket, answer } = await begin(listener.port, path);
      const pair = Buffer.concat([chunked(CHUNK), chunked(CHUNK)]);
      for (let sent = 0; sent <= pairs; sent++) {
        socket.write(pair);
        await sleep(20);
      }
      await until("it is held back", () => held.has(path));
      await sleep(LONG_MS);
      expect(`${pairs} pairs: ${socket.destroyed ? "destroyed" : answer()}`).toBe(`${pairs} pairs: `);
      held.get(path)?.resume();
      socket.write(Buffer.concat([chunked(CHUNK), Buffer.from("0\r\n\r\n")]));
      await until("it is answered", () => answer().includes(`took ${(2 * pairs + 3) * CHUNK.length}`));
      socket.destroy();
    }

    test("outlives the limit of idle connections, whatever was read with the piece that it was held back at", async () => {
      await Promise.all(Array.from({ length: MOST_PAIRS }, (_, pairs) => holdAfter(pairs)));
    });

    test("by its last piece lets the connection have its next request", async () => {
      const { socket, answer } = await begin(listener.port, "/4");
      for (let request = 1; request <= 3; request++) {
        if (request > 1) socket.write("POST /4 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        socket.write("5\r\nabcde\r\n0\r\n\r\n");
        await until("its piece has come", () => held.has("/4"));
        held.get("/4")?.resume();
        held.delete("/4");
        await until("it is answered", () => answer().split("took 5").length === request + 1);
      }
      socket.destroy();
    });
  },
);
