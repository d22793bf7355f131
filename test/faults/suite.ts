import { setTimeout as sleep } from "node:timers/promises";
import { type Campaign, type Fault, openCampaign } from "./campaign.js";
import { countUp } from "./client.js";
import { killChild, killDaemon, killRunner, pauseChild, stopRunner } from "./outside-faults.js";
import type { PoolUnderTest } from "./pool-under-test.js";
import { createRandom, type Random } from "./random.js";

/** What a run is asked for, by the environment: see scripts/faults.mjs. */
export interface SuiteOptions {
  readonly minutes: number;
  readonly seed: number;
  /** `mix`: every fault in turn. The others: one fault, `count` times. */
  readonly campaign: "mix" | "kill-daemon" | "kill-runner" | "stop-runner" | "kill-child" | "full";
  readonly count: number;
}

const CAMPAIGNS = {
  "kill-daemon": killDaemon,
  "kill-runner": killRunner,
  "stop-runner": stopRunner,
  "kill-child": killChild,
} as const;

export function optionsFrom(env: NodeJS.ProcessEnv, defaultMinutes: number): SuiteOptions {
  const campaign = env.FAULTS_CAMPAIGN ?? "mix";
  if (campaign !== "mix" && campaign !== "full" && !(campaign in CAMPAIGNS))
    throw new Error(`no such campaign: ${campaign}`);
  return {
    minutes: Number(env.FAULTS_MINUTES ?? defaultMinutes),
    seed: Number(env.FAULTS_SEED ?? Math.floor(Math.random() * 1e6)),
    campaign: campaign as SuiteOptions["campaign"],
    count: Number(env.FAULTS_COUNT ?? Number.POSITIVE_INFINITY),
  };
}

/** How long the clients of a round work. OpenZFS in a VM needs longer for the same calls. */
const WORK_MS = { embedded: 900, openzfs: 3_000 } as const;
const LEARNING_ROUNDS = 2;

/** What can happen at a trace point, by the part of the daemon that it is in. */
const ACTIONS: Readonly<Record<string, readonly string[]>> = {
  main: ["kill", "stop", "delay-200"],
  actor: ["kill", "kill", "crash", "crash", "delay-200"],
  streaming: ["kill", "crash", "crash", "delay-200"],
  runner: ["kill", "kill", "stop", "delay-200"],
};

interface LearntPoint {
  readonly name: string;
  /** About how often a round visits it. */
  readonly visits: number;
}

function traceFault(points: readonly LearntPoint[], random: Random): string {
  const { name, visits } = random.pick(points);
  const actions = ACTIONS[name.split(".")[0] ?? ""];
  if (!actions) throw new Error(`a trace point of no known part: ${name}`);
  return `${name}#${1 + random.below(visits)}:${random.pick(actions)}`;
}

function progressOf({ tally, faults }: Campaign, rounds: number): string {
  const injected = [...faults.values()].reduce((sum, count) => sum + count, 0);
  const { done } = tally.answers;
  return `faults: ${rounds} rounds, ${injected} faults, ${done} acknowledged, ${tally.violations.length} wrong\n`;
}

/** Counts of a run as text. */
export function reportOf(campaign: Campaign, options: SuiteOptions, driver: string, rounds: number): string {
  const { tally, faults } = campaign;
  const kinds = new Map<string, number>();
  for (const line of tally.violations) countUp(kinds, /(?:^|: )([a-z]+): /.exec(line)?.[1] ?? "other");
  const injected = [...faults.values()].reduce((sum, count) => sum + count, 0);
  const list = (counts: Iterable<[string, number]>) =>
    [...counts]
      .sort()
      .map(([name, count]) => `    ${String(count).padStart(6)}  ${name}\n`)
      .join("");
  const count = (kind: string) => kinds.get(kind) ?? 0;
  const { done, refused, unknown } = tally.answers;
  return [
    `faults: driver ${driver}, campaign ${options.campaign}, seed ${options.seed}, ${rounds} rounds\n`,
    `  trace points seen: ${campaign.points().size}\n`,
    `  faults injected: ${injected}\n${list(faults)}`,
    `  operations: ${done} acknowledged, ${refused} refused, ${unknown} without a clear answer\n`,
    list(tally.doneByMethod),
    `  downloads: ${tally.downloads.whole} whole, ${tally.downloads.cut} cut, ${tally.downloads.refused} refused\n`,
    `  slowest call: ${Math.round(tally.slowestMs)} ms\n`,
    `  acknowledged changes missing: ${count("missing")}, deletions back: ${count("back")}, torn: ${count("torn")}\n`,
    `  leftovers: ${count("leftover")}, untrue answers: ${count("untrue")}, late answers: ${count("late")}\n`,
    ...tally.violations.map((line) => `  ! ${line}\n`),
  ].join("");
}

async function runMix(
  campaign: Campaign,
  options: SuiteOptions,
  driver: PoolUnderTest["driver"],
): Promise<number> {
  const { minutes, seed, count } = options;
  const random = createRandom(seed);
  const workMs = WORK_MS[driver];
  const end = performance.now() + minutes * 60_000;
  for (let index = 0; index < LEARNING_ROUNDS; index++)
    await campaign.round({ beforeMs: workMs, afterMs: 0 });
  const points = [...campaign.points()].map(([name, visits]) => ({
    name,
    visits: Math.max(1, Math.floor(visits / LEARNING_ROUNDS / 2)),
  }));
  const fromOutside = [killDaemon, killChild, pauseChild, ...(driver === "openzfs" ? [killRunner] : [])];
  let rounds = 0;
  for (; performance.now() < end && rounds < count; rounds++) {
    if (random.chance(0.7)) {
      await campaign.round({ beforeMs: workMs, afterMs: workMs / 4, armed: traceFault(points, random) });
    } else {
      const beforeMs = random.below(workMs);
      await campaign.round({ beforeMs, afterMs: workMs / 4, fault: random.pick(fromOutside) });
    }
  }
  return rounds + LEARNING_ROUNDS;
}

async function runCampaign(
  campaign: Campaign,
  { campaign: name, minutes, seed, count }: SuiteOptions,
  driver: PoolUnderTest["driver"],
  more: readonly Fault[],
): Promise<number> {
  const chosen = Object.entries(CAMPAIGNS).flatMap(([each, fault]) => (each === name ? [fault] : []));
  const faults = name === "full" ? more : chosen;
  if (faults.length === 0) throw new Error(`no fault of the campaign ${name} on ${driver}`);
  const random = createRandom(seed);
  const end = performance.now() + minutes * 60_000;
  const workMs = WORK_MS[driver];
  // A start and a comparison in the VM take seconds: several faults share one.
  const times = Math.min(driver === "embedded" ? 3 : 5, count);
  const fault: Fault = async (underWay) => {
    await sleep(workMs / 5 + random.below(workMs));
    return random.pick(faults)(underWay);
  };
  let rounds = 0;
  while (performance.now() < end && rounds * times < count) {
    await campaign.round({ beforeMs: 0, afterMs: name === "kill-daemon" ? 0 : workMs / 4, fault, times });
    rounds++;
    if (rounds % 10 === 0) process.stdout.write(progressOf(campaign, rounds));
  }
  return rounds;
}

/** Runs the suite on a pool, which it removes. `more`: the faults of the campaign `full`. Prints what it did. @returns what must be empty. */
export async function runSuite(
  pool: PoolUnderTest,
  options: SuiteOptions,
  more: readonly Fault[] = [],
): Promise<readonly string[]> {
  const { driver } = pool;
  const clients = driver === "embedded" ? 6 : 4;
  const campaign = await openCampaign({ pool, seed: options.seed, clients });
  let rounds = 0;
  try {
    const run = options.campaign === "mix" ? runMix : runCampaign;
    rounds = await run(campaign, options, driver, more);
  } catch (error) {
    const log = campaign.log();
    campaign.tally.violations.push(`broke: ${error instanceof Error ? error.stack : error}\n${log}`);
  }
  const points = reportOf(campaign, options, driver, rounds);
  await campaign.close();
  process.stdout.write(points);
  if (campaign.tally.violations.length > 0) {
    const { seed, minutes, campaign: name } = options;
    process.stdout.write(
      `  repeat: npm run faults -- --driver ${driver} --seed ${seed} --minutes ${minutes} --campaign ${name}\n`,
    );
  }
  return campaign.tally.violations;
}
