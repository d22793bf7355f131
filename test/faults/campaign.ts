import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type DaemonProcess, startDaemonProcess } from "../support/daemon.js";
import { isAlive, until } from "../support/until.js";
import {
  type Client,
  type ClientOptions,
  countUp,
  createClient,
  createTally,
  createTopClient,
  type Tally,
} from "./client.js";
import { comparePool } from "./compare.js";
import { type ImageSource, openImageSource } from "./image-source.js";
import type { PoolUnderTest, PoolView } from "./pool-under-test.js";
import { processesOf, RUN_MARK, type RunProcess } from "./processes-of-run.js";
import { createRandom, type Random } from "./random.js";
import { download, sendCall } from "./send-call.js";

/** The tag of the snapshot of every image. */
const IMAGE_TAG = "golden";
const IMAGE_MIB = 8;

export interface CampaignOptions {
  readonly pool: PoolUnderTest;
  readonly seed: number;
  readonly clients: number;
  /** Of the daemon's configuration. */
  readonly config?: Readonly<Record<string, unknown>>;
}

/** What a fault can be applied to. */
export interface UnderWay {
  readonly daemon: DaemonProcess;
  readonly random: Random;
  /** The processes below the daemon. */
  children(): RunProcess[];
}

/** A fault: it acts while the clients work. @returns the words that it is counted by. */
export type Fault = (underWay: UnderWay) => Promise<string>;

/** A trace fault for a start of the daemon, `POINT#VISIT:ACTION`. */
export interface RoundOptions {
  /** How long the clients work before `fault`, and how long after it. */
  readonly beforeMs: number;
  readonly afterMs: number;
  readonly fault?: Fault;
  /** How often that is done before the pool is compared; once, if absent. */
  readonly times?: number;
  /** The daemon is stopped and started before the pool is compared: what it could not remove goes then. */
  readonly restart?: boolean;
  /** `POINT#VISIT:ACTION`: the round begins with a daemon that has this trace fault. */
  readonly armed?: string;
}

export interface Campaign {
  readonly tally: Tally;
  /** Faults that acted, by their words. */
  readonly faults: Map<string, number>;
  /** Lets the clients work, injects the fault, restarts the daemon if it is gone, and compares. */
  round(options: RoundOptions): Promise<void>;
  /** How often each trace point was visited so far. */
  points(): Map<string, number>;
  /** The log of the daemon that runs. */
  log(): string;
  /** Stops the daemon, looks for what is left, and removes everything. */
  close(): Promise<void>;
}

export async function openCampaign({
  pool,
  seed,
  clients: count,
  config = {},
}: CampaignOptions): Promise<Campaign> {
  const random = createRandom(seed);
  const run = randomBytes(6).toString("hex");
  // Not beside the pool, whose disk may be full.
  const scratch = mkdtempSync(join(tmpdir(), "imagestore-trace-"));
  const trace = join(scratch, "points");
  const tally = createTally();
  const faults = new Map<string, number>();
  const service: ImageSource = await openImageSource(createRandom(seed + 1), 0.3);
  const options = (index: number): ClientOptions => ({
    pool: pool.name,
    random: createRandom(seed * 1000 + index),
    tally,
    callLimitMs: pool.callLimitMs,
    imageTag: IMAGE_TAG,
  });
  const clients: Client[] = Array.from({ length: count }, (_, index) =>
    createClient(`f${index}`, options(index)),
  );
  const top = createTopClient(options(count));
  /** The daemon that runs; undefined before the first start. */
  let daemon: DaemonProcess | undefined;
  let rounds = 0;
  /** What was found already: it is told once. */
  const told = new Set<string>();

  async function start(armed = ""): Promise<DaemonProcess> {
    await pool.settle();
    rmSync(`${trace}.acted`, { force: true });
    daemon = await startDaemonProcess(
      {
        listen: { port: 0 },
        pools: [pool.config],
        dataDir: pool.dataDir,
        imageService: `127.0.0.1:${service.port}`,
        log: { level: "warn" },
        ...config,
        timeouts: { commandMs: pool.commandMs, fetchIdleMs: 1_000, graceMs: 3_000 },
      },
      { ...pool.env, [RUN_MARK]: run, IMAGESTORE_TRACE: trace, IMAGESTORE_TRACE_FAULT: armed },
    );
    return daemon;
  }

  const children = () => processesOf(run).filter(({ pid }) => pid !== daemon?.pid);

  async function fetchStream(url: string): Promise<Buffer> {
    const call = async (method: string, params: object) => {
      const answer = await sendCall(url, method, params, 60_000);
      if (answer.kind !== "done") throw new Error(`${method}: ${JSON.stringify(answer)}`);
    };
    await call("CreateVolume", { id: "seed", size: IMAGE_MIB });
    await pool.fill("seed");
    await call("CreateSnapshot", { id: "seed", dest: IMAGE_TAG });
    const response = await fetch(`${url}/snapshots/download?id=seed@${IMAGE_TAG}`);
    const stream = Buffer.from(await response.arrayBuffer());
    await call("DeleteDataset", { id: "seed" });
    return stream;
  }

  /** Waits until nothing is under way: no process but the runner, and the same view twice. */
  async function viewAtRest({ url }: DaemonProcess, note: string): Promise<PoolView> {
    let busyWith: readonly string[] = [];
    const isAtRest = async () => {
      const metrics = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(pool.callLimitMs) });
      // Not ready: the actor is restarting.
      const busy = /^imagestore_(actor_ready\S* 0|(actor_pending|downloads|fetches)(\{.*\})? [1-9].*)$/gm;
      busyWith = (await metrics.text()).match(busy) ?? [];
      return busyWith.length === 0;
    };
    await until("the daemon is at rest", isAtRest, pool.callLimitMs).catch((error: Error) => {
      const processes = processesOf(run).map(({ pid, command }) => `${pid} ${command}`);
      const state = [...busyWith, ...processes].join("\n");
      throw new Error(`round ${rounds} (${note}): ${error.message}\n${state}`);
    });
    let view = await pool.view();
    // What a call that nobody waits for leaves may still be on its way out.
    // A hold whose release failed is tried again after at most 30 s.
    const limit = performance.now() + 75_000;
    while (view.leftovers.some((line) => !told.has(`leftover: ${line}`)) && performance.now() < limit) {
      await sleep(200);
      view = await pool.view();
    }
    return view;
  }

  async function compare(running: DaemonProcess, note: string): Promise<void> {
    const view = await viewAtRest(running, note);
    const found = await comparePool({
      view,
      url: running.url,
      clients,
      top,
      limitMs: 60_000,
      imageTag: IMAGE_TAG,
    });
    const strays = children().filter(
      ({ parent, pid }) => parent !== running.pid && !isBelow(pid, running.pid),
    );
    const lines = [...found, ...view.leftovers.map((line) => `leftover: ${line}`)];
    for (const { pid, command } of strays) lines.push(`leftover: process ${pid} ${command}`);
    for (const line of lines.filter((each) => !told.has(each))) {
      told.add(line);
      tally.violations.push(`round ${rounds} (${note}): ${line}`);
    }
  }

  /** Whether a process has the daemon as an ancestor. */
  function isBelow(pid: number, ancestor: number): boolean {
    const parents = new Map(processesOf(run).map((each) => [each.pid, each.parent]));
    for (let at = parents.get(pid); at !== undefined; at = parents.get(at)) if (at === ancestor) return true;
    return false;
  }

  async function stop(): Promise<void> {
    if (!daemon) return;
    const stopping = daemon;
    daemon = undefined;
    const status = await Promise.race([stopping.stop(), sleep(60_000, "late" as const)]);
    if (status !== 0)
      tally.violations.push(`round ${rounds}: the daemon stopped with ${status}: ${stopping.log()}`);
    if (status === "late") stopping.process.kill("SIGKILL");
    await noStrays("the stopped daemon");
  }

  async function noStrays(whose: string): Promise<void> {
    await until(`no process of ${whose} is left`, () => processesOf(run).length === 0, 20_000).catch(() => {
      for (const { pid, command } of processesOf(run)) {
        tally.violations.push(`round ${rounds}: leftover: process ${pid} of ${whose}: ${command}`);
        process.kill(pid, "SIGKILL");
      }
    });
  }

  const acted = () => {
    try {
      readFileSync(`${trace}.acted`);
      return true;
    } catch {
      return false;
    }
  };

  /**
   * Lets an armed fault that has not acted never act: it would, in the middle of the comparison.
   * @returns whether it has acted.
   */
  function disarm(): boolean {
    if (acted()) return true;
    writeFileSync(`${trace}.acted`, "");
    return false;
  }

  /** Starts the daemon of a round. An armed one may be killed while it starts. */
  async function startRound(armed: string | undefined): Promise<DaemonProcess | undefined> {
    if (armed === undefined) return daemon ?? start();
    await stop();
    return start(armed).catch((error: unknown) => {
      if (acted()) return undefined;
      throw error;
    });
  }

  /** Lets the clients work, with a fault among it. @returns the words that the fault is counted by. */
  async function work(
    running: DaemonProcess,
    { beforeMs, afterMs, fault, armed }: RoundOptions,
  ): Promise<string> {
    let hasActed = false;
    let isOver = false;
    const working = Promise.all([...clients, top].map((client) => client.work(running.url, () => isOver)));
    await sleep(beforeMs);
    const note = await fault?.({ daemon: running, random, children });
    await sleep(afterMs);
    if (armed !== undefined) hasActed = disarm();
    // A stopped process would keep its clients waiting.
    if (armed?.endsWith(":stop")) for (const { pid } of processesOf(run)) process.kill(pid, "SIGCONT");
    isOver = true;
    await working;
    if (armed === undefined) return note ?? "";
    return hasActed ? nameOf(armed) : "";
  }

  /** The words by which an armed fault is counted. */
  function nameOf(armed: string): string {
    return armed.replace(/#\d+/, "");
  }

  /** One fault. Afterwards the daemon may be gone. */
  async function injectOnce(options: RoundOptions): Promise<string> {
    const { armed } = options;
    const running = await startRound(armed);
    // Without a daemon, the fault has killed it as it started.
    const note = running ? await work(running, options) : nameOf(armed ?? "");
    if (note !== "") countUp(faults, note);
    if (!running || !isAlive(running.pid)) {
      daemon = undefined;
      await running?.exited;
      await noStrays("the killed daemon");
    }
    return note;
  }

  async function round(options: RoundOptions): Promise<void> {
    rounds++;
    let note = "";
    for (let times = options.times ?? 1; times > 0; times--) note = await injectOnce(options);
    if (options.restart) await stop();
    await compare(daemon ?? (await start()), note || "no fault");
  }

  const first = await start();
  service.stream = await fetchStream(first.url);
  await download(first.url, "nothing@there", 1_000);

  return {
    tally,
    faults,
    round,
    points: () => {
      const counts = new Map<string, number>();
      for (const name of readFileSync(trace, "utf8").split("\n")) {
        if (name !== "") counts.set(name, (counts.get(name) ?? 0) + 1);
      }
      return counts;
    },
    log: () => daemon?.log() ?? "",
    close: async () => {
      await stop();
      await service.close();
      rmSync(scratch, { recursive: true, force: true });
      pool.remove();
    },
  };
}
