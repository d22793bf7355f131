import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, expect, test } from "vitest";
import { type CurlEnd, curl, field, RESET } from "./curl.js";
import type { DaemonProcess } from "./daemon.js";
import { call } from "./rpc.js";
import { hasSs } from "./socket-statistics.js";
import { isAlive, until } from "./until.js";

/** A daemon with a port for bulk downloads, and a snapshot that the cases download. */
export interface BulkScene {
  readonly daemon: DaemonProcess;
  /** More than what the sockets and the ring hold, so that a client that takes nothing stalls its send. */
  readonly id: string;
  readonly sha256: string;
  readonly bytes: number;
  /** pids of the children of the daemon that send. */
  senders(): readonly number[];
  isHeld(): Promise<boolean>;
}

/** The configuration of a daemon on this pool that serves bulk downloads. */
export function bulkConfig(folder: string, pool: object, settings: Readonly<Record<string, unknown>>) {
  return {
    listen: { port: 0, bulk: { port: 0 } },
    pools: [pool],
    dataDir: `${folder}/records`,
    log: { level: "info" },
    ...settings,
  };
}

/** What a download by the ring gives. */
export async function downloadByRing(url: string, id: string): Promise<Pick<BulkScene, "sha256" | "bytes">> {
  const { sha256, bytes } = await curl(`${url}/snapshots/download?id=${id}`).ended;
  return { sha256, bytes };
}

export interface BulkSceneOptions {
  /** Starts a daemon on the pool, with `listen.bulk` and these settings beside. */
  start(settings: { timeouts: object }, env?: NodeJS.ProcessEnv): Promise<BulkScene>;
  /** A folder for what a daemon writes. */
  readonly folder: string;
}

/** Of the case that waits for it. The others have readers that stand still for as long as a busy machine takes. */
const STALLED_MS = 3_000;
const PATIENT_MS = 120_000;
const MIB = 1024 * 1024;
const READERS = 8;
/** For how long it is counted what looks at a connection read. */
const LOOKS_MS = 2_000;
/** What the daemon may grow by for eight downloads. */
const RSS_LIMIT_BYTES = 64 * MIB;

interface Result {
  readonly snapshot: string;
  readonly state: string;
  readonly bytes?: number;
  readonly reason?: string;
  readonly message?: string;
}

/** How bulk downloads end, on any pool. Each case has a daemon of its own. */
export function bulkCases({ start, folder }: BulkSceneOptions): void {
  let scene: BulkScene | undefined;
  let lastTrace = 0;
  const open = async (fault?: string, stalledReaderMs = PATIENT_MS): Promise<BulkScene> => {
    const trace = `${folder}/trace-${++lastTrace}`;
    const env = fault ? { IMAGESTORE_TRACE: trace, IMAGESTORE_TRACE_FAULT: fault } : {};
    scene = await start({ timeouts: { stalledReaderMs, graceMs: 100 } }, env);
    return scene;
  };
  afterEach(async () => {
    await scene?.daemon.stop();
    for (const pid of scene?.senders() ?? []) expect(isAlive(pid)).toBe(false);
    scene = undefined;
  });

  const path = ({ id }: BulkScene) => `/snapshots/download?id=${id}`;
  /** A download that has begun, and whose client takes no more than that. */
  const begin = async (opened: BulkScene, args?: readonly string[]) => {
    const client = curl(`${opened.daemon.bulkUrl}${path(opened)}`, args);
    client.pause();
    await until("the head has come", client.hasHead);
    await until("it sends", () => opened.senders().length === 1);
    const [sender = 0] = opened.senders();
    return { client, sender };
  };
  const resultOf = async ({ daemon }: BulkScene, { head }: Pick<CurlEnd, "head">): Promise<Result> => {
    const id = field(head, "x-download-id");
    const response = await fetch(`${daemon.url}/snapshots/download/result?download=${id}`);
    expect(response.status).toBe(200);
    return (await response.json()) as Result;
  };
  const nothingLeft = async (opened: BulkScene) => {
    await until("the sender is gone", () => opened.senders().length === 0);
    await until("the hold is released", async () => !(await opened.isHeld()));
    await until("it is counted no more", async () => {
      const metrics = await (await fetch(`${opened.daemon.url}/metrics`)).text();
      return /^imagestore_downloads 0$/m.test(metrics) && /^imagestore_bulk_downloads 0$/m.test(metrics);
    });
  };
  /** The line of the log that tells of the newest download. */
  const logged = async ({ daemon }: BulkScene): Promise<Record<string, unknown>> => {
    const lines = () =>
      daemon
        .log()
        .split("\n")
        .filter((line) => line.includes('"method":"download"'));
    await until("it is logged", () => lines().length > 0);
    return JSON.parse(lines().at(-1) ?? "{}");
  };

  test("a bulk download has the bytes of any other, ends cleanly, and is told as complete", async () => {
    const opened = await open();
    const { daemon, sha256, bytes } = opened;
    const ended = await curl(`${daemon.bulkUrl}${path(opened)}`).ended;
    expect(ended).toMatchObject({ status: 0, sha256, bytes });
    expect(ended.head).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(field(ended.head, "content-type")).toBe("application/octet-stream");
    expect(field(ended.head, "connection")).toBe("close");
    expect(field(ended.head, "x-request-id")).toMatch(/./);
    const size = hasSs() ? { bytes } : {};
    expect(await resultOf(opened, ended)).toMatchObject({ state: "complete", ...size });
    const fromBulk = await fetch(
      `${daemon.bulkUrl}/snapshots/download/result?download=${field(ended.head, "x-download-id")}`,
    );
    expect(await fromBulk.json()).toMatchObject({ state: "complete", ...size });
    expect(await logged(opened)).toMatchObject({ code: "ok", path: "bulk" });
    const byRing = await curl(`${daemon.url}${path(opened)}`).ended;
    expect(await resultOf(opened, byRing)).toMatchObject({ state: "complete", bytes });
    await nothingLeft(opened);
  });

  test("eight at once, one of them slow: right bytes, flat memory, and calls are answered", async () => {
    const opened = await open();
    const { daemon, sha256, bytes } = opened;
    const url = `${daemon.bulkUrl}${path(opened)}`;
    await curl(url).ended;
    const rss = () =>
      Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${daemon.pid}/status`, "utf8"))?.[1]) * 1024;
    const before = rss();
    let highest = 0;
    const watch = setInterval(() => {
      highest = Math.max(highest, rss());
    }, 50);
    const clients = Array.from({ length: READERS }, (_, index) =>
      curl(url, index === 0 ? ["--limit-rate", String(Math.round(bytes / 4))] : []),
    );
    const { error } = await call(daemon.url, "GetImage", { id: "none" });
    expect(error).toBe("not found");
    for (const { ended } of clients) expect(await ended).toMatchObject({ status: 0, sha256, bytes });
    clearInterval(watch);
    expect(highest).toBeGreaterThan(0);
    expect(highest - before).toBeLessThan(RSS_LIMIT_BYTES);
    await nothingLeft(opened);
  });

  test("no byte of a stream passes through the daemon: its sender has the client's connection itself", async () => {
    const opened = await open();
    const { daemon, bytes } = opened;
    const moved = () =>
      readdirSync(`/proc/${daemon.pid}/task`)
        .flatMap((task) => readFileSync(`/proc/${daemon.pid}/task/${task}/io`, "utf8").split("\n"))
        .reduce((sum, line) => sum + Number(/^[rw]char: (\d+)$/.exec(line)?.[1] ?? 0), 0);
    const movedBy = async (url: string) => {
      const before = moved();
      const startedAt = performance.now();
      expect((await curl(`${url}${path(opened)}`).ended).status).toBe(0);
      return { moved: moved() - before, seconds: (performance.now() - startedAt) / 1_000 };
    };
    expect((await movedBy(daemon.url)).moved).toBeGreaterThan(bytes);
    const ofBulk = await movedBy(daemon.bulkUrl);

    const { client, sender } = await begin(opened);
    // Its client takes nothing now. What the daemon reads all the same are its looks at the connection: the
    // kernel's table has all of the machine, also those of other tests that ended a minute ago.
    const before = moved();
    await sleep(LOOKS_MS);
    const ofLooks = ((moved() - before) / LOOKS_MS) * 1_000 * ofBulk.seconds;
    process.stdout.write(
      `the daemon read and wrote ${ofBulk.moved} bytes for a bulk download of ${bytes} in ${ofBulk.seconds.toFixed(1)} s, about ${Math.round(ofLooks)} of them for its looks\n`,
    );
    expect(ofBulk.moved - ofLooks).toBeLessThan(bytes / 50);
    const port = new URL(daemon.bulkUrl).port;
    const inodes = readFileSync("/proc/net/tcp", "utf8")
      .split("\n")
      .map((line) => line.trim().split(/\s+/))
      .filter(([, local = ""]) => Number.parseInt(local.split(":")[1] ?? "", 16) === Number(port))
      .map((row) => `socket:[${row[9]}]`);
    expect(inodes).toContain(readlinkSync(`/proc/${sender}/fd/1`));
    client.resume();
    expect((await client.ended).status).toBe(0);
  });

  test("a client that goes away ends its sender and the hold", async () => {
    const opened = await open();
    const { client } = await begin(opened);
    expect(await opened.isHeld()).toBe(true);
    client.process.kill("SIGKILL");
    const ended = await client.ended;
    await nothingLeft(opened);
    expect(await resultOf(opened, ended)).toMatchObject({ state: "failed", reason: "service.interrupted" });
    expect(await logged(opened)).toMatchObject({
      message: "the client went before it had the whole snapshot",
    });
  });

  test("a client that goes away while its sender is silent is noticed at once", async () => {
    const opened = await open();
    const { client, sender } = await begin(opened);
    process.kill(sender, "SIGSTOP");
    client.process.kill("SIGKILL");
    await until("the sender is gone", () => opened.senders().length === 0, 15_000);
    await nothingLeft(opened);
  });

  test("a client that takes nothing is cut off, and one that goes on in time is not", async () => {
    const opened = await open(undefined, STALLED_MS);
    const { client } = await begin(opened);
    await new Promise((resolve) => setTimeout(resolve, STALLED_MS / 2));
    client.resume();
    expect(await client.ended).toMatchObject({ status: 0, sha256: opened.sha256 });

    const { client: stalled } = await begin(opened);
    await until("the sender is gone", () => opened.senders().length === 0);
    stalled.resume();
    const ended = await stalled.ended;
    const message = `the client took nothing for ${STALLED_MS} ms (timeouts.stalledReaderMs)`;
    const result = await resultOf(opened, ended);
    expect({ status: ended.status, ...result }).toMatchObject({ status: RESET, state: "failed", message });
    await nothingLeft(opened);
  });

  test("a sender that is killed resets its client, and the result says why", async () => {
    const opened = await open();
    const { client, sender } = await begin(opened);
    process.kill(sender, "SIGKILL");
    client.resume();
    const ended = await client.ended;
    expect(ended.status).toBe(RESET);
    expect(ended.bytes).toBeLessThan(opened.bytes);
    const result = await resultOf(opened, ended);
    expect(result).toMatchObject({
      state: "failed",
      reason: expect.any(String),
      message: expect.any(String),
    });
    expect(await logged(opened)).toMatchObject({ code: result.reason });
    await nothingLeft(opened);
  });

  test("when the streaming thread crashes, clients are reset, senders end, and the next thread serves", async () => {
    const opened = await open("streaming.event.progress#2:crash");
    const { client, sender } = await begin(opened);
    await until("the sender is gone", () => !isAlive(sender));
    client.resume();
    const ended = await client.ended;
    expect(ended.status).toBe(RESET);
    expect(await resultOf(opened, ended)).toMatchObject({ state: "failed", reason: "service.interrupted" });
    const { daemon, sha256 } = opened;
    const again = () => curl(`${daemon.bulkUrl}${path(opened)}`).ended;
    let next = await again();
    await until("the next thread serves", async () => {
      if (next.status !== 0) next = await again();
      return next.status === 0;
    });
    expect(next.sha256).toBe(sha256);
    await nothingLeft(opened);
  });

  test("when the daemon is killed, its sender ends and its client is reset", async () => {
    const opened = await open();
    const { client, sender } = await begin(opened);
    opened.daemon.process.kill("SIGKILL");
    await opened.daemon.exited;
    await until("the sender is gone", () => !isAlive(sender));
    client.resume();
    expect((await client.ended).status).toBe(RESET);
    // The next start releases the hold.
    const next = await open();
    await until("the hold is released", async () => !(await next.isHeld()));
  });

  test("when the daemon, its helper and its sender are killed at once, the client is reset all the same", async () => {
    const opened = await open();
    const { client, sender } = await begin(opened);
    const { pid } = opened.daemon;
    const helpers = readdirSync("/proc").filter((name) => {
      if (!/^\d+$/.test(name)) return false;
      try {
        return (
          readFileSync(`/proc/${name}/cmdline`, "utf8").includes("reset-process.js") &&
          readFileSync(`/proc/${name}/status`, "utf8").includes(`PPid:\t${pid}\n`)
        );
      } catch {
        return false;
      }
    });
    expect(helpers).toHaveLength(1);
    for (const each of [pid, ...helpers.map(Number), sender]) process.kill(each, "SIGKILL");
    await until("the sender is gone", () => !isAlive(sender));
    client.resume();
    expect((await client.ended).status).toBe(RESET);
  });

  test("a stop ends bulk downloads in order", async () => {
    const opened = await open();
    const { client, sender } = await begin(opened);
    expect(await opened.daemon.stop()).toBe(0);
    expect(isAlive(sender)).toBe(false);
    client.resume();
    expect((await client.ended).status).toBe(RESET);
    expect(await logged(opened)).toMatchObject({ code: "service.stopping", path: "bulk" });
  });

  test("a client that asks to be redirected gets a bulk download, and several of one snapshot share a send", async () => {
    const opened = await open();
    const { daemon, sha256, id } = opened;
    const clients = Array.from({ length: 3 }, () => curl(`${daemon.url}${path(opened)}&redirect=1`, ["-L"]));
    const ends = await Promise.all(clients.map(({ ended }) => ended));
    for (const end of ends) expect(end).toMatchObject({ status: 0, sha256 });
    const moved = ends.filter(({ head }) => head.includes(" 307"));
    expect(moved).toHaveLength(1);
    const location = `${daemon.bulkUrl}/snapshots/download?${new URLSearchParams({ id })}`;
    expect(moved[0]?.head).toContain(`Location: ${location}\r\n`);
    for (const end of ends) expect(await resultOf(opened, end)).toMatchObject({ state: "complete" });
    await nothingLeft(opened);
  });
}
