import { readFileSync } from "node:fs";
import { createRandom } from "../faults/random.js";
import type { DaemonProcess } from "../support/daemon.js";
import { call, must, type Volumes } from "../support/rpc.js";
import { leaveOpen, UNFINISHED_BODIES, UNFINISHED_HEADS } from "../support/unfinished-requests.js";
import { until } from "../support/until.js";
import { KEPT } from "./bodies.js";
import { type Case, makeCase } from "./cases.js";
import { createFuzzClient, type FuzzClient } from "./wire.js";

export interface CampaignOptions {
  readonly requests: number;
  readonly seed: number;
  /** The first case; others are counted from it. To repeat one case of a run. */
  readonly first: number;
  /** How long a connection may stay open on which no request is complete, of each port. */
  readonly idleLimitMs: { readonly main: number; readonly bulk: number };
  /** How many of the requests come before memory is measured for the first time. */
  readonly warmUp: number;
}

export interface CampaignReport {
  /** What was wrong, ten cases with their numbers at most, and each unfinished request that stayed. */
  readonly problems: readonly string[];
  /** How many cases of each kind, and how many replies of each status. */
  readonly counts: ReadonlyMap<string, number>;
  readonly seconds: number;
  /** Resident memory of the daemon after the warm-up, at the end, and after its rest. */
  readonly rssMib: { readonly before: number; readonly end: number; readonly rested: number };
  /** The longest time that an unfinished request kept its connection, of each port. */
  readonly slowestEndMs: { readonly main: number; readonly bulk: number };
}

/** Clients that send at the same time. */
const CLIENTS = 48;
const MOST_PROBLEMS = 10;
/** Changed requests make volumes of new names; they are removed each time that this many cases have run. */
const SWEEP_EVERY = 10_000;
/** The port for bulk downloads gets each case whose number is a multiple of this, beside the main port. */
const BULK_EVERY = 4;
const SIZE_MIB = 8;
export const MEMORY_FACTOR = 1.2;
const REST_MS = 60_000;

function rssMib(pid: number): number {
  const [, kib] = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Math.round(Number(kib) / 1024);
}

/** The case of a number: the same for one seed, whatever ran before. */
export function caseOf(seed: number, number: number): Case {
  return makeCase(createRandom(Math.imul(seed ^ Math.imul(number + 1, 0x9e3779b1), 0x85ebca6b) ^ number));
}

export async function makeKept(url: string): Promise<void> {
  await call(url, "CreateVolume", { id: KEPT, size: SIZE_MIB });
  await call(url, "CreateSnapshot", { id: KEPT, dest: "s" });
}

async function sweep(url: string): Promise<void> {
  const { volumes } = await must<Volumes>(url, "ListVolumes", {});
  const roots = new Set(volumes.map(({ id }) => id.split("/")[1] ?? ""));
  for (const root of roots) {
    if (root !== KEPT && root !== "guests" && root !== "images")
      await call(url, "DeleteDataset", { id: root });
  }
  const guests = new Set(volumes.flatMap(({ id }) => (/^\w+\/guests\/([^/]+)/.exec(id) ?? []).slice(1)));
  for (const guest of guests) await call(url, "DeleteGuestsDisks", { guest: { id: guest } });
  await makeKept(url);
}

function portOf(url: string): number {
  return Number(new URL(url).port);
}

/** A case as the port for bulk downloads gets it: it takes one request, and knows no methods. */
function onBulkPort(one: Case): Case {
  return { ...one, awaited: one.awaited.slice(0, 1).map(() => ({ kind: "any" })), mayEnd: true };
}

/** Leaves each kind of unfinished request to a port, once as it is and once half-closed. */
function leaveAll(url: string, limitMs: number): Promise<{ slowestMs: number; problems: string[] }> {
  const port = portOf(url);
  const left = [...UNFINISHED_HEADS, ...UNFINISHED_BODIES].flatMap((one) => [
    leaveOpen(port, one, limitMs),
    leaveOpen(port, one, limitMs, true),
  ]);
  return Promise.allSettled(left).then((ends) => ({
    slowestMs: Math.max(...ends.map((end) => (end.status === "fulfilled" ? end.value.ms : limitMs))),
    problems: ends.flatMap((end) => (end.status === "rejected" ? [`${url}: ${end.reason.message}`] : [])),
  }));
}

/** Sends all cases to a daemon on an embedded pool called tank, which has a port for bulk downloads. */
export async function runCampaign(daemon: DaemonProcess, options: CampaignOptions): Promise<CampaignReport> {
  const { requests, seed, first } = options;
  const began = performance.now();
  const problems: string[] = [];
  const counts = new Map<string, number>();
  const count = (what: string) => counts.set(what, (counts.get(what) ?? 0) + 1);
  await makeKept(daemon.url);
  const { idleLimitMs } = options;
  const unfinished = Promise.all([
    leaveAll(daemon.url, idleLimitMs.main),
    leaveAll(daemon.bulkUrl, idleLimitMs.bulk),
  ]);

  /** The number of the next case. */
  let next = first;
  const run = async (client: FuzzClient, one: Case, name: string, prefix = "") => {
    count(`${prefix}${one.kind}`);
    const { problem, statuses } = await client.run(one);
    for (const status of statuses) count(`${prefix}${status}`);
    if (problem === undefined) return;
    const sent = JSON.stringify(
      Buffer.concat([...one.segments])
        .toString("latin1")
        .slice(0, 600),
    );
    problems.push(`${name} (${prefix}${one.kind}, ${one.ending}): ${problem}\n  sent ${sent}`);
  };
  const work = async (end: number) => {
    const client = createFuzzClient(portOf(daemon.url));
    const bulk = createFuzzClient(portOf(daemon.bulkUrl));
    while (next < end && problems.length < MOST_PROBLEMS && daemon.process.exitCode === null) {
      const number = next++;
      const one = caseOf(seed, number);
      const name = `case ${number} of seed ${seed}`;
      await run(client, one, name);
      if (number % BULK_EVERY === 0) await run(bulk, onBulkPort(one), name, "bulk ");
      if (number % SWEEP_EVERY === SWEEP_EVERY - 1) await sweep(daemon.url);
    }
    client.close();
    bulk.close();
  };
  const runUntil = async (end: number) => {
    await Promise.all(Array.from({ length: CLIENTS }, () => work(end)));
  };
  await runUntil(first + Math.min(options.warmUp, requests));
  await sweep(daemon.url);
  const before = rssMib(daemon.pid);
  await runUntil(first + requests);
  const seconds = (performance.now() - began) / 1000;
  const end = rssMib(daemon.pid);
  const [main, bulk] = await unfinished;
  await sweep(daemon.url);
  await until("memory returns", () => rssMib(daemon.pid) <= before * MEMORY_FACTOR, REST_MS).catch(() => {});
  return {
    problems: [...problems, ...main.problems, ...bulk.problems],
    counts,
    seconds,
    rssMib: { before, end, rested: rssMib(daemon.pid) },
    slowestEndMs: { main: main.slowestMs, bulk: bulk.slowestMs },
  };
}
