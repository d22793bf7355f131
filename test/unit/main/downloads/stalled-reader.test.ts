import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, test } from "vitest";
import type { Listener } from "../../../../src/protocol/http/transport.js";
import { patterned, streamTo } from "../../../support/streams.js";
import { uwsTransport } from "../../../support/transports.js";
import { until } from "../../../support/until.js";

/** Longer than uWebSockets.js waits for a reader by itself, which is 10 s. */
const STALL_MS = 18_000;

const ended = new Set<string>();
let listener: Listener;
/** What a reader that takes nothing lets through. */
let taken = () => 0;

beforeAll(async () => {
  if (!uwsTransport) return;
  listener = await uwsTransport.listen({
    host: "127.0.0.1",
    port: 0,
    limits: { bodyBytes: 1024, bodyBytesInFlight: 1024, bodyMs: 30_000, replyMs: 30_000, connections: 100 },
    onRefused: () => {},
    handle: ({ path, query }, reply) => {
      const stream = streamTo(reply, Number(query));
      if (path === "/measure") taken = stream.written;
      until("the stream is flushed", stream.flushed, 2 * STALL_MS).then(
        () => ended.add(path),
        () => {},
      );
    },
  });
});
afterAll(() => listener?.close());

/** The bytes of a body in chunked coding. */
function dechunked(body: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < body.length; ) {
    const line = body.indexOf("\r\n", at);
    const size = Number.parseInt(body.toString("latin1", at, line), 16);
    if (size === 0) return Buffer.concat(parts);
    parts.push(body.subarray(line + 2, line + 2 + size));
    at = line + 2 + size + 2;
  }
  throw new Error(`no last chunk after ${Buffer.concat(parts).length} bytes`);
}

/** Reads `first` bytes of a stream, nothing for a while, and then the rest. @returns the body. */
async function readWithPause(path: string, total: number, first: number): Promise<Buffer> {
  const socket = connect({ host: "127.0.0.1", port: listener.port });
  socket.pause();
  socket.write(`GET ${path}?${total} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
  const pieces: Buffer[] = [];
  let received = 0;
  let stalls = true;
  const whole = new Promise<Buffer>((resolve, reject) => {
    socket.on("data", (piece) => {
      pieces.push(piece);
      received += piece.length;
      if (stalls && received >= first) socket.pause();
    });
    socket.once("end", () => resolve(Buffer.concat(pieces)));
    socket.once("error", reject);
  });
  if (first > 0) socket.resume();
  await sleep(STALL_MS);
  stalls = false;
  socket.resume();
  const reply = await whole;
  socket.destroy();
  return dechunked(reply.subarray(reply.indexOf("\r\n\r\n") + 4));
}

/** How many bytes are written for a reader that takes nothing before it holds the server back. */
async function roomOfReader(): Promise<number> {
  const socket = connect({ host: "127.0.0.1", port: listener.port });
  socket.pause();
  socket.write("GET /measure?100000000 HTTP/1.1\r\nHost: x\r\n\r\n");
  let before = -1;
  await until("nothing more is written", async () => {
    before = taken();
    await sleep(100);
    return before > 0 && taken() === before;
  });
  socket.destroy();
  return before;
}

async function expectWhole(path: string, total: number, first: number): Promise<void> {
  const body = await readWithPause(path, total, first);
  const sent = patterned(0, 4 * Math.ceil(total / 4)).subarray(0, total);
  if (!body.equals(sent)) throw new Error(`got ${body.length} bytes of ${total}, or not those sent`);
  await until("the end is reported", () => ended.has(path));
}

describe
  .skipIf(!uwsTransport)
  .concurrent("a reader that takes nothing for 18 s still gets every byte", () => {
    test.each([
      ["/middle", 40_000_000, 1_000_000, "after it has read some"],
      ["/begin", 40_000_000, 0, "before it has read any"],
    ] as const)("%s of %i bytes, %i read before: %s", async (path, total, first, _when) => {
      await expectWhole(path, total, first);
    });

    test("when it stalls about where the stream ends", async () => {
      const room = await roomOfReader();
      const ends = Array.from({ length: 16 }, (_, index) => room + (index - 12) * 8_000);
      await Promise.all(ends.map((total, index) => expectWhole(`/end-${index}`, total, 0)));
    });
  });
