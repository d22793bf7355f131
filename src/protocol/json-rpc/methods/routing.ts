import { fail, failed, type Outcome, succeed } from "../../storage/failures.js";
import {
  choosePool,
  type PoolName,
  type PoolScope,
  type ResolvedName,
  resolveRequestName,
  type SnapshotName,
} from "../../storage/names.js";
import type { Operation } from "../../storage/operations.js";
import type { Routed } from "./method.js";

/** The fields of a request that name a dataset. */
interface NamingRequest {
  /** A configured pool, or "" for the first one. */
  readonly pool: string;
  readonly id: string;
}

/** Resolves a name. Fails: pool.not_found, name.invalid. */
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

/** Puts a failure's detail into its message, for methods where the contract leaves the words to us. */
export function explained<T>(name: Outcome<T>): Outcome<T> {
  if (name.ok || name.failure.detail === undefined) return name;
  return fail(name.failure.code, `${name.failure.message}: ${name.failure.detail}`);
}

function routed(pool: PoolName, operation: Outcome<Operation>): Outcome<Routed> {
  return operation.ok ? succeed({ pool, operation: operation.value }) : operation;
}

/** Plans an operation on a name. Fails: the contract's words for a missing or bad one. */
export function onName(
  pools: readonly PoolName[],
  request: NamingRequest,
  plan: (name: ResolvedName) => Outcome<Operation>,
  describe: (name: Outcome<ResolvedName>) => Outcome<ResolvedName> = (name) => name,
): Outcome<Routed> {
  if (request.id === "") return failed.needId;
  const name = describe(resolveIn(pools, request));
  return name.ok ? routed(name.value.pool, plan(name.value)) : name;
}

/** As onName, for methods where a failure may say what is wrong with the name. */
export function onNameExplained(
  pools: readonly PoolName[],
  request: NamingRequest,
  plan: (name: ResolvedName) => Outcome<Operation>,
): Outcome<Routed> {
  return onName(pools, request, plan, explained);
}

/** Plans an operation on a snapshot. Fails: the words that the contract gives for GetSnapshot. */
export function onSnapshot(
  pools: readonly PoolName[],
  request: NamingRequest,
  plan: (name: SnapshotName) => Operation,
): Outcome<Routed> {
  return onName(pools, request, ({ snapshot }) =>
    snapshot === undefined ? failed.notSnapshot : succeed(plan(snapshot)),
  );
}

/** Plans an operation that names no dataset, only perhaps its pool. Fails: pool.not_found. */
export function inPool(
  pools: readonly PoolName[],
  request: { readonly pool: string },
  plan: (scope: PoolScope) => Outcome<Operation>,
): Outcome<Routed> {
  const scope = choosePool(pools, request.pool);
  return scope.ok ? routed(scope.value.pool, plan(scope.value)) : scope;
}
