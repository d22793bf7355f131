import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deflateRawSync, gzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { Outcome } from "../../../../src/protocol/storage/failures.js";
import type { FetchReport } from "../../../../src/protocol/storage/operations.js";
import { createChildMemory, createChildTable } from "../../../../src/protocol/threads/child-table.js";
import { fetchImage, statedSha256 } from "../../../../src/workers/streams/image-fetch.js";
import { freePort } from "../../../support/daemon.js";
import { until } from "../../../support/until.js";

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

const shared = createChildMemory();
const children = createChildTable(shared);
const pids = () => [...new Int32Array(shared)].filter((pid) => pid !== 0);

let server: Server;
let url = "";
let handler: Handler = (_request, response) => void response.end();
let scratch = "";
let received = "";

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), "imagestore-fetch-"));
  received = join(scratch, "received");
  server = createServer((request, response) => handler(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  url = `http://127.0.0.1:${typeof address === "object" && address ? address.port : 0}/images/i/download`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
  rmSync(scratch, { recursive: true, force: true });
});
afterEach(() => {
  // A receiving command that is still in the table was not waited for.
  expect(pids()).toEqual([]);
});

const shell = (script: string) => ["sh", "-c", script];
/** Keeps what it gets, as a receive would. */
const keep = () => ["dd", `of=${received}`, "bs=64k", "status=none"];

interface Asked {
  readonly command?: readonly string[];
  readonly digest?: string;
  readonly url?: string;
  readonly idleMs?: number;
  readonly connectMs?: number;
  readonly signal?: AbortSignal;
}

function fetch(respond: Handler, asked: Asked = {}): Promise<Outcome<FetchReport>> {
  handler = respond;
  const order = { url: asked.url ?? url, command: asked.command ?? keep() };
  return fetchImage({
    order: asked.digest === undefined ? order : { ...order, digest: asked.digest },
    connectMs: asked.connectMs ?? 5_000,
    idleMs: asked.idleMs ?? 5_000,
    children,
    signal: asked.signal ?? new AbortController().signal,
  });
}

const body =
  (bytes: Buffer, headers: Record<string, string> = {}): Handler =>
  (_request, response) => {
    response.writeHead(200, { "content-length": String(bytes.length), ...headers });
    response.end(bytes);
  };

const data = randomBytes(300_000);
const zipped = gzipSync(data);
const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest();

describe("an image that comes whole", () => {
  test("reaches the receiving command byte for byte", async () => {
    const outcome = await fetch(body(data));
    expect(outcome).toEqual({ ok: true, value: { receivedBytes: data.length, streamBytes: data.length } });
    expect(readFileSync(received).equals(data)).toBe(true);
  });

  test("may come in chunks without a length", async () => {
    const outcome = await fetch((_request, response) => {
      for (let at = 0; at < data.length; at += 70_000) response.write(data.subarray(at, at + 70_000));
      response.end();
    });
    expect(outcome).toEqual({ ok: true, value: { receivedBytes: data.length, streamBytes: data.length } });
    expect(readFileSync(received).equals(data)).toBe(true);
  });

  test.each([
    ["without a header", {}],
    ["with Content-Encoding", { "content-encoding": "gzip" }],
    ["with Content-Type", { "content-type": "application/gzip" }],
  ])("is gunzipped when it is gzip by content, %s", async (_what, headers) => {
    const outcome = await fetch(body(zipped, headers));
    expect(outcome).toEqual({ ok: true, value: { receivedBytes: zipped.length, streamBytes: data.length } });
    expect(readFileSync(received).equals(data)).toBe(true);
  });

  test("is not gunzipped when only a header says gzip", async () => {
    const outcome = await fetch(body(data, { "content-encoding": "gzip" }));
    expect(outcome).toMatchObject({ ok: true });
    expect(readFileSync(received).equals(data)).toBe(true);
  });

  test("is recognised as gzip though its first bytes come one by one", async () => {
    const outcome = await fetch((_request, response) => {
      response.writeHead(200);
      response.write(zipped.subarray(0, 1));
      setImmediate(() => response.end(zipped.subarray(1)));
    });
    expect(outcome).toMatchObject({ ok: true, value: { streamBytes: data.length } });
  });

  test("may be several gzip members after another", async () => {
    const outcome = await fetch(body(Buffer.concat([zipped, zipped])));
    expect(outcome).toMatchObject({ ok: true, value: { streamBytes: 2 * data.length } });
  });

  test.each([0, 1, 2])("of %i bytes is handed on as it is", async (length) => {
    const outcome = await fetch(body(data.subarray(0, length)));
    expect(outcome).toEqual({ ok: true, value: { receivedBytes: length, streamBytes: length } });
    expect(readFileSync(received).equals(data.subarray(0, length))).toBe(true);
  });

  test("is found behind redirects", async () => {
    const outcome = await fetch((request, response) => {
      if (request.url === "/images/i/download") response.writeHead(302, { location: "/a" }).end();
      else if (request.url === "/a") response.writeHead(307, { location: "/b" }).end();
      else body(data)(request, response);
    });
    expect(outcome).toMatchObject({ ok: true, value: { streamBytes: data.length } });
  });

  test("is taken no faster than the command takes it", async () => {
    let sent = 0;
    const flag = join(scratch, "go");
    const outcome = fetch(
      (_request, response) => {
        response.writeHead(200);
        const more = () => {
          while (sent < 100_000_000) {
            sent += 1_000_000;
            if (!response.write(Buffer.alloc(1_000_000))) return void response.once("drain", more);
          }
          response.end();
        };
        more();
      },
      { command: shell(`while [ ! -e ${flag} ]; do sleep 0.01; done; cat >/dev/null`) },
    );
    let before = -1;
    await until(
      "the server is held back",
      async () => {
        await new Promise((resolve) => setTimeout(resolve, 100));
        const held = sent === before && sent > 0;
        before = sent;
        return held;
      },
      20_000,
    );
    expect(sent).toBeLessThan(50_000_000);
    writeFileSync(flag, "");
    expect(await outcome).toMatchObject({ ok: true, value: { streamBytes: 100_000_000 } });
  });
});

describe("digests", () => {
  const right = sha256(zipped);

  test.each([
    ["content-digest", `sha-256=:${right.toString("base64")}:`],
    ["repr-digest", `md5=:xxxx:, sha-256=:${right.toString("base64")}:`],
    ["digest", `SHA-256=${right.toString("base64")}`],
  ])("the right one in %s is accepted", async (name, value) => {
    expect(await fetch(body(zipped, { [name]: value }))).toMatchObject({ ok: true });
  });

  test.each(["content-digest", "repr-digest", "digest"])("a wrong one in %s is a mismatch", async (name) => {
    const value = `sha-256=:${sha256(data).toString("base64")}:`;
    expect(await fetch(body(zipped, { [name]: value }))).toMatchObject({
      ok: false,
      failure: { code: "image.digest_mismatch", message: expect.stringContaining(right.toString("hex")) },
    });
  });

  test("the order's digest counts more than the header's", async () => {
    const wrong = sha256(data).toString("hex");
    const headers = { "content-digest": `sha-256=:${right.toString("base64")}:` };
    expect(await fetch(body(zipped, headers), { digest: right.toString("hex") })).toMatchObject({ ok: true });
    expect(await fetch(body(zipped, headers), { digest: wrong })).toMatchObject({
      failure: { code: "image.digest_mismatch" },
    });
  });

  test.each([
    [{}, undefined],
    [{ digest: "md5=abc" }, undefined],
    [{ digest: "sha-256=tooshort=" }, undefined],
    [{ "content-digest": `sha-512=:${"A".repeat(86)}==:` }, undefined],
    [{ digest: `sha-256=${right.toString("base64")}` }, right.toString("hex")],
    [{ digest: [`sha-256=${right.toString("base64")}`] }, right.toString("hex")],
  ])("of headers %j the SHA-256 is %s", (headers, digest) => {
    expect(statedSha256(headers)).toBe(digest);
  });
});

describe("an image that does not come whole", () => {
  test("because its connection ends before its length is cut short", async () => {
    const outcome = await fetch((_request, response) => {
      response.writeHead(200, { "content-length": String(data.length) });
      response.write(data.subarray(0, 100_000), () => response.destroy());
    });
    expect(outcome).toMatchObject({ ok: false, failure: { code: "image.cut_short" } });
  });

  test("because its chunks end without a last one is cut short", async () => {
    const outcome = await fetch((_request, response) => {
      response.writeHead(200);
      response.write(data.subarray(0, 100_000), () => response.destroy());
    });
    expect(outcome).toMatchObject({ ok: false, failure: { code: "image.cut_short" } });
  });

  test("because the connection breaks before its first two bytes is cut short", async () => {
    const outcome = await fetch((_request, response) => {
      response.writeHead(200, { "content-length": "1000" });
      response.write("x", () => response.destroy());
    });
    expect(outcome).toMatchObject({ ok: false, failure: { code: "image.cut_short" } });
  });

  test("because the gzip data end early, though the reply ends well, is cut short", async () => {
    const outcome = await fetch(body(zipped.subarray(0, zipped.length - 1_000)));
    expect(outcome).toMatchObject({ ok: false, failure: { code: "image.cut_short" } });
  });

  test("whose gzip data are damaged is no usable stream", async () => {
    const damaged = Buffer.concat([zipped.subarray(0, 10), deflateRawSync(data).fill(0xff, 0, 200)]);
    expect(await fetch(body(damaged))).toMatchObject({ ok: false, failure: { code: "image.bad_stream" } });
  });

  test("never looks whole to the receiving command: it is killed, not fed an end", async () => {
    const note = join(scratch, "saw-the-end");
    const outcome = await fetch(
      (_request, response) => {
        response.writeHead(200, { "content-length": String(data.length) });
        response.write(data.subarray(0, 100_000), () => response.destroy());
      },
      { command: shell(`cat >/dev/null && echo end > ${note}`) },
    );
    expect(outcome).toMatchObject({ failure: { code: "image.cut_short" } });
    expect(() => readFileSync(note)).toThrow("ENOENT");
  });

  test.each([204, 301, 403, 404, 500, 503])(
    "because the reply is %i names status and url",
    async (status) => {
      const outcome = await fetch((_request, response) => void response.writeHead(status).end("body"));
      expect(outcome).toEqual({
        ok: false,
        failure: {
          code: "image.http_status",
          message: `unexpected http response code: expected 200, received ${status}, url: ${url}`,
        },
      });
    },
  );

  test("because redirects lead in a circle fails", async () => {
    let asked = 0;
    const outcome = await fetch((_request, response) => {
      asked++;
      response.writeHead(302, { location: "/again" }).end();
    });
    expect(outcome.ok ? "" : outcome.failure.code).toMatch(/^image\.(?:http_status|unreachable)$/);
    expect(asked).toBeLessThan(20);
  });

  test("because nobody listens is unreachable", async () => {
    const outcome = await fetch(() => {}, { url: `http://127.0.0.1:${await freePort()}/x` });
    expect(outcome).toMatchObject({ ok: false, failure: { code: "image.unreachable" } });
  });

  test("because the server never replies is unreachable after the idle time", async () => {
    const outcome = await fetch(() => {}, { idleMs: 1_200 });
    expect(outcome).toMatchObject({
      ok: false,
      failure: { code: "image.unreachable", message: expect.stringContaining("went silent") },
    });
  });

  test("because the server goes silent within the body is unreachable after the idle time", async () => {
    const outcome = await fetch(
      (_request, response) => {
        response.writeHead(200, { "content-length": "1000000" });
        response.write(data.subarray(0, 1_000));
      },
      { idleMs: 1_200 },
    );
    expect(outcome).toMatchObject({ ok: false, failure: { code: "image.unreachable" } });
  });

  test("because the server speaks no HTTP fails", async () => {
    const tcp = createTcpServer((socket) => {
      socket.on("error", () => {});
      socket.end("220 hello\r\n");
    });
    await new Promise<void>((resolve) => tcp.listen(0, "127.0.0.1", resolve));
    const address = tcp.address();
    const port = typeof address === "object" && address ? address.port : 0;
    const outcome = await fetch(() => {}, { url: `http://127.0.0.1:${port}/` });
    expect(outcome.ok ? "" : outcome.failure.code).toMatch(/^image\./);
    tcp.close();
  });
});

describe("a fetch that is given up", () => {
  test("while bytes come kills the receiving command and is interrupted", async () => {
    const abort = new AbortController();
    const outcome = fetch(
      (_request, response) => {
        response.writeHead(200);
        response.write(data);
      },
      { signal: abort.signal },
    );
    await until("the command runs", () => pids().length === 1);
    abort.abort();
    expect(await outcome).toMatchObject({ ok: false, failure: { code: "service.interrupted" } });
  });

  test("while the command takes nothing is interrupted too", async () => {
    const abort = new AbortController();
    const outcome = fetch(body(Buffer.alloc(10_000_000)), {
      signal: abort.signal,
      command: ["sleep", "1000"],
    });
    await until("the command runs", () => pids().length === 1);
    abort.abort();
    expect(await outcome).toMatchObject({ ok: false, failure: { code: "service.interrupted" } });
  });

  test("before its first byte is interrupted", async () => {
    const abort = new AbortController();
    const outcome = fetch(() => abort.abort(), { signal: abort.signal });
    expect(await outcome).toMatchObject({ ok: false, failure: { code: "service.interrupted" } });
  });

  test("before it began is interrupted", async () => {
    const outcome = await fetch(body(data), { signal: AbortSignal.abort() });
    expect(outcome).toMatchObject({ ok: false, failure: { code: "service.interrupted" } });
  });
});

describe("a receiving command that fails", () => {
  const bad = "cannot receive: invalid stream (bad magic number)";

  test("before it has read all tells why", async () => {
    const outcome = await fetch(body(Buffer.alloc(20_000_000)), {
      command: shell(`head -c 10 >/dev/null; echo "${bad}" >&2; exit 1`),
    });
    expect(outcome).toMatchObject({ ok: false, failure: { code: "image.bad_stream" } });
  });

  test("while the server is slow tells why, and not that the image can't be reached", async () => {
    const outcome = await fetch(
      (_request, response) => {
        response.writeHead(200);
        response.write(data.subarray(0, 1_000));
        const timer = setInterval(() => response.write(data.subarray(0, 1_000)), 300);
        response.on("close", () => clearInterval(timer));
      },
      { command: shell(`head -c 10 >/dev/null; echo "${bad}" >&2; exit 1`) },
    );
    expect(outcome).toMatchObject({ ok: false, failure: { code: "image.bad_stream" } });
  });

  test("after it has read all tells why", async () => {
    const outcome = await fetch(body(data), {
      command: shell(`cat >/dev/null; echo "cannot receive new filesystem stream: out of space" >&2; exit 1`),
    });
    expect(outcome).toMatchObject({ ok: false, failure: { code: "pool.no_space" } });
  });

  test("that others kill is interrupted", async () => {
    const outcome = await fetch(body(data), { command: shell("kill -9 $$") });
    expect(outcome).toMatchObject({ ok: false, failure: { code: "service.interrupted" } });
  });

  test("that ends well before the body does is no success", async () => {
    const outcome = await fetch(body(Buffer.alloc(20_000_000)), { command: shell("head -c 10 >/dev/null") });
    expect(outcome).toMatchObject({ ok: false, failure: { code: "image.bad_stream" } });
  });

  test("because there is no such program is command.missing", async () => {
    const outcome = await fetch(body(data), { command: ["/no/such/program"] });
    expect(outcome).toMatchObject({ ok: false, failure: { code: "command.missing" } });
  });
});

test("a hundred fetches leave neither sockets nor processes", async () => {
  for (let round = 0; round < 20; round++) {
    const outcomes = await Promise.all(
      Array.from({ length: 5 }, () => fetch(body(data), { command: shell("cat >/dev/null") })),
    );
    expect(outcomes.every(({ ok }) => ok)).toBe(true);
  }
  expect(pids()).toEqual([]);
  await until(
    "no connection is open",
    () => new Promise((resolve) => server.getConnections((_error, count) => resolve(count === 0))),
  );
});
