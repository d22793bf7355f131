import { setTimeout as sleep } from "node:timers/promises";
import { createLedger, type Ledger } from "./ledger.js";
import { type PlannedCall, plannedCalls, topCalls } from "./mix.js";
import type { Random } from "./random.js";
import { type Answer, download, LATE, NO_ANSWER, NOT_SENT, sendCall } from "./send-call.js";

/** Counts of a run, and what must not be. */
export interface Tally {
  readonly answers: Record<Answer["kind"], number>;
  readonly doneByMethod: Map<string, number>;
  readonly unclearReasons: Map<string, number>;
  readonly downloads: { whole: number; refused: number; cut: number };
  /** Each with what the client knew. */
  readonly violations: string[];
  slowestMs: number;
}

export function createTally(): Tally {
  return {
    answers: { done: 0, refused: 0, unknown: 0 },
    doneByMethod: new Map(),
    unclearReasons: new Map(),
    downloads: { whole: 0, refused: 0, cut: 0 },
    violations: [],
    slowestMs: 0,
  };
}

export function countUp(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

/** A client of the daemon: it does one thing after the other on datasets of its own. */
export interface Client {
  readonly ledger: Ledger;
  /** Whether a dataset of the pool is this client's. The name is relative to the pool. */
  isMine(name: string): boolean;
  /** Works until `isOver` says so, or nothing listens any more. Never rejects. */
  work(url: string, isOver: () => boolean): Promise<void>;
}

export interface ClientOptions {
  readonly pool: string;
  readonly random: Random;
  readonly tally: Tally;
  /** The longest that any call may take. */
  readonly callLimitMs: number;
  readonly imageTag: string;
}

const NOT_FOUND: ReadonlySet<string> = new Set(["dataset.not_found", "image.not_found"]);

/** Sends one call and counts its answer. @returns false if nothing listens. */
async function play(
  url: string,
  call: PlannedCall,
  ledger: Ledger,
  options: ClientOptions,
): Promise<boolean> {
  const { tally, callLimitMs } = options;
  const known = call.needs === undefined ? undefined : ledger.knows(call.needs);
  const startedAt = performance.now();
  const answer = await sendCall(url, call.method, call.params, callLimitMs);
  tally.slowestMs = Math.max(tally.slowestMs, performance.now() - startedAt);
  if (answer.kind === "unknown" && answer.reason === NOT_SENT) return false;
  tally.answers[answer.kind]++;
  const what = `${call.method} ${JSON.stringify(call.params)}`;
  if (answer.kind === "done") countUp(tally.doneByMethod, call.method);
  if (answer.kind === "unknown") countUp(tally.unclearReasons, `${call.method}: ${answer.reason}`);
  if (answer.kind === "unknown" && answer.reason === LATE) {
    tally.violations.push(`late: ${what} has no answer after ${callLimitMs} ms`);
  }
  if (answer.kind === "unknown" && (answer.reason.startsWith(NO_ANSWER) || answer.reason === "internal")) {
    tally.violations.push(`untrue: ${what}: ${answer.reason}`);
  }
  if (answer.kind === "refused" && NOT_FOUND.has(answer.reason) && known === "there") {
    tally.violations.push(`untrue: ${what}: ${answer.message}, but ${call.needs} is there`);
  }
  if (answer.kind === "done" && call.needs !== undefined && known === undefined) {
    tally.violations.push(`untrue: ${what} is done, but ${call.needs} was not there`);
  }
  call.note(answer);
  return true;
}

/** Downloads a snapshot, whole or cut by the client. */
async function downloadAny(
  url: string,
  ledger: Ledger,
  { random, tally, callLimitMs }: ClientOptions,
): Promise<void> {
  const snapshots = ledger.names((name) => name.includes("/") && name.includes("@"));
  if (snapshots.length === 0) return;
  const id = random.pick(snapshots);
  const known = ledger.knows(id);
  const cutAfterBytes = random.chance(0.4) ? 1 : Number.POSITIVE_INFINITY;
  const { kind, bytes, status } = await download(url, id, callLimitMs, cutAfterBytes);
  tally.downloads[kind]++;
  if (kind === "whole" && bytes === 0) tally.violations.push(`untrue: the download of ${id} is empty`);
  if (status === 404 && known === "there") {
    tally.violations.push(`untrue: the download of ${id} is not found, but it is there`);
  }
}

/** A pause after a refusal that a client would take too. */
const PAUSE_MS = 5;

export function createClient(prefix: string, options: ClientOptions): Client {
  const { random, imageTag } = options;
  const ledger = createLedger();
  const roots = [prefix, `images/${prefix}-`, `guests/${prefix}-`];
  const calls = plannedCalls({ prefix, ledger, random, imageTag });
  return {
    ledger,
    isMine: (name) =>
      !/@r[agi]\d/.test(name) &&
      (name.startsWith(`${prefix}/`) ||
        name.startsWith(`${prefix}@`) ||
        roots.slice(1).some((root) => name.startsWith(root))),
    async work(url, isOver) {
      while (!isOver()) {
        if (random.chance(0.15)) await downloadAny(url, ledger, options);
        else if (!(await play(url, random.pick(calls)(), ledger, options))) return;
        await sleep(PAUSE_MS);
      }
    },
  };
}

/** A client that makes and deletes recursive snapshots above all the others. */
export function createTopClient(options: ClientOptions): Client {
  const ledger = createLedger();
  return {
    ledger,
    isMine: (name) => /^(@ra|guests@rg|images@ri)\d/.test(name),
    async work(url, isOver) {
      while (!isOver()) {
        if (!(await play(url, topCalls(options.pool, ledger, options.random), ledger, options))) return;
        await sleep(options.random.below(200));
      }
    },
  };
}
