import type { Request } from "../../protocol/json-rpc/envelope.js";
import type { Method, Routed, RoutedToPools } from "../../protocol/json-rpc/methods/method.js";
import { internalFailure, type Outcome, succeed } from "../../protocol/storage/failures.js";
import type { PoolName } from "../../protocol/storage/names.js";
import type { CallReport } from "../observability/call-report.js";

/** A value or a promise of it. Calls that need no other thread go without promises, which is faster. */
export type Soon<T> = T | Promise<T>;

/** Calls `next` with the value, at once if that is no promise. */
export function whenReady<T, U>(value: Soon<T>, next: (value: T) => U): Soon<U> {
  return value instanceof Promise ? value.then(next) : next(value);
}

export interface CallOptions {
  readonly pools: readonly PoolName[];
  /** Runs a planned operation in the actor of its pool. */
  run(routed: Routed): Soon<Outcome<unknown>>;
  /** Called once for each call, for the log and the metrics. */
  report(call: CallReport): void;
}

/** Plans a call, runs its operation and reports it. @returns the result as JSON text. */
export function runCall(
  { pools, run, report }: CallOptions,
  method: Method,
  { params, version }: Request,
): Soon<Outcome<string>> {
  const startedAt = performance.now();
  const planned = method.plan(params, version === "2.0", pools);
  const pool = planned.ok ? poolOf(planned.value) : "";
  const finish = (outcome: Outcome<unknown>): Outcome<string> => {
    const failure = outcome.ok ? undefined : outcome.failure;
    const ms = performance.now() - startedAt;
    report({ method: method.name, pool, code: failure?.code ?? "ok", ms, detail: failure?.detail });
    return outcome.ok ? succeed(method.encode(outcome.value)) : outcome;
  };
  if (!planned.ok) return finish(planned);
  const outcome = "pools" in planned.value ? runOnPools(planned.value, run) : run(planned.value);
  return outcome instanceof Promise ? outcome.catch(internalFailure).then(finish) : finish(outcome);
}

/** The pool in the report of a call; "" if it is for several pools. */
function poolOf(planned: Routed | RoutedToPools): string {
  if ("pool" in planned) return planned.pool;
  const [first = "", ...more] = planned.pools;
  return more.length === 0 ? first : "";
}

/** Runs an operation on each pool. @returns the answers in the pools' order, or the first failure. */
async function runOnPools(
  { pools, operation }: RoutedToPools,
  run: CallOptions["run"],
): Promise<Outcome<readonly unknown[]>> {
  const outcomes = await Promise.all(pools.map((pool) => run({ pool, operation })));
  const answers: unknown[] = [];
  for (const outcome of outcomes) {
    if (!outcome.ok) return outcome;
    answers.push(outcome.value);
  }
  return succeed(answers);
}
