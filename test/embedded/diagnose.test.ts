import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, get, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { CLI, type DaemonProcess, freePort, startDaemonProcess } from "../support/daemon.js";
import { createRandomSnapshot } from "../support/random-snapshot.js";
import { call } from "../support/rpc.js";
import { standInPool } from "../support/stand-in-zfs.js";
import { until } from "../support/until.js";

const MIB = 1_048_576;
const DISK_MIB = 32;
/** The most that a diagnosis may take, whatever hangs. */
const ANSWER_LIMIT_MS = 5_000;

async function diagnose(url: string): Promise<string> {
  const startedAt = performance.now();
  const response = await fetch(`${url}/diagnose`, { headers: { connection: "close" } });
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("text/plain; charset=utf-8");
  expect(response.headers.get("cache-control")).toBe("no-store");
  const text = await response.text();
  expect(performance.now() - startedAt).toBeLessThan(ANSWER_LIMIT_MS);
  return text;
}

/** The lines below a heading. */
function sectionOf(text: string, heading: string): string {
  const found = text.split("\n\n").find((each) => each.startsWith(`${heading}\n`));
  if (found === undefined) throw new Error(`no section ${heading} in:\n${text}`);
  return found;
}

/** Asks until the text has it, in a section or at all. */
async function untilTold(url: string, words: RegExp): Promise<string> {
  let text = "";
  await until(`the diagnosis tells ${words}`, async () => {
    text = await diagnose(url);
    return words.test(text);
  });
  return text;
}

/** Runs `imagestore diagnose`. */
async function cli(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, [CLI, "diagnose", ...args], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr.on("data", (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const status = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return { status, stdout, stderr };
}

const folder = mkdtempSync(join(tmpdir(), "imagestore-diagnose-"));
const embedded = (name: string) => ({ name, driver: "embedded", folder: join(folder, name) });
/** What the image service sends before it stalls. */
let begun: Buffer = Buffer.alloc(0);
let service: Server;
let servicePort: number;

beforeAll(async () => {
  service = createServer((_, response) => {
    response.write(begun);
  });
  await new Promise<void>((resolve) => service.listen(0, "127.0.0.1", resolve));
  servicePort = (service.address() as AddressInfo).port;
});
afterAll(async () => {
  service.closeAllConnections();
  service.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Makes `seed@s`, whose stream is as long as its disk. */
async function createSeed(url: string, pool: string): Promise<void> {
  await createRandomSnapshot(url, `${pool}/seed@s`, DISK_MIB);
}

describe("the diagnosis of a daemon at work", () => {
  const secrets = { HTTPS_PROXY: "http://agent:proxy-secret@proxy.example:3128", OTHER_TOKEN: "env-secret" };
  let daemon: DaemonProcess;
  /** The reply of a download that nobody reads on. */
  let reply: IncomingMessage;
  /** Calls that hang until the daemon ends. */
  const hanging: Promise<unknown>[] = [];

  beforeAll(async () => {
    daemon = await startDaemonProcess(
      {
        listen: { port: 0 },
        pools: [embedded("tank"), standInPool(folder, "dozer")],
        imageService: `127.0.0.1:${servicePort}`,
        imageSources: [`127.0.0.1:${servicePort}`],
        dataDir: join(folder, "records"),
        timeouts: { graceMs: 1 },
      },
      secrets,
    );
    const { url } = daemon;
    await createSeed(url, "tank");
    const whole = Buffer.from(await (await fetch(`${url}/snapshots/download?id=tank/seed@s`)).arrayBuffer());
    begun = whole.subarray(0, 3 * MIB);
    reply = await new Promise<IncomingMessage>((resolve, reject) => {
      get(
        `${url}/snapshots/download?id=tank/seed@s`,
        { headers: { "x-request-id": "slow-reader" } },
        resolve,
      ).once("error", reject);
    });
    reply.on("error", () => {});
    const source = `http://agent:image-secret@127.0.0.1:${servicePort}/golden?signature=query-secret`;
    const later = (method: string, params: object) =>
      void hanging.push(call(url, method, params).catch(() => {}));
    later("RequestImage", { pool: "tank", id: "golden", type: "kvm", source });
    later("CreateVolume", { id: "dozer/hanging", size: 1 });
    await untilTold(url, /create .*dozer\/hanging/);
    later("DeleteDataset", { id: "dozer/hanging" });
  }, 60_000);
  afterAll(async () => {
    reply?.destroy();
    daemon?.process.kill("SIGKILL");
    await daemon?.exited;
    await Promise.all(hanging);
  });

  test("names a download with a slow reader, its bytes and its rate", async () => {
    const text = await untilTold(daemon.url, /tank\/seed@s .*waits for the client/);
    const downloads = sectionOf(text, "Downloads");
    expect(sectionOf(text, "HTTP")).toMatch(/connections +[1-9]\d* of/);
    expect(downloads).toMatch(
      /tank\/seed@s +[\d.]+ [KM]iB +[\d.]+ [KM]iB\/s +[\d.]+ m?s +[\d.]+ m?s ago +ring +streaming, waits for the client +[\d.]+ [KM]iB +\d+ +127\.0\.0\.1 +slow-reader/,
    );
    expect(sectionOf(text, "Pool tank: holds")).toMatch(/tank\/seed@s +imagestore:\S+ +1 download/);
  });

  test("names a fetch from a service that stalls, its bytes and its rate, and no secret", async () => {
    const text = await untilTold(daemon.url, /partial-golden +3\.0 MiB/);
    expect(sectionOf(text, "Image fetches")).toMatch(
      new RegExp(
        `tank/images/\\.partial-golden +3\\.0 MiB +[\\d.]+ [KM]iB/s +[\\d.]+ m?s +[\\d.]+ m?s ago +[\\d.]+ MiB +\\d+ +http://127\\.0\\.0\\.1:${servicePort}/golden\\?…`,
      ),
    );
    expect(sectionOf(text, "Pool tank: queues")).toMatch(/image fetches +1 of/);
    expect(sectionOf(text, "Pool tank: work under way")).toMatch(
      /RequestImage .*golden[\s\S]*waits +\S+ m?s for stream/,
    );
    expect(text).not.toMatch(/secret/);
  });

  test("names a lock, who has it and who waits, and the command with its pid", async () => {
    const text = await untilTold(daemon.url, /held by #\d+ CreateVolume/);
    const work = sectionOf(text, "Pool dozer: work under way");
    expect(work).toMatch(
      /#\d+ CreateVolume .*dozer\/hanging[\s\S]*has lock +dozer\/hanging self owned[\s\S]*pid \d+, .* create -p .*dozer\/hanging/,
    );
    expect(work).toMatch(
      /#\d+ DeleteDataset[\s\S]*for lock dozer\/hanging subtree owned, held by #\d+ CreateVolume/,
    );
    expect(sectionOf(text, "Pool dozer: queues")).toMatch(
      /change commands +1 of 16 +0[\s\S]*runner: answers/,
    );
    expect(sectionOf(text, "Processes")).toMatch(/\d+ +\d+ +[\d.]+ m?s +sleep +sleeps/);
  });

  test("names the versions of what it runs on", async () => {
    const versions = sectionOf(await diagnose(daemon.url), "Versions");
    expect(versions).toMatch(/transport +(?:uWebSockets\.js 20\.\S+ \(@\S+\)|node:http)\n/);
    expect(versions).toMatch(/sqlite +3\.\d+\.\d+ \((?:package sqlite3|of Node)\)\n/);
  });

  test("tells it over the command line too, and follows the rules of the other probes", async () => {
    const { status, stdout, stderr } = await cli(["--url", daemon.url]);
    expect([status, stderr]).toEqual([0, ""]);
    expect(sectionOf(stdout, "Downloads")).toContain("slow-reader");
    const ask = (options: RequestInit) =>
      fetch(`${daemon.url}/diagnose`, options).then(({ status }) => status);
    expect(await ask({ method: "POST" })).toBe(405);
    expect(await ask({ headers: { origin: "http://evil.example" } })).toBe(403);
  });

  test("still tells the commands of a pool whose runner is stopped", async () => {
    const processes = sectionOf(await diagnose(daemon.url), "Processes");
    // The parent of the command that hangs.
    const [, runner = ""] = /\d+ +(\d+) +[\d.]+ m?s +sleep /.exec(processes) ?? [];
    process.kill(Number(runner), "SIGSTOP");
    // A runner that answers nothing is killed some seconds later.
    const text = await untilTold(daemon.url, /runner: SILENT[\s\S]* stopped$/m);
    expect(sectionOf(text, "Pool dozer: commands")).toMatch(/- +runs +.*create -p .*dozer\/hanging/);
    expect(sectionOf(text, "Daemon")).toMatch(/pool dozer +no answer within \d+ ms/);
    expect(sectionOf(text, "Processes")).toMatch(new RegExp(`${runner} .*node +stopped`));
    // It ends itself when it goes on and finds its daemon killed.
    process.kill(Number(runner), "SIGCONT");
  });
});

describe("the diagnosis of a daemon in which a part hangs", () => {
  let daemon: DaemonProcess | undefined;
  afterEach(async () => {
    daemon?.process.kill("SIGKILL");
    await daemon?.exited;
  });
  /** A daemon of whose threads one stops at a point, for a minute. */
  async function start(name: string, point: string): Promise<DaemonProcess> {
    daemon = await startDaemonProcess(
      {
        listen: { port: 0, transport: "node" },
        pools: [embedded(name)],
        imageService: `127.0.0.1:${servicePort}`,
        dataDir: join(folder, `${name}-records`),
      },
      { IMAGESTORE_TRACE: join(folder, `${name}-trace`), IMAGESTORE_TRACE_FAULT: `${point}:delay-60000` },
    );
    return daemon;
  }
  const hasHung = (name: string) =>
    until(`a thread hangs`, () => existsSync(join(folder, `${name}-trace.acted`)));

  test("tells that the actor is silent, and the rest", async () => {
    const { url } = await start("hung", "actor.operation.CreateVolume.begin#1");
    const asked = call(url, "CreateVolume", { id: "hung/v", size: 1 }).catch(() => {});
    await hasHung("hung");
    const text = await diagnose(url);
    expect(sectionOf(text, "Threads")).toMatch(
      /actor of hung +ready +1 of 10000 +0 +SILENT: no answer within 2000 ms[\s\S]*streaming .*answers/,
    );
    expect(sectionOf(text, "Daemon")).toMatch(
      /\/readyz +not ready \(503\)\n +pool hung +no answer within 1500 ms/,
    );
    expect(sectionOf(text, "Pool hung: work under way")).toContain("SILENT: no answer within 2000 ms");
    expect(sectionOf(text, "HTTP")).toMatch(/connections +[1-9]\d* of/);
    expect(sectionOf(text, "Configuration")).toContain('"hung"');
    daemon?.process.kill("SIGKILL");
    await asked;
  });

  test("tells that the streaming thread is silent, and the bytes of its fetches all the same", async () => {
    const { url } = await start("deaf", "streaming.order.fetch#2");
    const fetchImage = (id: string) => call(url, "RequestImage", { id, type: "kvm" }).catch(() => {});
    const asked = [fetchImage("first")];
    await untilTold(url, /partial-first +3\.0 MiB/);
    asked.push(fetchImage("second"));
    await hasHung("deaf");
    const text = await diagnose(url);
    expect(sectionOf(text, "Threads")).toMatch(
      /actor of deaf .*answers\n +streaming .*SILENT: no answer within 2000 ms/,
    );
    const fetches = sectionOf(text, "Image fetches");
    expect(fetches).toMatch(/partial-first +3\.0 MiB .*not known/);
    expect(fetches).toMatch(/partial-second +0 B .*none came .*not known/);
    daemon?.process.kill("SIGKILL");
    await Promise.all(asked);
  });
});

describe("imagestore diagnose without a daemon that answers", () => {
  test("tells what it can find, and ends with status 1", async () => {
    const daemon = await startDaemonProcess({
      listen: { port: 0 },
      pools: [embedded("frozen")],
      dataDir: join(folder, "frozen-records"),
    });
    const env = {
      IMAGESTORE_POOLS: "frozen",
      IMAGESTORE_DATA_DIR: join(folder, "frozen-records"),
    };
    process.kill(daemon.pid, "SIGSTOP");
    const { status, stdout, stderr } = await cli(["--url", daemon.url], env);
    process.kill(daemon.pid, "SIGKILL");
    await daemon.exited;
    expect([status, stderr]).toEqual([1, ""]);
    expect(sectionOf(stdout, "Daemon")).toMatch(
      new RegExp(
        `answer +NONE: nothing came within 10 s\\n +connection +connected\\n +listens there +pid ${daemon.pid}$`,
      ),
    );
    expect(sectionOf(stdout, "Files of the pools")).toMatch(
      new RegExp(`frozen-records/frozen.db +locked by pid ${daemon.pid}$`),
    );
    expect(sectionOf(stdout, "Processes that listen there or have the files")).toMatch(
      new RegExp(`${daemon.pid} .*node +stopped`),
    );
  });

  test("tells that nothing listens, and what is wrong with the configuration", async () => {
    const port = await freePort();
    const { status, stdout } = await cli(["-u", `http://127.0.0.1:${port}`], { IMAGESTORE_PORT: "no port" });
    expect(status).toBe(1);
    expect(sectionOf(stdout, "Daemon")).toContain("NONE: nothing listens there");
    expect(sectionOf(stdout, "Configuration")).toContain('listen.port = "no port"');
    const unknown = await cli([], { IMAGESTORE_PORT: "no port" });
    expect([unknown.status, unknown.stdout]).toEqual([1, expect.stringContaining("give --url")]);
  });

  test("refuses what it does not know", async () => {
    for (const [args, message] of [
      [["--no-such"], "unknown option '--no-such'"],
      [["--url", "nowhere"], "must be http://HOST:PORT"],
      [["--config", ""], "must not be empty"],
    ] as const) {
      const { status, stderr } = await cli(args);
      expect([status, stderr]).toEqual([1, expect.stringContaining(message)]);
    }
  });
});

test("/diagnose tells what a start waits for, while everything else is answered 503", async () => {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const config = join(folder, "starting.json");
  const pools = [standInPool(folder, "slow", "list -Hp -o health,guid slow")];
  writeFileSync(
    config,
    JSON.stringify({ listen: { port }, pools, dataDir: join(folder, "starting-records") }),
  );
  const child = spawn(process.execPath, [CLI, "serve", "-c", config], { stdio: "ignore" });
  try {
    await until("it answers", () =>
      fetch(`${url}/metrics`).then(
        ({ status }) => status === 503,
        () => false,
      ),
    );
    const text = await untilTold(url, /#1 open[\s\S]*command +pid|zfs-slow list -Hp/);
    expect(sectionOf(text, "Threads")).toMatch(/actor of slow +starting .*answers/);
    expect(sectionOf(text, "Daemon")).toMatch(/not ready \(503\)\n +pool slow +the actor is starting/);
    expect(sectionOf(text, "Pool slow: work under way")).toMatch(/#1 open[\s\S]*for driver checkPool/);
    const forbidden = await fetch(`${url}/diagnose`, { headers: { origin: "http://evil.example" } });
    expect(forbidden.status).toBe(403);
  } finally {
    child.kill("SIGKILL");
  }
});

/** `zfs create` says again and again that the dataset is busy, which takes longer than the operation may. */
test("/readyz names an operation that is late, of a pool that is ready", async () => {
  const daemon = await startDaemonProcess({
    listen: { port: 0 },
    pools: [standInPool(folder, "late")],
    dataDir: join(folder, "late-records"),
    timeouts: { commandMs: 1_000, lateMs: 10, graceMs: 1 },
  });
  const { url } = daemon;
  try {
    let isOver = true;
    let told: unknown;
    await until("a late operation is named", async () => {
      if (isOver) {
        isOver = false;
        void call(url, "CreateVolume", { id: "late/busy", size: 1 })
          .catch(() => {})
          .finally(() => {
            isOver = true;
          });
      }
      const response = await fetch(`${url}/readyz`);
      const body = (await response.json()) as { late?: Record<string, readonly unknown[]> };
      if (!body.late) return false;
      told = { status: response.status, ...body };
      return true;
    });
    expect(told).toMatchObject({
      status: 200,
      ready: true,
      pools: { late: "ready" },
      late: {
        late: [
          {
            name: "CreateVolume",
            datasets: ["late/busy"],
            lateMs: expect.any(Number),
            locks: expect.arrayContaining(["late/busy self owned"]),
          },
        ],
      },
    });
    await untilTold(url, /Pool late: recently late\n +\S+ m?s ago:\n +#\d+ CreateVolume/);
  } finally {
    await daemon.stop();
  }
});
