import type { MessagePort } from "node:worker_threads";
import type { Outcome } from "../storage/failures.js";
import type { NodeSettings, PoolSettings } from "../storage/pool-settings.js";

/** All that an actor needs to know, as plain data: it travels to the thread that runs it. */
export interface ActorSettings {
  readonly pool: PoolSettings;
  readonly node: NodeSettings;
  /** Tells this run of the daemon from others. */
  readonly runId: string;
}

/** The one task of an actor's thread; it ends when `hot` closes. */
export interface ActorTask {
  readonly settings: ActorSettings;
  /** Operations and their outcomes: a Link. */
  readonly hot: MessagePort;
  /** ActorControl through comlink. */
  readonly control: MessagePort;
  /** LogLine and SpawnReport to main. */
  readonly log: MessagePort;
  /** pids of running children, for main to end if the thread crashes. */
  readonly children: SharedArrayBuffer;
}

export interface ActorStats {
  readonly operations: number;
  readonly commandsRun: number;
  readonly images: number;
  readonly fetches: number;
  readonly lockedDatasets: number;
}

/** The control plane of an actor, spoken through comlink. */
export interface ActorControl {
  /** Checks the pool, opens the records, reconciles. `liveTags`: holds of downloads that still run. */
  open(liveTags: readonly string[]): Promise<Outcome<{ readonly health: string; readonly version: string }>>;
  stats(): ActorStats;
  /** Resolves when no operation is under way, or after `graceMs` (false). */
  drain(graceMs: number): Promise<boolean>;
  /** Closes the records. Nothing may be asked afterwards. */
  close(): Promise<void>;
  /** Throws outside of any call, as a bug would. For tests of what follows. */
  crash(): void;
}

/** What an actor asks of main over the hot link. */
export interface FetchAsk {
  readonly fetch: {
    readonly url: string;
    readonly command: readonly string[];
  };
}

/** A log line from a worker. */
export type LogLine = readonly [
  "debug" | "info" | "warn" | "error",
  string,
  Readonly<Record<string, unknown>>,
];

/** How long the spawn of a command took. */
export interface SpawnReport {
  readonly spawnMs: number;
}
