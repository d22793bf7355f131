import { readFileSync } from "node:fs";
import { createRandom } from "../faults/random.js";
import type { DaemonProcess } from "../support/daemon.js";
import { call, must, type Volumes } from "../support/rpc.js";
import { until } from "../support/until.js";
import { KEPT } from "./bodies.js";
import { type Case, makeCase } from "./cases.js";
import { createFuzzClient, leaveOpen } from "./wire.js";

export interface CampaignOptions {
  readonly requests: number;
  readonly seed: number;
  /** The first case; others are counted from it. To repeat one case of a run. */
  readonly first: number;
  /** How long a connection may stay open on which no request is complete. */
  readonly idleLimitMs: number;
  /** How many of the requests come before memory is measured for the first time. */
  readonly warmUp: number;
}

export interface CampaignReport {
  /** What was wrong, with the number of its case. Ten at most. */
  readonly problems: readonly string[];
  /** How many cases of each kind, and how many replies of each status. */
  readonly counts: ReadonlyMap<string, number>;
  readonly seconds: number;
  /** Resident memory of the daemon after the warm-up, at the end, and after its rest. */
  readonly rssMib: { readonly before: number; readonly end: number; readonly rested: number };
  /** The longest time that an unfinished request kept its connection. */
  readonly slowestEndMs: number;
}

/** Clients that send at the same time. */
const CLIENTS = 48;
const MOST_PROBLEMS = 10;
/** Changed requests make volumes of new names; they are removed each time that this many cases have run. */
const SWEEP_EVERY = 10_000;
const SIZE_MIB = 8;
export const MEMORY_FACTOR = 1.2;
const REST_MS = 60_000;

/** Beginnings of requests that never end. */
const UNFINISHED = [
  "",
  "P",
  "POST /rpc HTTP/1.1\r\n",
  "POST /rpc HTTP/1.1\r\nHost: localhost\r\nX: ",
  "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
];

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

/** Sends all cases to a daemon on an embedded pool called tank. */
export async function runCampaign(daemon: DaemonProcess, options: CampaignOptions): Promise<CampaignReport> {
  const { requests, seed, first } = options;
  const port = Number(new URL(daemon.url).port);
  const began = performance.now();
  const problems: string[] = [];
  const counts = new Map<string, number>();
  const count = (what: string) => counts.set(what, (counts.get(what) ?? 0) + 1);
  await makeKept(daemon.url);
  const unfinished = UNFINISHED.map((text) => leaveOpen(port, text, options.idleLimitMs));
  // They are awaited at the end; until then a rejection is not a surprise.
  for (const one of unfinished) one.catch(() => {});

  /** The number of the next case. */
  let next = first;
  const work = async (end: number) => {
    const client = createFuzzClient(port);
    while (next < end && problems.length < MOST_PROBLEMS && daemon.process.exitCode === null) {
      const number = next++;
      const one = caseOf(seed, number);
      count(one.kind);
      const { problem, statuses } = await client.run(one);
      for (const status of statuses) count(String(status));
      if (problem !== undefined) {
        const sent = JSON.stringify(
          Buffer.concat([...one.segments])
            .toString("latin1")
            .slice(0, 600),
        );
        problems.push(
          `case ${number} of seed ${seed} (${one.kind}, ${one.ending}): ${problem}\n  sent ${sent}`,
        );
      }
      if (number % SWEEP_EVERY === SWEEP_EVERY - 1) await sweep(daemon.url);
    }
    client.close();
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
  const ends = await Promise.all(unfinished);
  await sweep(daemon.url);
  await until("memory returns", () => rssMib(daemon.pid) <= before * MEMORY_FACTOR, REST_MS).catch(() => {});
  return {
    problems,
    counts,
    seconds,
    rssMib: { before, end, rested: rssMib(daemon.pid) },
    slowestEndMs: Math.max(...ends),
  };
}
