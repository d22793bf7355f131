import {
  type FailedOutcome,
  fail,
  failed,
  type Outcome,
  succeed,
  tellAbout,
} from "../../storage/failures.js";
import {
  choosePool,
  type DatasetName,
  type PoolName,
  type PoolScope,
  type ResolvedName,
  resolveRequestName,
  type SnapshotName,
} from "../../storage/names.js";
import type { Operation } from "../../storage/operations.js";
import type { Routed } from "./method.js";

/** The fields of a request that name a dataset or snapshot. */
interface NamingRequest {
  /** A configured pool, or "" for the first one. */
  readonly pool: string;
  readonly id: string;
}

/**
 * Resolves the name of a request.
 * Fails: pool.not_found; name.invalid, also if `id` begins with another pool than `pool`.
 */
export function resolveIn(pools: readonly PoolName[], { pool, id }: NamingRequest): Outcome<ResolvedName> {
  const scope = choosePool(pools, pool);
  if (!scope.ok) return scope;
  const name = resolveRequestName(scope.value, id);
  if (name.ok && pool !== "" && name.value.pool !== pool) {
    return fail(
      "name.invalid",
      "not a valid dataset",
      `the name is in pool ${name.value.pool}, not in ${pool}`,
    );
  }
  return name;
}

/** Moves a failure's detail into its message, for methods whose messages clients don't compare. */
export function explain<T>(name: Outcome<T>): Outcome<T> {
  if (name.ok || name.failure.detail === undefined) return name;
  const { code, message, detail, about } = name.failure;
  return tellAbout(fail(code, `${message}: ${detail}`), about ?? {});
}

/** Resolves a name that is no `id`, and says in its failure which field has it. Fails: name.invalid. */
export function resolveField({ pools, pool }: PoolScope, field: string, id: string): Outcome<ResolvedName> {
  const name = explain(resolveIn(pools, { pool, id }));
  return name.ok ? name : tellAbout(name, { field });
}

function route(pool: PoolName, operation: Outcome<Operation>): Outcome<Routed> {
  return operation.ok ? succeed({ pool, operation: operation.value }) : operation;
}

/**
 * Plans an operation on the dataset or snapshot that a request names. For a missing or invalid
 * name it fails with the messages in docs/api.md.
 */
export function onName(
  pools: readonly PoolName[],
  request: NamingRequest,
  plan: (name: ResolvedName) => Outcome<Operation>,
  rewordFailure: (name: Outcome<ResolvedName>) => Outcome<ResolvedName> = (name) => name,
): Outcome<Routed> {
  if (request.id === "") return failed.needId;
  const name = rewordFailure(resolveIn(pools, request));
  return name.ok ? route(name.value.pool, plan(name.value)) : name;
}

/** As onName, for methods whose failure says what is wrong with the name. */
export function onNameExplained(
  pools: readonly PoolName[],
  request: NamingRequest,
  plan: (name: ResolvedName) => Outcome<Operation>,
): Outcome<Routed> {
  return onName(pools, request, plan, explain);
}

/** Plans the refusal of a request for a fault that is told only of what exists. */
export function refuse(name: DatasetName | SnapshotName, { failure }: FailedOutcome): Outcome<Operation> {
  return succeed({ op: "Refuse", name, failure });
}

/** Plans an operation on the snapshot that a request names. Fails with the messages of GetSnapshot. */
export function onSnapshot(
  pools: readonly PoolName[],
  request: NamingRequest,
  plan: (name: SnapshotName) => Operation,
): Outcome<Routed> {
  return onName(pools, request, ({ dataset, snapshot }) =>
    snapshot === undefined ? refuse(dataset, failed.notSnapshot) : succeed(plan(snapshot)),
  );
}

/** Plans an operation of a request that names at most a pool. Fails: pool.not_found. */
export function inPool(
  pools: readonly PoolName[],
  request: { readonly pool: string },
  plan: (scope: PoolScope) => Outcome<Operation>,
): Outcome<Routed> {
  const scope = choosePool(pools, request.pool);
  return scope.ok ? route(scope.value.pool, plan(scope.value)) : scope;
}
