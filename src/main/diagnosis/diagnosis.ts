import type { OpenedActor } from "../../protocol/threads/actor-contract.js";
import type { ActorDiagnosis } from "../../protocol/threads/actor-diagnosis.js";
import type { StreamingReport } from "../../protocol/threads/streaming-contract.js";
import type { Config } from "../config/schema.js";
import type { FetchState } from "../downloads/pending-fetch.js";
import type { StoreState } from "../downloads/pending-stores.js";
import type { DownloadState } from "../downloads/running-download.js";
import type { LateNote } from "../pools/late-history.js";
import type { Readiness } from "../pools/readiness.js";
import type { ProcessReport } from "../threads/process-list.js";

/** A part of the diagnosis, or why there is none: it did not answer in time, or failed. */
export type Answer<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly why: string };

/** What main knows of an actor, and what the actor says itself. */
export interface ActorPart {
  readonly pool: string;
  readonly driver: string;
  readonly state: string;
  readonly pending: number;
  readonly restarts: number;
  readonly opened: OpenedActor | undefined;
  readonly recentlyLate: readonly LateNote[];
  readonly said: Answer<ActorDiagnosis>;
}

/** All that is known of the daemon at one moment. */
export interface Diagnosis {
  /** By the clock of Date.now. All times of the members are compared with it. */
  readonly at: number;
  readonly pid: number;
  readonly uptimeMs: number;
  /** Pairs of a name and a version. */
  readonly versions: readonly (readonly [name: string, version: string])[];
  readonly readiness: Answer<Readiness>;
  /** The event loop of main: its delays in ms, and which part of the time it was busy. */
  readonly loop: {
    readonly nowMs: number;
    readonly p99Ms: number;
    readonly maxMs: number;
    readonly busy: number;
  };
  readonly actors: readonly ActorPart[];
  readonly streaming: {
    readonly restarts: number;
    /** The processes of sends and fetches, and the connections for bulk downloads. */
    readonly said: Answer<StreamingReport>;
  };
  readonly downloads: readonly DownloadState[];
  /** Image fetches, copies, pulls, and what clients send. */
  readonly fetches: readonly FetchState[];
  /** Orders for the stores of backups. */
  readonly stores: readonly StoreState[];
  readonly http: {
    readonly connections: Answer<number>;
    readonly mostConnections: number;
    readonly bodyBytes: number;
    /** How many connections for bulk downloads there may be; undefined: none are listened for. */
    readonly mostBulk: number | undefined;
  };
  /** The daemon's process first. */
  readonly processes: Answer<readonly ProcessReport[]>;
  readonly config: Config;
}
