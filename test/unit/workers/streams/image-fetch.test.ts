import { execFileSync, spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { lookup } from "node:dns/promises";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTcpServer } from "node:net";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { deflateRawSync, gzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { FAILURES, type Outcome } from "../../../../src/protocol/storage/failures.js";
import type { ImageHosts } from "../../../../src/protocol/storage/image-hosts.js";
import type { DatasetName } from "../../../../src/protocol/storage/names.js";
import type { FetchReport } from "../../../../src/protocol/storage/operations.js";
import { createChildMemory, createChildTable } from "../../../../src/protocol/threads/child-table.js";
import { fetchImage } from "../../../../src/workers/streams/image-fetch.js";
import { statedSha256 } from "../../../../src/workers/streams/stated-digest.js";
import { startZstd } from "../../../../src/workers/streams/unpacker.js";
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
  readonly size?: number;
  readonly url?: string;
  readonly hosts?: ImageHosts;
  readonly idleMs?: number;
  readonly connectMs?: number;
  readonly signal?: AbortSignal;
  readonly endsByInput?: boolean;
}

function fetch(respond: Handler, asked: Asked = {}): Promise<Outcome<FetchReport>> {
  handler = respond;
  const hosts = asked.hosts ?? { service: new URL(asked.url ?? url).host, sources: [] };
  const target = "tank/images/fetched" as DatasetName;
  const { digest, size, endsByInput = false } = asked;
  const expected = { ...(digest !== undefined && { digest }), ...(size !== undefined && { size }) };
  const order = {
    url: asked.url ?? url,
    target,
    command: asked.command ?? keep(),
    hosts,
    endsByInput,
    ...expected,
  };
  return fetchImage({
    order,
    connectMs: asked.connectMs ?? 5_000,
    idleMs: asked.idleMs ?? 5_000,
    repeats: { attempts: 4, firstDelayMs: 2, mostDelayMs: 20 },
    ranges: 1,
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

  // `zfs receive` ends when it has read the end of the stream, and waits for no end of its input.
  test.each([
    ["", data],
    [", gzipped", zipped],
  ])("may end long after the command has read all that it needs%s", async (_how, bytes) => {
    rmSync(received, { force: true });
    const hasAll = () => existsSync(received) && statSync(received).size === data.length;
    const outcome = await fetch(
      (_request, response) => {
        response.write(bytes);
        void until("the command has ended", () => hasAll() && pids().length === 0).then(() => response.end());
      },
      { command: shell(`head -c ${data.length} >${received}`) },
    );
    expect(outcome).toEqual({ ok: true, value: { receivedBytes: bytes.length, streamBytes: data.length } });
    expect(readFileSync(received).equals(data)).toBe(true);
  });

  test("may end at the moment at which the command does", async () => {
    const command = shell(`head -c ${data.length} >${received}`);
    for (let pauseMs = 0; pauseMs < 12; pauseMs++) {
      const outcome = await fetch(
        (_request, response) => {
          response.write(data);
          setTimeout(() => response.end(), pauseMs);
        },
        { command },
      );
      expect(outcome).toMatchObject({ ok: true });
    }
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

/** Packs by the program zstd. */
function zstd(bytes: Buffer): Buffer {
  return execFileSync("zstd", ["-qc", "-3"], { input: bytes, maxBuffer: 2 ** 30 });
}
const hasZstd = spawnSync("zstd", ["--version"]).status === 0;
if (!hasZstd) console.info("skipped: images packed by zstd, since there is no program zstd");

describe.skipIf(!hasZstd)("an image that is zstd by content", () => {
  const packed = hasZstd ? zstd(data) : Buffer.alloc(0);

  test("is unpacked", async () => {
    const outcome = await fetch(body(packed));
    expect(outcome).toEqual({ ok: true, value: { receivedBytes: packed.length, streamBytes: data.length } });
    expect(readFileSync(received).equals(data)).toBe(true);
  });

  test("may be several frames after another, and come byte by byte at first", async () => {
    const outcome = await fetch((_request, response) => {
      response.write(packed.subarray(0, 1));
      setImmediate(() => response.end(Buffer.concat([packed.subarray(1), packed])));
    });
    expect(outcome).toMatchObject({ ok: true, value: { streamBytes: 2 * data.length } });
  });

  test("is cut short when its data end early, though the reply ends well", async () => {
    const outcome = await fetch(body(packed.subarray(0, packed.length - 1_000)));
    expect(outcome).toMatchObject({ ok: false, failure: { code: "image.cut_short" } });
  });

  test("is no usable stream when its data are damaged", async () => {
    const damaged = Buffer.from(packed);
    damaged.fill(7, 1_000, 200_000);
    const outcome = await fetch(body(damaged));
    expect(outcome).toMatchObject({
      failure: { code: "image.bad_stream", message: expect.stringContaining("damaged zstd data") },
    });
  });

  test("fails as its receiving command does", async () => {
    const bad = "cannot receive: invalid stream (bad magic number)";
    const outcome = await fetch(body(zstd(randomBytes(20_000_000))), {
      command: shell(`head -c 10 >/dev/null; echo "${bad}" >&2; exit 1`),
    });
    expect(outcome).toMatchObject({
      failure: { code: "image.bad_stream", message: expect.stringContaining("bad magic number") },
    });
  });

  test("is given up with its processes", async () => {
    const abort = new AbortController();
    const outcome = fetch((_request, response) => void response.write(packed), { signal: abort.signal });
    await until("the command runs", () => pids().length > 0);
    abort.abort();
    expect(await outcome).toMatchObject({ failure: { code: "service.interrupted" } });
  });

  test("is unpacked by the program where Node can't do it, which must be installed", async () => {
    const unpacker = startZstd(["zstd", "-dcq"], children);
    unpacker.stream.end(packed);
    expect((await buffer(unpacker.stream)).equals(data)).toBe(true);
    await unpacker.ended;

    const missing = startZstd(["no-such-zstd", "-dcq"], children);
    await expect(buffer(missing.stream)).rejects.toThrow("the program zstd (Debian: zstd)");
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

  test("a digest that nobody but the order states is looked at", async () => {
    expect(await fetch(body(zipped), { digest: right.toString("hex") })).toMatchObject({ ok: true });
    const wrong = sha256(data).toString("hex");
    expect(await fetch(body(zipped), { digest: wrong })).toMatchObject({
      failure: {
        code: "image.digest_mismatch",
        message: `the image's SHA-256 is ${right.toString("hex")}, expected ${wrong}, url: ${url}`,
      },
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

describe("the size that an image must have", () => {
  const chunked: Handler = (_request, response) => {
    response.write(zipped.subarray(0, 1_000));
    setImmediate(() => response.end(zipped.subarray(1_000)));
  };
  const size = zipped.length;

  test.each([
    ["with a length", body(zipped)],
    ["in chunks", chunked],
  ])("is that of its bytes as they are transferred, %s", async (_how, respond) => {
    const outcome = await fetch(respond, { size });
    expect(outcome).toEqual({ ok: true, value: { receivedBytes: size, streamBytes: data.length } });
  });

  test.each([
    ["a length that is another", body(zipped), size - 1, String(size)],
    ["fewer bytes in chunks", chunked, size + 1, String(size)],
    ["more bytes in chunks", chunked, size - 1, `more than ${size - 1}`],
  ])("is not that of %s", async (_what, respond, expected, found) => {
    const outcome = await fetch(respond, { size: expected });
    expect(outcome).toMatchObject({
      failure: {
        code: "image.digest_mismatch",
        message: `the image has ${found} bytes, expected ${expected}, url: ${url}`,
      },
    });
  });

  test("is looked at before the receiving command is started, where the service says its length", async () => {
    const note = join(scratch, "was-started");
    await fetch(body(zipped), { size: 1, command: shell(`echo yes > ${note}; cat >/dev/null`) });
    expect(existsSync(note)).toBe(false);
  });

  test("ends an endless body", async () => {
    const outcome = await fetch(
      (_request, response) => {
        const more = () => {
          while (response.write(data));
          response.once("drain", more);
        };
        more();
      },
      { size: 1_000_000 },
    );
    expect(outcome).toMatchObject({ failure: { code: "image.digest_mismatch" } });
  });
});

describe("an image service that is unusual", () => {
  /** A service that writes `reply` as it is to whoever asks, and closes. */
  async function rawService(reply: Buffer[]): Promise<{ url: string } & AsyncDisposable> {
    const tcp = createTcpServer({ allowHalfOpen: true }, (socket) => {
      socket.on("error", () => {});
      socket.once("data", () => {
        for (const part of reply) socket.write(part);
        socket.end();
      });
    });
    await new Promise<void>((resolve) => tcp.listen(0, "127.0.0.1", resolve));
    const address = tcp.address();
    const port = typeof address === "object" && address ? address.port : 0;
    const close = () => new Promise<void>((resolve) => void tcp.close(() => resolve()));
    return { url: `http://127.0.0.1:${port}/`, [Symbol.asyncDispose]: close };
  }

  test.each([
    ["1.0", "HTTP/1.0 200 OK\r\n\r\n"],
    ["1.1", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"],
  ])("may end an HTTP/%s reply by closing, while the receiver is slow", async (_version, head) => {
    const large = randomBytes(8_000_000);
    await using service = await rawService([Buffer.from(head), large]);
    const outcome = await fetch(() => {}, {
      url: service.url,
      command: shell(`sleep 1; dd of=${received} bs=64k status=none`),
    });
    expect(outcome).toEqual({ ok: true, value: { receivedBytes: large.length, streamBytes: large.length } });
    expect(readFileSync(received).equals(large)).toBe(true);
  });

  test("may close after a body with a length, while the receiver is slow", async () => {
    const large = randomBytes(8_000_000);
    const head = Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${large.length}\r\n\r\n`);
    await using service = await rawService([head, large]);
    const outcome = await fetch(() => {}, {
      url: service.url,
      command: shell(`sleep 1; cat >/dev/null`),
    });
    expect(outcome).toMatchObject({ ok: true, value: { receivedBytes: large.length } });
  });

  test("may send 100, 102 and 103 before its 200", async () => {
    const before = ["100 Continue", "102 Processing", "103 Early Hints", "100 Continue"].map((line) =>
      Buffer.from(`HTTP/1.1 ${line}\r\n\r\n`),
    );
    const head = Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${data.length}\r\n\r\n`);
    await using service = await rawService([...before, head, data]);
    const outcome = await fetch(() => {}, { url: service.url });
    expect(outcome).toMatchObject({ ok: true, value: { receivedBytes: data.length } });
    expect(readFileSync(received).equals(data)).toBe(true);
  });

  test("is not silent while the receiver takes nothing", async () => {
    const outcome = await fetch(body(randomBytes(8_000_000)), {
      idleMs: 1_200,
      command: shell("sleep 4; cat >/dev/null"),
    });
    expect(outcome).toMatchObject({ ok: true });
  });
});

describe("where an image may come from", () => {
  /** A second server, which the configuration does not name. It notes that it was asked. */
  async function stranger(host = "127.0.0.1"): Promise<{ port: number; asked: string[] } & AsyncDisposable> {
    const asked: string[] = [];
    const other = createServer((request, response) => {
      asked.push(request.url ?? "");
      response.end(data);
    });
    await new Promise<void>((resolve) => other.listen(0, host, resolve));
    const address = other.address();
    const port = typeof address === "object" && address ? address.port : 0;
    return {
      port,
      asked,
      [Symbol.asyncDispose]: async () => {
        other.closeAllConnections();
        await new Promise<void>((resolve) => void other.close(() => resolve()));
      },
    };
  }

  const leadTo =
    (location: string): Handler =>
    (_request, response) =>
      void response.writeHead(302, { location }).end();

  test("a redirect to another port is refused, and named", async () => {
    await using other = await stranger();
    const outcome = await fetch(leadTo(`http://127.0.0.1:${other.port}/metrics?key=se-cret`));
    expect(outcome).toEqual({
      ok: false,
      failure: {
        code: "image.source_refused",
        message: `the configuration's imageSources does not allow it, url: http://127.0.0.1:${other.port}/metrics?…`,
      },
    });
    expect(other.asked).toEqual([]);
  });

  test("the second hop is checked as the first is", async () => {
    await using other = await stranger();
    const outcome = await fetch((request, response) =>
      leadTo(request.url === "/b" ? `http://127.0.0.1:${other.port}/c` : "/b")(request, response),
    );
    expect(outcome).toMatchObject({ ok: false, failure: { code: "image.source_refused" } });
    expect(other.asked).toEqual([]);
  });

  test.each([
    "file:///etc/passwd",
    "ftp://127.0.0.1/x",
    "//169.254.169.254/latest/meta-data",
    "http://[fe80::1]/",
  ])("a redirect to %s is refused", async (location) => {
    const outcome = await fetch(leadTo(location));
    expect(outcome).toMatchObject({ ok: false, failure: { code: "image.source_refused" } });
  });

  test("a redirect to a source of the configuration is followed", async () => {
    await using other = await stranger();
    const hosts = { service: new URL(url).host, sources: [`127.0.0.1:${other.port}`] };
    const outcome = await fetch(leadTo(`http://127.0.0.1:${other.port}/i`), { hosts });
    expect(outcome).toMatchObject({ ok: true, value: { receivedBytes: data.length } });
  });

  // Names below localhost are resolved to loopback (RFC 6761), as a rebound name would be.
  test("the name of a source that leads to this machine is refused as the connection is made", async () => {
    await using other = await stranger();
    const name = hostname();
    const { address } = await lookup(name).catch(() => ({ address: "" }));
    const local = address.startsWith("127.") ? name : "ip6-localhost";
    const resolved = await lookup(local).catch(() => undefined);
    expect(resolved, "the machine has a name of its own for loopback").toBeDefined();
    const outcome = await fetch(() => {}, {
      url: `http://${local}:${other.port}/i`,
      hosts: { service: undefined, sources: [local] },
    });
    expect(outcome).toMatchObject({
      ok: false,
      failure: { code: "image.source_refused", message: expect.stringContaining(`${local} is `) },
    });
    expect(other.asked).toEqual([]);
  });

  test("the image service itself may be on this machine, by any name", async () => {
    await using other = await stranger();
    const outcome = await fetch(() => {}, {
      url: `http://localhost:${other.port}/i`,
      hosts: { service: `localhost:${other.port}`, sources: [] },
    });
    expect(outcome).toMatchObject({ ok: true });
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

  test.each([
    [204, "image.source_error"],
    [301, "image.source_error"],
    [401, "image.source_error"],
    [403, "image.source_error"],
    [404, "image.source_not_found"],
    [408, "image.http_status"],
    [410, "image.source_not_found"],
    [416, "image.source_error"],
    [429, "image.http_status"],
    [500, "image.http_status"],
    [503, "image.http_status"],
  ] as const)("because the reply is %i names status and url, and is %s", async (status, code) => {
    const outcome = await fetch((_request, response) => void response.writeHead(status).end("body"));
    const message = `unexpected http response code: expected 200, received ${status}, url: ${url}`;
    expect(outcome).toEqual({ ok: false, failure: { code, message } });
    expect(FAILURES[code].retryable).toBe(code === "image.http_status");
  });

  test.each([
    ["120", 120],
    ["0", 0],
    ["Thu, 01 Jan 1970 00:00:00 GMT", 0],
    ["soon", undefined],
    ["-1", 0],
    ["", undefined],
  ])("says with Retry-After %j when to try again: %s", async (value, retryAfter) => {
    const outcome = await fetch(
      (_request, response) => void response.writeHead(503, { "retry-after": value }).end(),
    );
    expect(outcome).toMatchObject({ ok: false, failure: { code: "image.http_status" } });
    expect(outcome.ok ? undefined : outcome.failure.retryAfter).toBe(retryAfter);
  });

  test("because redirects lead in a circle fails", async () => {
    let asked = 0;
    const outcome = await fetch((_request, response) => {
      asked++;
      response.writeHead(302, { location: "/again" }).end();
    });
    expect(outcome.ok ? "" : outcome.failure.code).toBe("image.source_error");
    expect(asked).toBeLessThan(20);
  });

  const shownSource = () => ({
    url: url.replace("http://", "http://user:pass-word@").concat("?signature=se-cret"),
    shown: `${url}?…`,
  });

  test.each([
    ["a status", (_request: IncomingMessage, response: ServerResponse) => void response.writeHead(404).end()],
    ["a broken connection", (request: IncomingMessage) => void request.socket.destroy()],
    [
      "a digest",
      (_request: IncomingMessage, response: ServerResponse) =>
        void response.writeHead(200, { digest: `SHA-256=${sha256(zipped).toString("base64")}` }).end(data),
    ],
  ])("because of %s never shows a password or a signature", async (_what, respond) => {
    const { url: secret, shown } = shownSource();
    const outcome = await fetch(respond, { url: secret });
    expect(JSON.stringify(outcome)).not.toMatch(/user|pass-word|se-cret/);
    expect(outcome).toMatchObject({ ok: false, failure: { message: expect.stringContaining(shown) } });
  });

  test("because nobody listens is unreachable", async () => {
    const outcome = await fetch(() => {}, { url: `http://127.0.0.1:${await freePort()}/x` });
    expect(outcome).toMatchObject({ ok: false, failure: { code: "image.unreachable" } });
  });

  test("because its URL names port 0 is unreachable: no other port is asked", async () => {
    const outcome = await fetch(() => {}, { url: "http://127.0.0.1:0/x" });
    expect(outcome).toMatchObject({
      ok: false,
      failure: { code: "image.unreachable", message: expect.stringContaining("127.0.0.1:0") },
    });
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

  test("while the command has all and does not end kills it", async () => {
    const abort = new AbortController();
    const command = shell(`cat >/dev/null; echo all >'${received}'; exec sleep 1000`);
    rmSync(received, { force: true });
    const outcome = fetch(body(data), { signal: abort.signal, command });
    await until("the command has all", () => existsSync(received));
    abort.abort();
    expect(await outcome).toMatchObject({ ok: false, failure: { code: "service.interrupted" } });
  });

  test("while a command that ends by its input is about to end lets it", async () => {
    const abort = new AbortController();
    const command = shell(`cat >/dev/null; echo all >'${received}'; sleep 0.5; echo saved >'${received}'`);
    rmSync(received, { force: true });
    const outcome = fetch(body(data), { signal: abort.signal, command, endsByInput: true });
    await until("the command has all", () => existsSync(received));
    abort.abort();
    expect(await outcome).toMatchObject({ ok: false, failure: { code: "service.interrupted" } });
    expect(readFileSync(received, "utf8")).toBe("saved\n");
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
