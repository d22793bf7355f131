import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer, get, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { bulkConfig, downloadByRing } from "../support/bulk-cases.js";
import { CLI, type DaemonProcess, freePort, startDaemonProcess } from "../support/daemon.js";
import { descendantsOf } from "../support/processes.js";
import { createRandomSnapshot } from "../support/random-snapshot.js";
import { must } from "../support/rpc.js";
import { mountSmallDisk } from "../support/small-disk.js";
import { until } from "../support/until.js";

const DISK_MIB = 64;
const ID = "guests/g1/disk-0@s1";
const SENDER = "embedded/send-process.js";

const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
let reference = { sha256: "", bytes: 0 };
/** A folder of the client, empty before each test. */
const own = join(folder, "own");

const start = (settings: Record<string, unknown> = {}) =>
  startDaemonProcess(
    bulkConfig(folder, { name: "tank", driver: "embedded", folder: join(folder, "pool") }, settings),
  );

beforeAll(async () => {
  const daemon = await start();
  await createRandomSnapshot(daemon.url, "guests/g1/disk-0@s1", DISK_MIB);
  reference = await downloadByRing(daemon.url, ID);
  await daemon.stop();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeEach(() => mkdirSync(own));
afterEach(() => rmSync(own, { recursive: true, force: true }));

interface Ran {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** Starts `imagestore snapshot download` in the client's folder. */
function begin(url: string, ...words: string[]): { child: ChildProcess; ended: Promise<Ran> } {
  const child = spawn(process.execPath, [CLI, "snapshot", "download", "--url", url, ...words], {
    cwd: own,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const parts: Buffer[] = [];
  let stderr = "";
  child.stdout.on("data", (part: Buffer) => parts.push(part));
  child.stderr.on("data", (part: Buffer) => {
    stderr += part.toString();
  });
  const ended = once(child, "close").then(([status, signal]) => ({
    status,
    signal,
    stdout: Buffer.concat(parts),
    stderr,
  }));
  return { child, ended };
}

const run = (url: string, ...words: string[]) => begin(url, ...words).ended;

const sha256Of = (content: Buffer) => createHash("sha256").update(content).digest("hex");
const sha256In = (name: string) => sha256Of(readFileSync(join(own, name)));

/** The paths of the downloads that a daemon has served. */
const pathsOf = (daemon: DaemonProcess) =>
  daemon
    .log()
    .split("\n")
    .filter((line) => line.includes('"method":"download"'))
    .map((line) => (JSON.parse(line) as { path: string }).path);

describe("imagestore snapshot download", () => {
  let daemon: DaemonProcess;
  beforeAll(async () => {
    daemon = await start();
  });
  afterAll(async () => {
    if (typeof disk !== "string") disk[Symbol.dispose]();
    expect(await daemon.stop()).toBe(0);
  });

  test("writes the stream to a file of the snapshot's name, by the port for bulk downloads", async () => {
    const before = pathsOf(daemon).length;
    expect(await run(daemon.url, ID)).toMatchObject({ status: 0, stderr: "" });
    expect(readdirSync(own)).toEqual(["disk-0@s1.zfs"]);
    expect(sha256In("disk-0@s1.zfs")).toBe(reference.sha256);
    await until("it is logged", () => pathsOf(daemon).length > before);
    expect(pathsOf(daemon).at(-1)).toBe("bulk");
  });

  test("writes to the file that it is told, or to stdout, from the pool that it is told", async () => {
    expect(await run(daemon.url, ID, "-o", "x", "--pool", "tank")).toMatchObject({ status: 0 });
    expect(sha256In("x")).toBe(reference.sha256);
    const { status, stdout } = await run(daemon.url, `tank/${ID}`, "--output", "-");
    expect([status, sha256Of(stdout)]).toEqual([0, reference.sha256]);
    expect(readdirSync(own)).toEqual(["x"]);
  });

  test("refuses to replace a file, and with --force replaces it and keeps its mode", async () => {
    const file = join(own, "x");
    writeFileSync(file, "precious");
    chmodSync(file, 0o640);
    expect(await run(daemon.url, ID, "-o", "x")).toMatchObject({
      status: 5,
      stderr: "imagestore: x is there already: --force replaces it\n",
    });
    expect(readFileSync(file, "utf8")).toBe("precious");
    expect(await run(daemon.url, ID, "-o", "x", "--force")).toMatchObject({ status: 0, stderr: "" });
    expect(sha256In("x")).toBe(reference.sha256);
    expect(statSync(file).mode & 0o777).toBe(0o640);
    expect(await run(daemon.url, ID, "-o", ".", "-f")).toMatchObject({ status: 2 });
  });

  test("replaces no file that comes while it runs", async () => {
    const { ended } = begin(daemon.url, ID, "-o", "x");
    await until("it has begun", () => readdirSync(own).length > 0);
    writeFileSync(join(own, "x"), "precious");
    expect(await ended).toMatchObject({ status: 5, stderr: expect.stringContaining("x is there already") });
    expect(readdirSync(own)).toEqual(["x"]);
    expect(readFileSync(join(own, "x"), "utf8")).toBe("precious");
  });

  test.each([
    [4, "none@s", /^imagestore: not found: none@s\n$/],
    [2, "a@b@c", /^imagestore: .+\n$/],
    [4, "guests/g1/disk-0@none", /^imagestore: not found: guests\/g1\/disk-0@none\n$/],
  ])("ends with %i for %s, and leaves nothing", async (status, id, line) => {
    expect(await run(daemon.url, id)).toMatchObject({ status, stderr: expect.stringMatching(line) });
    expect(readdirSync(own)).toEqual([]);
  });

  test("ends with 3 where nothing listens", async () => {
    const url = `http://127.0.0.1:${await freePort()}`;
    expect(await run(url, ID)).toMatchObject({
      status: 3,
      stderr: `imagestore: no answer from ${url}: nothing listens there\n`,
    });
    expect(readdirSync(own)).toEqual([]);
  });

  let lastStanding = 0;
  /** A download whose sender stands still, before its last byte; of a snapshot of which no other one was just asked for. */
  async function standing() {
    const dest = `standing-${++lastStanding}`;
    await must(daemon.url, "CreateSnapshot", { id: "guests/g1/disk-0", dest });
    const begun = begin(daemon.url, `guests/g1/disk-0@${dest}`);
    await until("it sends", () => descendantsOf(daemon.pid, SENDER).length === 1);
    const [sender = 0] = descendantsOf(daemon.pid, SENDER);
    process.kill(sender, "SIGSTOP");
    await until("the partial file is there", () => readdirSync(own).length === 1);
    return { ...begun, sender };
  }

  test("ends with why when the sender dies, and leaves nothing", async () => {
    const { ended, sender } = await standing();
    process.kill(sender, "SIGKILL");
    const { status, stderr } = await ended;
    expect(stderr).toMatch(/^imagestore: .+\n$/);
    expect(status).toBeGreaterThan(0);
    expect(readdirSync(own)).toEqual([]);
  });

  test("removes the partial file at Ctrl-C, and the daemon ends its sender", async () => {
    const { child, ended } = await standing();
    child.kill("SIGINT");
    expect(await ended).toMatchObject({ signal: "SIGINT", stderr: "" });
    expect(readdirSync(own)).toEqual([]);
    await until("the sender is gone", () => descendantsOf(daemon.pid, SENDER).length === 0);
  });

  const disk = mountSmallDisk(mkdtempSync(join(folder, "small-")), 24);
  if (typeof disk === "string") process.stdout.write(`snapshot download: full disk skipped: ${disk}\n`);
  test.skipIf(typeof disk === "string")("ends with 6 on a full disk, and leaves nothing", async () => {
    if (typeof disk === "string") return;
    const output = join(disk.path, "x");
    expect(await run(daemon.url, ID, "-o", output)).toMatchObject({
      status: 6,
      stderr: expect.stringMatching(/^imagestore: .*x: ENOSPC: .+\n$/),
    });
    expect(readdirSync(disk.path)).toEqual([]);
    await until("the sender is gone", () => descendantsOf(daemon.pid, SENDER).length === 0);
  });

  test("goes on by the main port where the other can't be reached", async () => {
    const closed = await freePort();
    const url = await listen((request, response) => {
      if (request.url?.includes("redirect=1")) {
        response.writeHead(307, { location: `http://127.0.0.1:${closed}${request.url}` }).end();
      } else {
        get(`${daemon.url}${request.url}`, (reply) => {
          response.writeHead(reply.statusCode ?? 0, reply.headers);
          reply.pipe(response);
        });
      }
    });
    expect(await run(url, ID, "-o", "x")).toMatchObject({ status: 0, stderr: "" });
    expect(sha256In("x")).toBe(reference.sha256);
  });
});

describe("imagestore snapshot download, of a daemon of its own,", () => {
  test("is served by the main port where there is no other", async () => {
    const daemon = await start({ listen: { port: 0 } });
    expect(await run(daemon.url, ID)).toMatchObject({ status: 0, stderr: "" });
    expect(sha256In("disk-0@s1.zfs")).toBe(reference.sha256);
    await until("it is logged", () => pathsOf(daemon).length > 0);
    expect(pathsOf(daemon)).toEqual(["ring"]);
    await daemon.stop();
  });

  test.each([
    ["bulk", {}],
    ["ring", { listen: { port: 0 } }],
  ])("that is killed during a %s download ends with 3, and leaves nothing", async (_, settings) => {
    const daemon = await start(settings);
    const { ended } = begin(daemon.url, ID);
    await until("it sends", () => descendantsOf(daemon.pid, SENDER).length === 1);
    const [sender = 0] = descendantsOf(daemon.pid, SENDER);
    process.kill(sender, "SIGSTOP");
    await until("the partial file is there", () => readdirSync(own).length === 1);
    daemon.process.kill("SIGKILL");
    await daemon.exited;
    process.kill(sender, "SIGKILL");
    const { status, stderr } = await ended;
    expect({ status, stderr }).toEqual({ status: 3, stderr: expect.stringMatching(/^imagestore: .+\n$/) });
    expect(readdirSync(own)).toEqual([]);
  });
});

/** A stand-in for a daemon, on loopback. @returns its URL. */
async function listen(handle: RequestListener): Promise<string> {
  const server = createServer(handle).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe("a bulk download whose connection ends in order", () => {
  const result = (text: string, status = 200): RequestListener => {
    return (request, response) => {
      const { url = "", headers } = request;
      if (url.startsWith("/snapshots/download/result")) return void response.writeHead(status).end(text);
      if (url.includes("redirect=1"))
        return void response.writeHead(307, { location: `http://${headers.host}/bulk` }).end();
      response.writeHead(200, { "x-download-id": "d-1", connection: "close" });
      response.useChunkedEncodingByDefault = false;
      response.end("abc");
    };
  };
  test.each([
    [0, '{"state":"complete","bytes":3}', 200, ""],
    [0, '{"state":"complete"}', 200, ""],
    [75, '{"state":"complete","bytes":4}', 200, "the connection was cut after 3 bytes of 4"],
    [75, '{"state":"failed","reason":"service.stopping","message":"stopping"}', 200, "stopping"],
    [1, '{"state":"failed","reason":"command.failed","message":"it broke"}', 200, "it broke"],
    [3, "not found", 404, "the connection ended after 3 bytes, and the daemon does not say that this is all"],
  ])("ends with %i where the result is %s", async (expected, text, status, line) => {
    const url = await listen(result(text, status));
    const ran = await run(url, "v@s", "-o", "x");
    expect(ran).toMatchObject({ status: expected, stderr: line === "" ? "" : `imagestore: ${line}\n` });
    expect(existsSync(join(own, "x"))).toBe(expected === 0);
    expect(readdirSync(own)).toHaveLength(expected === 0 ? 1 : 0);
  });
});
