import { mkdtempSync, readdirSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { bulkCases, bulkConfig, downloadByRing } from "../support/bulk-cases.js";
import { curl, field, RESET } from "../support/curl.js";
import { type DaemonProcess, startDaemonProcess } from "../support/daemon.js";
import { childrenOf, descendantsOf } from "../support/processes.js";
import { createRandomSnapshot } from "../support/random-snapshot.js";
import { must } from "../support/rpc.js";
import { ROOT } from "../support/source-tree.js";
import { isAlive, until } from "../support/until.js";

const MIB = 1_048_576;
const DISK_MIB = 64;
const ID = "v@s";
const PATH = `/snapshots/download?id=${ID}`;

const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
const poolFolder = join(folder, "pool");
let reference = { sha256: "", bytes: 0 };

const start = (settings: Record<string, unknown>, env: NodeJS.ProcessEnv = {}) =>
  startDaemonProcess(
    bulkConfig(folder, { name: "tank", driver: "embedded", folder: poolFolder }, settings),
    env,
  );

beforeAll(async () => {
  const daemon = await start({});
  await createRandomSnapshot(daemon.url, "v@s", DISK_MIB);
  reference = await downloadByRing(daemon.url, ID);
  await daemon.stop();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("bulk downloads of an embedded pool", () => {
  bulkCases({
    folder,
    start: async (settings, env) => {
      const daemon = await start(settings, env);
      return {
        daemon,
        id: ID,
        ...reference,
        senders: () => descendantsOf(daemon.pid, "embedded/send-process.js"),
        isHeld: async () =>
          (await (await fetch(`${daemon.url}/diagnose`)).text()).includes("tank/v@s  imagestore:"),
      };
    },
  });
});

describe("the port for bulk downloads", () => {
  let daemon: DaemonProcess | undefined;
  const opened = async (settings: Record<string, unknown> = {}) => {
    daemon = await start(settings);
    return daemon;
  };
  afterEach(async () => {
    await daemon?.stop();
    daemon = undefined;
  });

  /** Sends text as it is, and resolves with all that comes until the connection ends. */
  const exchange = (url: string, text: string): Promise<string> =>
    new Promise((resolve) => {
      let answer = "";
      const socket = connect(Number(new URL(url).port), "127.0.0.1", () => socket.write(text));
      socket.on("data", (chunk) => {
        answer += chunk.toString("latin1");
      });
      socket.on("error", () => {});
      socket.on("close", () => resolve(answer));
    });

  test("without ss a download is complete, and its size is not told", async () => {
    // The send process is Node itself, which is started by its path.
    daemon = await start({}, { PATH: folder });
    const ended = await curl(`${daemon.bulkUrl}${PATH}`).ended;
    expect(ended).toMatchObject({ status: 0, ...reference });
    const id = field(ended.head, "x-download-id");
    const result = await (await fetch(`${daemon.url}/snapshots/download/result?download=${id}`)).json();
    expect(result).toEqual({ download: id, snapshot: "tank/v@s", state: "complete" });
  });

  test("refuses what the main port refuses, with the same words, and closes the connection", async () => {
    const { url, bulkUrl } = await opened({ limits: { bodyBytes: 1024 } });
    const requests: readonly (readonly [string, RequestInit])[] = [
      ["/snapshots/download", {}],
      ["/snapshots/download?id=v", {}],
      ["/snapshots/download?id=v@none", {}],
      ["/snapshots/download?id=a/../b@s", {}],
      [PATH, { method: "PUT" }],
      ["/snapshots/download", { method: "POST", body: "{" }],
      ["/snapshots/download", { method: "POST", body: "x".repeat(2048) }],
      [PATH, { headers: { origin: "https://evil.example" } }],
      ["/snapshots/download/result", {}],
      ["/snapshots/download/result?download=none", {}],
      ["/nothing", {}],
    ];
    for (const [path, init] of requests) {
      const told = await Promise.all(
        [url, bulkUrl].map(async (each) => {
          const response = await fetch(`${each}${path}`, { ...init, keepalive: false });
          return {
            status: response.status,
            text: await response.text(),
            closes: response.headers.get("connection"),
          };
        }),
      );
      expect(told[1]).toEqual({ ...told[0], closes: "close" });
      expect(told[1]?.status).toBeGreaterThanOrEqual(400);
    }
    // What has nothing to do with downloads is not there.
    for (const path of ["/rpc", "/_mistify_RPC_", "/metrics", "/diagnose"]) {
      expect((await fetch(`${bulkUrl}${path}`)).status).toBe(404);
    }
    expect((await fetch(`${bulkUrl}/healthz`)).status).toBe(200);
    const answer = await exchange(bulkUrl, `GET ${PATH} HTTP/1.1\r\nHost: evil.example\r\n\r\n`);
    expect(answer).toMatch(
      /^HTTP\/1\.1 403 [\s\S]*the request's Host "evil\.example" is no name of this machine/,
    );
  });

  test("takes a SnapshotRequest as a body, and HTTP/1.0", async () => {
    const { bulkUrl } = await opened();
    const posted = await curl(`${bulkUrl}/snapshots/download`, ["-d", JSON.stringify({ id: ID })]).ended;
    expect(posted).toMatchObject({ status: 0, ...reference });
    expect(await curl(`${bulkUrl}${PATH}`, ["--http1.0"]).ended).toMatchObject({ status: 0, ...reference });
  });

  test("cuts off a client that sends more than its request, whenever it does", async () => {
    const { bulkUrl } = await opened();
    const request = `GET ${PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`;
    const pipelined = await exchange(bulkUrl, request + request);
    expect(pipelined.length).toBeLessThan(reference.bytes);
    // As much as libuv reads at once: a second read of a blocking socket would hold up the thread.
    const late = await new Promise<number>((resolve) => {
      let bytes = 0;
      const socket = connect(Number(new URL(bulkUrl).port), "127.0.0.1", () => socket.write(request));
      socket.on("data", (chunk: Buffer) => {
        if (bytes === 0) socket.write(Buffer.alloc(65_536));
        bytes += chunk.length;
      });
      socket.on("error", () => {});
      socket.on("close", () => resolve(bytes));
    });
    expect(late).toBeLessThan(reference.bytes);
    expect((await curl(`${bulkUrl}${PATH}`).ended).status).toBe(0);
  });

  test("what is known to fail before a send is begun is answered as on the main port", async () => {
    const { url, bulkUrl } = await opened();
    renameSync(join(poolFolder, "volumes"), join(poolFolder, "elsewhere"));
    const told = await Promise.all(
      [url, bulkUrl].map(async (each) => {
        const response = await fetch(`${each}${PATH}`);
        return [response.status, await response.text()];
      }),
    );
    renameSync(join(poolFolder, "elsewhere"), join(poolFolder, "volumes"));
    const answer = [500, expect.stringContaining("cannot send 'tank/v@s': ENOENT")];
    expect(told).toEqual([answer, answer]);
    expect((await curl(`${bulkUrl}${PATH}`).ended).status).toBe(0);
  });

  test("downloads on both ports count against limits.downloads, and connections have a limit", async () => {
    const { url, bulkUrl } = await opened({ limits: { downloads: 1 } });
    const first = curl(`${bulkUrl}${PATH}`);
    first.pause();
    await until("it has begun", first.hasHead);
    for (const each of [url, bulkUrl]) {
      const response = await fetch(`${each}${PATH}`);
      expect(response.status).toBe(503);
      expect(await response.text()).toContain("limits.downloads");
    }
    // Two connections for one download: one that runs, and one that is to be answered.
    const idle = connect(Number(new URL(bulkUrl).port), "127.0.0.1");
    await new Promise((resolve) => idle.once("connect", resolve));
    const refused = await exchange(bulkUrl, `GET ${PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`);
    expect(refused).toMatch(/^HTTP\/1\.1 503 [\s\S]*limits\.connections/);
    idle.destroy();
    first.resume();
    expect((await first.ended).status).toBe(0);
    let metrics = "";
    await until("it has ended", async () => {
      metrics = await (await fetch(`${url}/metrics`)).text();
      return /^imagestore_downloads 0$/m.test(metrics);
    });
    expect(metrics).toMatch(/^imagestore_connections_refused_total 1$/m);
    const streamed = Number(/^imagestore_streamed_bytes_total (\d+)$/m.exec(metrics)?.[1]);
    expect(streamed).toBeGreaterThanOrEqual(reference.bytes);
    expect(streamed).toBeLessThan(reference.bytes * 1.01);
  });

  test("is told in the diagnosis, and a send that gives nothing is late", async () => {
    const { url, bulkUrl, pid, log } = await opened({ timeouts: { commandMs: 1_000, lateMs: 1_000 } });
    const client = curl(`${bulkUrl}${PATH}`);
    client.pause();
    let sender = 0;
    await until("it sends", () => {
      [sender = 0] = descendantsOf(pid, "embedded/send-process.js");
      return sender !== 0;
    });
    const diagnosis = async () => (await fetch(`${url}/diagnose`)).text();
    await until("it waits for its client", async () =>
      new RegExp(`tank/v@s .* bulk +streaming, waits for the client .* ${sender} +127\\.0\\.0\\.1`).test(
        await diagnosis(),
      ),
    );
    expect(await diagnosis()).toMatch(/bulk connections +1 of 512/);
    process.kill(sender, "SIGSTOP");
    client.resume();
    await until("it is late", () => log().includes("a download is late"));
    expect(await diagnosis()).toMatch(/bulk +streaming, waits for the send/);
    process.kill(sender, "SIGCONT");
    expect(await client.ended).toMatchObject({ status: 0, ...reference });
  });

  test("the process that guards connections is replaced when it dies", async () => {
    const { url, bulkUrl, pid } = await opened();
    const [guard] = childrenOf(pid, "reset-process.js");
    process.kill(guard as number, "SIGKILL");
    await until("it is gone", () => childrenOf(pid, "reset-process.js").length === 0);
    const client = curl(`${bulkUrl}${PATH}`);
    client.pause();
    let sender = 0;
    await until("it sends", () => {
      [sender = 0] = descendantsOf(pid, "embedded/send-process.js");
      return client.hasHead() && sender !== 0;
    });
    process.kill(sender, "SIGKILL");
    client.resume();
    const ended = await client.ended;
    expect(ended.status).toBe(RESET);
    const id = field(ended.head, "x-download-id");
    const result = await fetch(`${url}/snapshots/download/result?download=${id}`);
    expect(await result.json()).toMatchObject({ state: "failed" });
  });

  test("a process that guards connections and hangs is replaced, and its client may ask again", async () => {
    const { bulkUrl, pid } = await opened();
    const [guard] = childrenOf(pid, "reset-process.js");
    process.kill(guard as number, "SIGSTOP");
    const response = await fetch(`${bulkUrl}${PATH}`);
    expect([response.status, await response.text()]).toEqual([
      503,
      "the connection can't be guarded; ask again\n",
    ]);
    expect(await curl(`${bulkUrl}${PATH}`).ended).toMatchObject({ status: 0, ...reference });
    expect(isAlive(guard as number)).toBe(false);
  });

  test("a send that fails at once resets its client, and the result has its reason", async () => {
    // What the ticket can't know: this zfs finds everything, and sends nothing.
    const fake = (name: string) => join(ROOT, "bench/fake", name);
    const pool = { name: "fake", zfsCommand: [fake("zfs")], zpoolCommand: [fake("zpool")], deviceWaitMs: 0 };
    const said = join(folder, "says-why");
    writeFileSync(said, "#!/bin/sh\necho \"cannot send 'x@s': permission denied\" >&2\nexit 1\n", {
      mode: 0o755,
    });
    daemon = await start({ pools: [pool], dataDir: join(folder, "fake") }, { FAKE_PRODUCER: said });
    const ended = await curl(`${daemon.bulkUrl}/snapshots/download?id=guests/mib-1/disk@s`).ended;
    expect(ended).toMatchObject({ status: RESET, bytes: 0 });
    const id = field(ended.head, "x-download-id");
    const result = await fetch(`${daemon.url}/snapshots/download/result?download=${id}`);
    expect(await result.json()).toEqual({
      download: id,
      snapshot: "fake/guests/mib-1/disk@s",
      state: "failed",
      reason: "command.not_permitted",
      message: "cannot send 'x@s': permission denied",
    });
  });

  test("is not there unless it is configured, and redirect=1 is then served by the main port", async () => {
    const { url, bulkUrl, pid } = await opened({ listen: { port: 0 } });
    expect(bulkUrl).toBe("");
    expect(childrenOf(pid, "reset-process.js")).toEqual([]);
    expect(await curl(`${url}${PATH}&redirect=1`).ended).toMatchObject({ status: 0, ...reference });
  });

  test("a port that is in use keeps the daemon from starting, and says so", async () => {
    const { url } = await opened();
    const bulk = { port: Number(new URL(url).port) };
    const failed = start({ listen: { port: 0, bulk }, dataDir: join(folder, "other") });
    await expect(failed).rejects.toThrow(/port \d+ on 127\.0\.0\.1 is in use: .*listen\.bulk\.port/);
  });

  test("a snapshot whose file was cut short is refused before its first byte", async () => {
    const { url, bulkUrl } = await opened();
    await must(url, "CreateVolume", { id: "short", size: 4 });
    await must(url, "CreateSnapshot", { id: "short", dest: "s" });
    const volumes = join(poolFolder, "volumes");
    const before = new Set(readdirSync(volumes));
    await must(url, "CreateSnapshot", { id: "short", dest: "t" });
    const [file = ""] = readdirSync(volumes).filter((each) => !before.has(each));
    truncateSync(join(volumes, file), 4 * MIB - 4096);
    const response = await fetch(`${bulkUrl}/snapshots/download?id=short@t`);
    expect([response.status, await response.text()]).toEqual([500, expect.stringContaining("is damaged")]);
  });
});
