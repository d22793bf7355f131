import { createHash, randomBytes } from "node:crypto";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { connect, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { request } from "undici";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { parseByteRange } from "../../../../../src/main/commands/image/byte-range.js";
import { type ImageService, startImageService } from "../../../../../src/main/commands/image/image-server.js";
import type { DatasetName } from "../../../../../src/protocol/storage/names.js";
import { createChildMemory, createChildTable } from "../../../../../src/protocol/threads/child-table.js";
import { imageUrl } from "../../../../../src/workers/actor/image-url.js";
import { fetchImage } from "../../../../../src/workers/streams/image-fetch.js";
import { statedSha256 } from "../../../../../src/workers/streams/stated-digest.js";
import { until } from "../../../../support/until.js";

let scratch = "";
let dir = "";
let service: ImageService;
let origin = "";

const golden = randomBytes(300_000);
const zipped = gzipSync(golden);
const hex = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
const base64 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("base64");

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), "imagestore-image-"));
  dir = join(scratch, "images");
  mkdirSync(join(dir, "folder"), { recursive: true });
  writeFileSync(join(scratch, "secret"), "not to be seen");
  writeFileSync(join(dir, "golden.zfs"), golden);
  writeFileSync(join(dir, "zipped.zfs.gz"), zipped);
  writeFileSync(join(dir, "with space: 1.gz"), zipped);
  writeFileSync(join(dir, "empty"), "");
  writeFileSync(join(dir, ".hidden"), "ours");
  writeFileSync(join(dir, "folder", "inner"), "an image of the folder below");
  symlinkSync("golden.zfs", join(dir, "alias"));
  symlinkSync(join(scratch, "secret"), join(dir, "out"));
  symlinkSync(scratch, join(dir, "above"));
  symlinkSync("nowhere", join(dir, "dangling"));
  symlinkSync("circle", join(dir, "circle"));
  service = await startImageService({ dir, host: "127.0.0.1", port: 0 });
  origin = `http://127.0.0.1:${service.port}`;
});
afterAll(async () => {
  await service.close();
  rmSync(scratch, { recursive: true, force: true });
});
afterEach(() => until("no descriptor is left", () => openImages().length === 0));

/** The files below the scratch folder that this process has open. */
function openImages(): string[] {
  return readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return path.startsWith(scratch) ? [path] : [];
    } catch {
      return [];
    }
  });
}

const urlOf = (id: string) => `${origin}/images/${encodeURIComponent(id)}/download`;

async function get(
  url: string,
  headers: Record<string, string> = {},
  method: "GET" | "HEAD" | "POST" = "GET",
): Promise<{ status: number; headers: Record<string, string | string[] | undefined>; body: Buffer }> {
  const reply = await request(url, { method, headers });
  const body = Buffer.from(await reply.body.arrayBuffer());
  return { status: reply.statusCode, headers: reply.headers, body };
}

/** A request as written; `fetch` and undici would tidy its path. */
function raw(text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(service.port, "127.0.0.1", () => socket.write(text));
    let reply = "";
    socket.setEncoding("latin1");
    socket.on("data", (piece) => {
      reply += piece;
    });
    socket.once("end", () => resolve(reply));
    socket.once("error", reject);
  });
}

describe("an image", () => {
  test("comes whole with its length, digests, ETag and date", async () => {
    const reply = await get(urlOf("golden"));
    expect(reply.status).toBe(200);
    expect(reply.body.equals(golden)).toBe(true);
    expect(reply.headers).toMatchObject({
      "content-type": "application/octet-stream",
      "content-length": String(golden.length),
      "accept-ranges": "bytes",
      etag: `"${hex(golden)}"`,
      "repr-digest": `sha-256=:${base64(golden)}:`,
      digest: `SHA-256=${base64(golden)}`,
    });
    expect(Date.parse(String(reply.headers["last-modified"]))).not.toBeNaN();
  });

  test("has the digest that the daemon's fetch reads off the reply, from either header", async () => {
    const { headers } = await get(urlOf("golden"));
    expect(statedSha256({ "repr-digest": headers["repr-digest"] })).toBe(hex(golden));
    expect(statedSha256({ digest: headers.digest })).toBe(hex(golden));
  });

  test("is taken by the daemon's fetch, gunzipped, its digest checked", async () => {
    const fetch = (digest?: string) =>
      fetchImage({
        order: {
          url: urlOf("zipped"),
          target: "tank/images/zipped" as DatasetName,
          hosts: { service: `127.0.0.1:${service.port}`, sources: [] },
          command: ["dd", `of=${join(scratch, "received")}`, "status=none"],
          ...(digest === undefined ? {} : { digest }),
        },
        connectMs: 5_000,
        idleMs: 5_000,
        repeats: { attempts: 1, firstDelayMs: 1, mostDelayMs: 1 },
        ranges: 1,
        children: createChildTable(createChildMemory()),
        signal: new AbortController().signal,
      });
    expect(await fetch()).toEqual({
      ok: true,
      value: { receivedBytes: zipped.length, streamBytes: golden.length },
    });
    expect(readFileSync(join(scratch, "received")).equals(golden)).toBe(true);
    expect(await fetch(hex(golden))).toMatchObject({ failure: { code: "image.digest_mismatch" } });
  });

  test("is found under the URL that the daemon makes of its id", async () => {
    const options = { imageService: `127.0.0.1:${service.port}`, imageSources: [], dnsServers: [] };
    const url = await imageUrl({ ...options, timeouts: { dnsMs: 1 } }, "with space: 1", "");
    if (!url.ok) throw new Error(url.failure.message);
    expect((await get(url.value.url)).body.equals(zipped)).toBe(true);
  });

  test("that is stored gzipped is sent as stored, with no Content-Encoding and the digest of what is sent", async () => {
    const reply = await get(urlOf("zipped"), { "accept-encoding": "gzip" });
    expect(reply.body.equals(zipped)).toBe(true);
    expect(reply.headers["content-encoding"]).toBeUndefined();
    expect(reply.headers["content-type"]).toBe("application/octet-stream");
    expect(statedSha256(reply.headers)).toBe(hex(zipped));
  });

  test("may be asked for by the name of its file, or through a link within the folder", async () => {
    for (const id of ["golden.zfs", "alias"]) expect((await get(urlOf(id))).body.equals(golden)).toBe(true);
  });

  test("of no bytes comes whole, and no range of it does", async () => {
    expect(await get(urlOf("empty"))).toMatchObject({ status: 200, body: Buffer.alloc(0) });
    expect((await get(urlOf("empty"), { range: "bytes=0-" })).status).toBe(416);
  });

  test("answers HEAD with the same headers and nothing more", async () => {
    const whole = await get(urlOf("golden"));
    const head = await get(urlOf("golden"), { range: "bytes=0-9" }, "HEAD");
    // undici closes the connection after a HEAD.
    const own = ({ headers }: typeof head) => {
      const { date, connection, "keep-alive": keepAlive, ...rest } = headers;
      return rest;
    };
    expect(head.status).toBe(200);
    expect(head.body.length).toBe(0);
    expect(own(head)).toEqual(own(whole));
  });

  test("that changes has another digest and ETag at once, at the same size too", async () => {
    const path = join(dir, "changing");
    writeFileSync(path, "first");
    const first = await get(urlOf("changing"));
    writeFileSync(`${path}.new`, "other");
    renameSync(`${path}.new`, path);
    const second = await get(urlOf("changing"));
    writeFileSync(path, "third");
    utimesSync(path, 1, 1);
    const third = await get(urlOf("changing"));
    rmSync(path);
    expect([first, second, third].map(({ body }) => body.toString())).toEqual(["first", "other", "third"]);
    for (const { body, headers } of [first, second, third]) expect(statedSha256(headers)).toBe(hex(body));
  });
});

describe("a range", () => {
  test.each([
    ["bytes=0-9", 0, 10],
    ["bytes=10-", 10, golden.length],
    ["bytes=-7", golden.length - 7, golden.length],
    ["bytes=-99999999", 0, golden.length],
    ["bytes=299999-", golden.length - 1, golden.length],
    ["bytes=5-99999999999999999999", 5, golden.length],
  ])("%s is answered with 206 and those bytes", async (range, start, end) => {
    const reply = await get(urlOf("golden"), { range });
    expect(reply.status).toBe(206);
    expect(reply.body.equals(golden.subarray(start, end))).toBe(true);
    expect(reply.headers["content-range"]).toBe(`bytes ${start}-${end - 1}/${golden.length}`);
    expect(reply.headers["content-length"]).toBe(String(end - start));
    expect(reply.headers["repr-digest"]).toBe(`sha-256=:${base64(golden)}:`);
    expect(reply.headers.digest).toBeUndefined();
  });

  test.each(["bytes=300000-", "bytes=300000-400000", "bytes=-0"])(
    "%s begins behind the end: 416 with the size",
    async (range) => {
      const reply = await get(urlOf("golden"), { range });
      expect(reply.status).toBe(416);
      expect(reply.headers["content-range"]).toBe(`bytes */${golden.length}`);
    },
  );

  test.each(["bytes=9-5", "bytes=0-1,5-6", "bytes=-", "bytes=a-b", "lines=1-2", "bytes 1-2"])(
    "%s is no single range: the whole",
    async (range) => {
      const reply = await get(urlOf("golden"), { range });
      expect(reply.status).toBe(200);
      expect(reply.body.length).toBe(golden.length);
    },
  );

  test("with If-Range counts only while the ETag fits", async () => {
    const status = async (ifRange: string) =>
      (await get(urlOf("golden"), { range: "bytes=0-9", "if-range": ifRange })).status;
    expect(await status(`"${hex(golden)}"`)).toBe(206);
    expect(await status(`W/"${hex(golden)}"`)).toBe(200);
    expect(await status(`"${hex(zipped)}"`)).toBe(200);
    expect(await status(new Date().toUTCString())).toBe(200);
  });

  test("lets a client go on where it was cut off", async () => {
    const head = await get(urlOf("golden"), { range: "bytes=0-99999" });
    const tail = await get(urlOf("golden"), {
      range: "bytes=100000-",
      "if-range": String(head.headers.etag),
    });
    expect(Buffer.concat([head.body, tail.body]).equals(golden)).toBe(true);
  });

  test("is read as RFC 9110 has it", () => {
    expect(parseByteRange(undefined, 10)).toEqual({ kind: "whole" });
    expect(parseByteRange("BYTES= 2-3 ", 10)).toEqual({ kind: "part", start: 2, end: 4 });
    expect(parseByteRange("bytes=9-9", 10)).toEqual({ kind: "part", start: 9, end: 10 });
    expect(parseByteRange("bytes=10-10", 10)).toEqual({ kind: "unsatisfiable" });
    expect(parseByteRange("bytes=-1", 0)).toEqual({ kind: "unsatisfiable" });
  });
});

describe("nothing but images of the folder is served", () => {
  test.each([
    ["/images/../secret/download", 404],
    ["/images/%2e%2e/download", 400],
    ["/images/../download", 400],
    ["/images/./download", 400],
    ["/images//download", 400],
    ["/images/..%2fsecret/download", 400],
    ["/images/%2Fetc%2Fpasswd/download", 400],
    ["/images/folder%2Finner/download", 400],
    ["/images/folder/inner/download", 404],
    ["/images/golden%00/download", 400],
    ["/images/golden%0a/download", 400],
    ["/images/gold%C3%A9n/download", 400],
    ["/images/%/download", 400],
    ["/images/%ff/download", 400],
    ["/images/.hidden/download", 400],
    [`/images/${"x".repeat(256)}/download`, 400],
    [`/images/${"x".repeat(255)}/download`, 404],
    ["/images/nope/download", 404],
    ["/images/folder/download", 404],
    ["/images/out/download", 404],
    ["/images/above/download", 404],
    ["/images/dangling/download", 404],
    ["/images/circle/download", 404],
    ["/images/golden", 404],
    ["/images/", 404],
    ["/secret", 404],
    ["/", 404],
  ])("%s gives %i and says why", async (path, status) => {
    const reply = await raw(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    expect(reply).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(reply).toMatch(/(?:invalid id|no such image|not found): /);
    expect(reply).not.toContain("not to be seen");
  });

  test("a request with the whole URL, as for a proxy, is the same request", async () => {
    const reply = await raw(`GET ${urlOf("golden")} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    expect(reply).toMatch(/^HTTP\/1\.1 200 /);
  });

  test("another method is refused with those that do", async () => {
    const reply = await get(urlOf("golden"), {}, "POST");
    expect(reply.status).toBe(405);
    expect(reply.headers.allow).toBe("GET, HEAD");
  });
});

test("the list has every image once, with its digest when that is known", async () => {
  await get(urlOf("golden"));
  const { body, headers } = await get(`${origin}/images`);
  expect(headers["content-type"]).toBe("application/json; charset=utf-8");
  const { images } = JSON.parse(body.toString()) as { images: { id: string }[] };
  expect(images.map(({ id }) => id)).toEqual(["alias", "empty", "golden", "with space: 1", "zipped"]);
  expect(images).toContainEqual({ id: "golden", bytes: golden.length, sha256: hex(golden) });
  expect(service.images).toBe(5);
});

describe("a transfer that breaks", () => {
  const BIG = 64 * 1024 * 1024;

  /** Asks for `id`, takes the first bytes and stops reading. */
  function begin(id: string) {
    return new Promise<ReturnType<typeof connect>>((resolve, reject) => {
      const socket = connect(service.port, "127.0.0.1", () => {
        socket.write(`GET /images/${id}/download HTTP/1.1\r\nHost: x\r\n\r\n`);
      });
      socket.once("error", reject);
      socket.once("data", () => {
        socket.pause();
        socket.off("error", reject);
        resolve(socket);
      });
    });
  }

  test("because the client went away leaves no descriptor open", async () => {
    const path = join(dir, "left");
    writeFileSync(path, "");
    truncateSync(path, BIG);
    const socket = await begin("left");
    expect(openImages()).toEqual([path]);
    socket.destroy();
    await until("the descriptor is closed", () => openImages().length === 0);
    rmSync(path);
  });

  test("because the file became shorter resets the connection", async () => {
    const path = join(dir, "shrinking");
    writeFileSync(path, "");
    truncateSync(path, BIG);
    const resets = vi.spyOn(Socket.prototype, "resetAndDestroy");
    const reply = await request(urlOf("shrinking"));
    expect(reply.headers["content-length"]).toBe(String(BIG));
    truncateSync(path, 1024);
    // libuv reports some resets as an end: only the length tells this reader.
    await expect(reply.body.arrayBuffer()).rejects.toThrow(/other side closed|ECONNRESET|terminated/);
    expect(resets).toHaveBeenCalledTimes(1);
    resets.mockRestore();
    rmSync(path);
  });

  test("the file's being replaced breaks nothing: the one that was opened is sent", async () => {
    const path = join(dir, "replaced");
    const before = Buffer.alloc(BIG, 1);
    writeFileSync(path, before);
    const reply = await request(urlOf("replaced"));
    writeFileSync(`${path}.new`, Buffer.alloc(BIG, 2));
    renameSync(`${path}.new`, path);
    expect(Buffer.from(await reply.body.arrayBuffer()).equals(before)).toBe(true);
    rmSync(path);
  });

  test("because the service closes leaves no descriptor, and the port is free", async () => {
    const path = join(dir, "closing");
    writeFileSync(path, "");
    truncateSync(path, BIG);
    const other = await startImageService({ dir, host: "127.0.0.1", port: 0 });
    const reply = await request(`http://127.0.0.1:${other.port}/images/closing/download`);
    await other.close();
    expect(openImages()).toEqual([]);
    await expect(reply.body.arrayBuffer()).rejects.toThrow();
    const again = await startImageService({ dir, host: "127.0.0.1", port: other.port });
    await again.close();
    rmSync(path);
  });
});

describe("a service that can't start says why", () => {
  test("no such folder", async () => {
    const start = (name: string) =>
      startImageService({ dir: join(scratch, name), host: "127.0.0.1", port: 0 });
    await expect(start("missing")).rejects.toThrow(/^no folder of images: ENOENT/);
    await expect(start("secret")).rejects.toThrow(/^no folder of images: ENOTDIR/);
  });

  test("a port in use", async () => {
    await expect(startImageService({ dir, host: "127.0.0.1", port: service.port })).rejects.toThrow(
      `port ${service.port} of 127.0.0.1 is in use, choose another with --port`,
    );
  });
});

test.skipIf(process.getuid?.() === 0)(
  "an image that can't be opened is answered with 500 and the reason (not as root, who may open all)",
  async () => {
    writeFileSync(join(dir, "locked"), "x", { mode: 0 });
    const reply = await get(urlOf("locked"));
    rmSync(join(dir, "locked"));
    expect(reply.status).toBe(500);
    expect(reply.body.toString()).toMatch(/^the image can't be read: EACCES/);
  },
);
