import { spawn } from "node:child_process";
import { createHash, randomBytes, randomInt } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Server } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { getReply, type Reply } from "../../../../src/workers/streams/http-get.js";
import { createTestCa, type TestCa } from "../../../support/certificates.js";
import { until } from "../../../support/until.js";

const BODY = randomBytes(24 * 1024 * 1024);
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const OF_BODY = sha256(BODY);
const SCRIPT = fileURLToPath(new URL("../../../../compiled/workers/streams/http-get.js", import.meta.url));

/** Sends BODY in pieces of all sizes. Its path says how: /plain with a length, /coded in chunks. */
const respond: RequestListener = (request, response) => {
  if (request.url === "/plain") response.setHeader("content-length", BODY.length);
  let at = 0;
  const more = () => {
    while (at < BODY.length) {
      const piece = BODY.subarray(at, at + randomInt(1, 400_000));
      at += piece.length;
      if (!response.write(piece)) return void response.once("drain", more);
    }
    response.end();
  };
  more();
};

const portOf = (server: Server) => (server.address() as AddressInfo).port;
const listen = (server: Server) => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));

const server = createServer(respond);
let ca: TestCa;
let tls: ReturnType<typeof createTlsServer>;
beforeAll(async () => {
  await listen(server);
  ca = createTestCa();
  const { cert, key } = ca.issue("service", { subject: "/CN=service", names: "DNS:localhost,IP:127.0.0.1" });
  tls = createTlsServer({ cert: readFileSync(cert), key: readFileSync(key) }, respond);
  await listen(tls);
});
afterAll(() => {
  server.close();
  tls.close();
  ca.remove();
});

const get = (url: string) =>
  getReply(new URL(url), {
    connectMs: 10_000,
    idleMs: 10_000,
    signal: new AbortController().signal,
    lookup: undefined,
    silent: (message) => new Error(message),
  });

/** Reads a body, and gives each piece back only `delayOf()` ms later: until then its bytes must stay as they are. */
function read({ body }: Reply, delayOf: () => number): Promise<{ digest: string; mostHeld: number }> {
  const hash = createHash("sha256");
  let held = 0;
  let mostHeld = 0;
  /** Pieces are taken one after another, as a command takes them. */
  let before = Promise.resolve();
  return new Promise((resolve, reject) => {
    body.pour({
      onPiece: (piece, done) => {
        held += piece.length;
        mostHeld = Math.max(mostHeld, held);
        before = before.then(async () => {
          const ms = delayOf();
          if (ms > 0) await new Promise((wait) => setTimeout(wait, ms));
          hash.update(piece);
          held -= piece.length;
          done();
        });
      },
      onEnd: () => void before.then(() => resolve({ digest: hash.digest("hex"), mostHeld })),
      onError: reject,
    });
  });
}

describe.each(["plain", "coded"])("a %s body", (kind) => {
  test.each([
    ["a quick reader", () => 0],
    ["a slow reader", () => 3],
    ["a reader that halts now and then", () => (randomInt(20) === 0 ? 40 : 0)],
  ])("comes as it was sent to %s, and little of it waits", async (_who, delayOf) => {
    const reply = await get(`http://127.0.0.1:${portOf(server)}/${kind}`);
    const { digest, mostHeld } = await read(reply, delayOf);
    expect(digest).toBe(OF_BODY);
    expect(mostHeld).toBeLessThan(2 * 1024 * 1024);
    reply.destroy();
  });

  test("waits for a reader who gives nothing back, with little in memory", async () => {
    const reply = await get(`http://127.0.0.1:${portOf(server)}/${kind}`);
    const held: (() => void)[] = [];
    let bytes = 0;
    let isSlow = true;
    const ended = new Promise<void>((resolve, reject) => {
      reply.body.pour({
        onPiece: (piece, done) => {
          bytes += piece.length;
          if (isSlow) held.push(done);
          else done();
        },
        onEnd: resolve,
        onError: reject,
      });
    });
    await until("something comes", () => bytes > 512 * 1024);
    await new Promise((wait) => setTimeout(wait, 500));
    expect(bytes).toBeLessThan(1.5 * 1024 * 1024);
    isSlow = false;
    for (const done of held) done();
    await ended;
    expect(bytes).toBe(BODY.length);
    reply.destroy();
  });

  test("is whole for who looks at its first bytes before", async () => {
    const reply = await get(`http://127.0.0.1:${portOf(server)}/${kind}`);
    expect((await reply.body.first(2)).subarray(0, 2)).toEqual(BODY.subarray(0, 2));
    expect((await reply.body.first(100_000)).length).toBeGreaterThanOrEqual(100_000);
    expect((await read(reply, () => 0)).digest).toBe(OF_BODY);
    reply.destroy();
  });

  test("comes by TLS from a service whose CA is known, to slow readers too", async () => {
    const url = `https://localhost:${portOf(tls)}/${kind}`;
    // A process takes further CAs at its start alone.
    const child = spawn(process.execPath, ["--input-type=module", "-e", READER, SCRIPT, url], {
      env: { ...process.env, NODE_EXTRA_CA_CERTS: join(ca.folder, "ca.pem") },
      stdio: ["ignore", "pipe", "inherit"],
    });
    let text = "";
    child.stdout.on("data", (chunk) => {
      text += chunk;
    });
    expect(await new Promise((resolve) => child.once("close", resolve))).toBe(0);
    expect(text).toBe(OF_BODY);
  });
});

/** Prints the digest of a body that it reads slowly. */
const READER = `
import { createHash } from "node:crypto";
const [script, url] = process.argv.slice(1);
const { getReply } = await import(script);
const signal = new AbortController().signal;
const reply = await getReply(new URL(url), { connectMs: 1e4, idleMs: 1e4, signal, silent: (text) => new Error(text) });
const hash = createHash("sha256");
let before = Promise.resolve();
reply.body.pour({
  onPiece: (piece, done) => {
    before = before.then(() => new Promise((wait) => setTimeout(wait, 1))).then(() => (hash.update(piece), done()));
  },
  onEnd: () => before.then(() => (process.stdout.write(hash.digest("hex")), reply.destroy())),
  onError: (error) => { throw error; },
});
`;

test("a service that falls silent is noticed also after its reader has made it wait for longer", async () => {
  const still = createServer((_request, response) => void response.write(BODY.subarray(0, 8 * 1024 * 1024)));
  await listen(still);
  const { body } = await getReply(new URL(`http://127.0.0.1:${portOf(still)}/`), {
    connectMs: 10_000,
    idleMs: 100,
    signal: new AbortController().signal,
    lookup: undefined,
    silent: (message) => new Error(message),
  });
  const waiting: (() => void)[] = [];
  let isSlow = true;
  const broken = new Promise((resolve) => {
    body.pour({
      onPiece: (_piece, done) => void (isSlow ? waiting.push(done) : done()),
      onEnd: () => resolve("whole"),
      onError: resolve,
    });
  });
  await new Promise((resolve) => setTimeout(resolve, 350));
  isSlow = false;
  for (const done of waiting) done();
  expect(await broken).toMatchObject({ message: "nothing came for 100 ms" });
  still.closeAllConnections();
  still.close();
});

test("a service whose certificate nobody has signed is refused", async () => {
  await expect(get(`https://localhost:${portOf(tls)}/plain`)).rejects.toMatchObject({
    code: expect.stringMatching(/SELF_SIGNED|UNABLE_TO_/),
  });
});

test("no memory is taken for each piece of a plain body", async () => {
  const reply = await get(`http://127.0.0.1:${portOf(server)}/plain`);
  const seen = new Set<ArrayBufferLike>();
  await new Promise<void>((resolve, reject) => {
    reply.body.pour({
      onPiece: (piece, done) => {
        seen.add(piece.buffer);
        setImmediate(done);
      },
      onEnd: resolve,
      onError: reject,
    });
  });
  reply.destroy();
  // Four slabs, and the bytes that came with the head.
  expect(seen.size).toBeLessThanOrEqual(6);
});
