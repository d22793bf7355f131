import { mkdtempSync, renameSync, rmSync } from "node:fs";
import { type IncomingMessage, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { type DaemonProcess, startDaemonProcess } from "../support/daemon.js";
import { descendantsOf } from "../support/processes.js";
import { createRandomSnapshot } from "../support/random-snapshot.js";
import { call } from "../support/rpc.js";
import { transportNames } from "../support/transports.js";
import { until } from "../support/until.js";

/** More than the sockets and the ring hold, so that a client that takes nothing stalls its send. */
const DISK_MIB = 64;

/** A daemon with a snapshot `v@s`, and a download of it. */
interface Scene {
  readonly daemon: DaemonProcess;
  readonly poolFolder: string;
  /** The pid of the process that sends. */
  sender(): number;
  /** Starts the download. Resolves with the head of its reply, or rejects with the connection. */
  download(): Promise<IncomingMessage>;
}

/** Reads what comes, and resolves when the connection is cut. */
async function cut(reply: IncomingMessage): Promise<void> {
  expect(reply.statusCode).toBe(200);
  reply.resume();
  await until("the connection is cut", () => reply.closed);
  expect(reply.complete).toBe(false);
}

/** How a download ends: what is done to it, and what the log and the metrics then say. */
interface End {
  readonly what: string;
  readonly env?: NodeJS.ProcessEnv;
  /** By default longer than a busy machine takes for anything else. */
  readonly stalledReaderMs?: number;
  play(scene: Scene): Promise<void>;
  readonly code: string;
  readonly message: RegExp | undefined;
  /** The daemon has ended with it: there are no metrics to ask. */
  readonly stops?: true;
}

const ENDS: readonly End[] = [
  {
    what: "its last byte",
    play: async ({ download }) => {
      const reply = await download();
      for await (const _ of reply);
      expect(reply.complete).toBe(true);
    },
    code: "ok",
    message: undefined,
  },
  {
    what: "the client's going",
    play: async ({ download }) => void (await download()).destroy(),
    code: "service.interrupted",
    message: /^the client went before it had the whole snapshot$/,
  },
  {
    what: "a send that fails before its first byte",
    play: async ({ poolFolder, download }) => {
      renameSync(join(poolFolder, "volumes"), join(poolFolder, "elsewhere"));
      const reply = await download();
      renameSync(join(poolFolder, "elsewhere"), join(poolFolder, "volumes"));
      expect(reply.statusCode).toBe(500);
      reply.resume();
    },
    code: "command.failed",
    message: /cannot send 'tank\/v@s': ENOENT/,
  },
  {
    what: "a send that is killed after its first byte",
    play: async ({ sender, download }) => {
      const reply = await download();
      process.kill(sender(), "SIGKILL");
      await cut(reply);
    },
    code: "service.interrupted",
    message: /killed by SIGKILL/,
  },
  {
    what: "the end of the streaming thread",
    env: { IMAGESTORE_TRACE_FAULT: "streaming.order.room#2:crash" },
    play: async ({ download }) => cut(await download()),
    code: "service.interrupted",
    message: /^the streaming thread ended before the transfer did; ask again$/,
  },
  {
    what: "a reader that takes nothing",
    stalledReaderMs: 700,
    play: async ({ daemon, download }) => {
      const reply = await download();
      await until("it is told", () => daemon.log().includes("stalledReaderMs"));
      await cut(reply);
    },
    code: "service.interrupted",
    message: /^the client took nothing for 700 ms \(timeouts.stalledReaderMs\)$/,
  },
  {
    what: "the stop of the daemon",
    play: async ({ daemon, download }) => {
      const reply = await download();
      expect(await daemon.stop()).toBe(0);
      await cut(reply);
    },
    code: "service.stopping",
    message: /^imagestore is stopping$/,
    stops: true,
  },
];

async function setUp(
  transport: "uws" | "node",
  { env = {}, stalledReaderMs = 120_000 }: Pick<End, "env" | "stalledReaderMs">,
): Promise<Scene> {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  const poolFolder = join(folder, "pool");
  const daemon = await startDaemonProcess(
    {
      listen: { port: 0, transport },
      pools: [{ name: "tank", driver: "embedded", folder: poolFolder }],
      dataDir: join(folder, "records"),
      log: { level: "info" },
      timeouts: { stalledReaderMs, graceMs: 100 },
    },
    { IMAGESTORE_TRACE: join(folder, "trace"), ...env },
  );
  onTestFinished(async () => {
    await daemon.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  await createRandomSnapshot(daemon.url, "v@s", DISK_MIB);
  return {
    daemon,
    poolFolder,
    sender: () => descendantsOf(daemon.pid, "embedded/send-process.js")[0] ?? 0,
    download: () =>
      new Promise((resolve, reject) => {
        const headers = { "x-request-id": "the-download" };
        const url = `${daemon.url}/snapshots/download?id=v@s`;
        const received = (reply: IncomingMessage) => resolve(reply.on("error", () => {}));
        request(url, { headers, agent: false }, received).on("error", reject).end();
      }),
  };
}

describe.each(transportNames)("a download over %s", (transport) => {
  test.each(ENDS)("that ends by $what is logged and counted as that, once", async (end) => {
    const scene = await setUp(transport, end);
    await end.play(scene);
    const { daemon } = scene;
    const lines = () =>
      daemon
        .log()
        .split("\n")
        .filter((line) => line.includes("the-download"))
        .map((line): Record<string, unknown> => JSON.parse(line));
    await until("it is logged", () => lines().length > 0);
    const { method, code, pool, message } = lines()[0] ?? {};
    expect({ method, code, pool }).toEqual({ method: "download", code: end.code, pool: "tank" });
    if (end.message) expect(message).toMatch(end.message);
    else expect(message).toBeUndefined();
    if (end.stops) return expect(lines().length).toBe(1);
    await until("its hold is released", async () => {
      const { error } = await call(daemon.url, "DeleteSnapshot", { id: "v@s" });
      return error === null;
    });
    const metrics = await (await fetch(`${daemon.url}/metrics`)).text();
    const counted = metrics.split("\n").filter((line) => /_calls_total\{.*method="download"/.test(line));
    expect(counted).toEqual([expect.stringContaining(`code="${end.code}"`)]);
    expect(counted[0]).toMatch(/ 1$/);
    expect(metrics).toMatch(/^imagestore_downloads 0$/m);
    expect(lines().length).toBe(1);
  });
});
