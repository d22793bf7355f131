import type { MessagePort } from "node:worker_threads";
import type { StoreOrder } from "../backups/store-orders.js";
import type { Outcome } from "../storage/failures.js";
import type { FetchOrder } from "../storage/operations.js";
import type { NodeSettings, PoolSettings } from "../storage/pool-settings.js";
import type { ClockOrigin, SpanRecord } from "../tracing/span.js";
import type { ActorDiagnosis } from "./actor-diagnosis.js";
import type { LogFields, LogLevel } from "./actor-log.js";
import type { ActorMeasures } from "./actor-measures.js";
import type { WorkReport } from "./work-report.js";

/** Everything an actor needs to know. Plain data: it is copied to the thread that runs the actor. */
export interface ActorSettings {
  readonly pool: PoolSettings;
  readonly node: NodeSettings;
  /** Where operations are traced: for the clock of its spans. Undefined: none is. */
  readonly traceClock?: ClockOrigin | undefined;
  /** Unique to this run of the daemon: marks the holds and partial receives that it makes. */
  readonly runId: string;
}

/** The only task of an actor's thread. It ends when `hot` closes. */
export interface ActorTask {
  readonly settings: ActorSettings;
  /** The link for operations, their outcomes and notifications; see Link. */
  readonly hot: MessagePort;
  /** ActorControl, through comlink. */
  readonly control: MessagePort;
  /** Carries LogLine, SpawnReport, SpanReport and LateReport to main. */
  readonly log: MessagePort;
  /** The memory of a ChildTable: main kills what it lists if the thread crashes. */
  readonly children: SharedArrayBuffer;
  /** The memory of a ChangeCounter: main keeps answers while it stays equal. */
  readonly changes: SharedArrayBuffer;
}

/** What an actor reports about itself. Tests count commands by it, and any answer proves it alive. */
export interface ActorStats {
  /** Commands started since the pool was opened. */
  readonly commandsRun: number;
  /** What the administrator has to look at, a line each. */
  readonly notices: readonly string[];
}

/** What an actor has opened. `version`: of the pool's driver. `sqlite`: of the library that has its records. */
export interface OpenedActor {
  readonly health: string;
  readonly version: string;
  /** The kstat `txgs` of the pool, where this machine has it and look-ups may be remembered. */
  readonly historyFile?: string | undefined;
  readonly sqlite: string;
}

/** The control plane of an actor, called through comlink. */
export interface ActorControl {
  /** Checks the pool, opens the records, reconciles. `liveTags`: tags of holds whose downloads still run. */
  open(liveTags: readonly string[]): Promise<Outcome<OpenedActor>>;
  stats(): Promise<ActorStats>;
  /** For a scrape. Looks at nothing but the thread's own memory, so whatever hangs delays it by nothing. */
  measures(): ActorMeasures;
  /** The oldest work, up to WORK_LISTED, without its commands. Looks at nothing but memory too. */
  work(): Promise<readonly WorkReport[]>;
  /** What it does and waits for. Answers also while the pool is opened, and while its runner answers nothing. */
  diagnose(): Promise<ActorDiagnosis>;
  /** Resolves with true once no operation is under way, or with false after `graceMs`. */
  drain(graceMs: number): Promise<boolean>;
  /** Closes the records. The actor serves no call afterwards. */
  close(): Promise<void>;
  /** Throws outside of any call, as a bug would. For tests of recovery. */
  crash(): void;
}

/** What an actor calls main for over its link: fetch an image, or do something with a store. */
export type TransferRequest = ({ readonly fetch: FetchOrder } | { readonly store: StoreOrder }) & {
  /** Counts the transfers of a thread. */
  readonly number: number;
};

/** A notification to an actor: bytes of a transfer have moved. */
export interface FetchMoved {
  /** The `number` of the transfer. */
  readonly moved: number;
}

/** A notification to an actor: a client that waits for a transfer has gone, or does not want it any more. */
export interface CallerLeft {
  /** Of the image; the name of the copy; or of a transfer from or to a store: see `turnFor`. */
  readonly id: string;
  readonly caller: number;
  readonly cancels?: true;
}

/** A notification to main: a transfer is not wanted any more. It is answered all the same. */
export interface FetchCancelled {
  /** The `number` of the transfer. */
  readonly cancelled: number;
}

/** A log line from a worker. */
export type LogLine = readonly [level: LogLevel, message: string, fields: LogFields];

/** All late work of an actor: sent at each check that found some, and once when there is none any more. */
export interface LateReport {
  readonly late: readonly WorkReport[];
}

/** Spans that have ended. */
export interface SpanReport {
  readonly spans: readonly SpanRecord[];
}

/** How long it took to spawn one command. */
export interface SpawnReport {
  readonly spawnMs: number;
}
