import { text as textOf } from "node:stream/consumers";
import type { Job, Pool } from "../../../client/api-records.js";
import { type Exposition, readExposition } from "../../../client/exposition.js";
import { messageOf } from "../../../protocol/storage/caught-error.js";
import { CallFailure, EXIT, statusOfHttp } from "../client/call-failure.js";
import type { DaemonAddress } from "../client/daemon-address.js";
import { callDaemon } from "../client/daemon-client.js";
import { NoAnswer, requestDaemon } from "../client/daemon-request.js";

/** A part of a look, or why the daemon does not tell it this caller. */
export type Part<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly why: string };

/** Work of a pool, as `GET /work` tells it. */
interface PoolWork {
  readonly id: number;
  readonly name: string;
  readonly datasets: readonly string[];
  readonly waitsFor: readonly {
    readonly kind: string;
    readonly what?: string;
    readonly ms: number;
    readonly heldBy?: readonly number[];
  }[];
}

export interface WorkOfPool {
  readonly pool: string;
  readonly state: string;
  readonly pending: number;
  readonly mailbox: number;
  /** Null: its actor is silent. */
  readonly work: readonly PoolWork[] | null;
}

/** What a daemon tells of itself at one moment. */
export interface NodeLook {
  /** By performance.now(). */
  readonly atMs: number;
  readonly metrics: Part<Exposition>;
  readonly work: Part<readonly WorkOfPool[]>;
  /** Those that run, and those that wait for it. */
  readonly jobs: Part<readonly Job[]>;
  readonly pools: readonly Pool[];
}

/** A look that takes longer is none. */
const LOOK_LIMIT_MS = 5_000;
/** Of each state. */
const MOST_JOBS = 100;
/** The role is too small, or the daemon is older than this command. */
const WITHHELD: readonly number[] = [EXIT.denied, EXIT.notFound];

async function partOf<T>(asked: Promise<T>): Promise<Part<T>> {
  try {
    return { ok: true, value: await asked };
  } catch (error) {
    if (!(error instanceof CallFailure) || !WITHHELD.includes(error.exitStatus)) throw error;
    return { ok: false, why: error.message };
  }
}

/** Looks at a daemon. Rejects with a CallFailure: nobody answers, or it is not for this caller at all. */
export async function lookAtNode(address: DaemonAddress): Promise<NodeLook> {
  const signal = AbortSignal.timeout(LOOK_LIMIT_MS);
  const get = async (path: string): Promise<string> => {
    const reply = await requestDaemon(address, new URL(path, address.base), { signal });
    const text = await textOf(reply);
    if (reply.statusCode === 200) return text;
    throw new CallFailure(text.trim().split("\n")[0] ?? "", statusOfHttp(reply.statusCode ?? 0));
  };
  const jobsOf = async (state: Job["state"]): Promise<readonly Job[]> => {
    const { text } = await callDaemon(address, "ListJobs", { state, limit: MOST_JOBS }, signal);
    const { jobs }: { readonly jobs: readonly Job[] } = JSON.parse(text);
    return jobs;
  };
  const poolsOf = async (): Promise<readonly Pool[]> => {
    const { text } = await callDaemon(address, "GetPool", {}, signal);
    const { pools }: { readonly pools: readonly Pool[] } = JSON.parse(text);
    return pools;
  };
  const workOf = async (): Promise<readonly WorkOfPool[]> => {
    const { pools }: { readonly pools: readonly WorkOfPool[] } = JSON.parse(await get("/work"));
    return pools;
  };
  try {
    const [metrics, work, jobs, pools] = await Promise.all([
      partOf(get("/metrics").then(readExposition)),
      partOf(workOf()),
      partOf(Promise.all([jobsOf("running"), jobsOf("queued")]).then((lists) => lists.flat())),
      poolsOf(),
    ]);
    return { atMs: performance.now(), metrics, work, jobs, pools };
  } catch (error) {
    if (signal.aborted) throw new NoAnswer(address, `nothing came within ${LOOK_LIMIT_MS / 1_000} s`);
    // A reply that was cut.
    throw error instanceof CallFailure ? error : new NoAnswer(address, messageOf(error));
  }
}
