import { coversName, isAbovePattern, withoutPool } from "../../protocol/access/name-patterns.js";
import { type Grant, includesRole, isNarrowed, type Role } from "../../protocol/access/roles.js";
import type { Planned, Routed, RoutedToPools } from "../../protocol/json-rpc/methods/method.js";
import {
  type FailedOutcome,
  fail,
  type Outcome,
  succeed,
  tellAbout,
} from "../../protocol/storage/failures.js";
import type { PoolName } from "../../protocol/storage/names.js";
import type { Operation } from "../../protocol/storage/operations.js";

/** The refusal of a caller that lacks a role. Undefined: it has it. */
export function lacksRole(role: Role, grant: Grant): FailedOutcome | undefined {
  if (includesRole(grant.role, role)) return undefined;
  const refused = fail("access.denied", `not allowed: this needs the role ${role}`);
  return tellAbout(refused, { field: "role", found: grant.role, wanted: role });
}

/**
 * Looks whether a planned operation stays within what was granted. A list of a whole pool becomes one of
 * what the caller may see of it. An operation on the node is handled with the grant in hand, and so answers of
 * nothing else. Fails: access.denied, and as the plan does.
 */
export function admit(planned: Outcome<Planned>, grant: Grant): Outcome<Planned> {
  if (!planned.ok || !isNarrowed(grant)) return planned;
  const { value } = planned;
  if ("onNode" in value) return planned;
  return "pools" in value ? admitToPools(value, grant) : admitToPool(value, grant);
}

/** As admit, for what was planned for one pool. */
export function admitToPool(planned: Routed, grant: Grant): Outcome<Routed> {
  const { pool, operation } = planned;
  if (grant.pools?.includes(pool) === false) return deniedBy("pools", pool, grant.pools);
  const { names, pools } = grant;
  // What is in a store has names too, which only a look there shows.
  if ("sight" in operation)
    return admitToStore({ ...planned, operation: { ...operation, sight: { names, pools } } }, grant);
  if (names === undefined) return succeed(planned);
  if (isListOf(operation, pool, names)) return succeed({ ...planned, operation: { ...operation, names } });
  const outside = datasetsOf(operation, pool).find((name) => !coversName(names, name));
  return outside === undefined ? succeed(planned) : deniedBy("names", outside, names);
}

/** The names of the request must be covered; what is found in a store is looked at with the grant in hand. */
function admitToStore(planned: Routed, { names }: Grant): Outcome<Routed> {
  const outside =
    names && datasetsOf(planned.operation, planned.pool).find((name) => !coversName(names, name));
  return names && outside !== undefined ? deniedBy("names", outside, names) : succeed(planned);
}

/** What is asked of several pools is asked of those that the caller may see. */
function admitToPools(planned: RoutedToPools, { pools: allowed }: Grant): Outcome<RoutedToPools> {
  if (allowed === undefined) return succeed(planned);
  const pools = planned.pools.filter((pool) => allowed.includes(pool));
  return pools.length > 0
    ? succeed({ ...planned, pools })
    : deniedBy("pools", planned.pools.join(", "), allowed);
}

/** Whether a grant lets its caller know of a dataset or snapshot, by its full name. */
export function maySee({ pools, names }: Grant, name: string): boolean {
  const [pool = ""] = name.split(/[/@]/);
  return pools?.includes(pool) !== false && (names === undefined || coversName(names, name));
}

function deniedBy(field: "pools" | "names", object: string, allowed: readonly string[]): FailedOutcome {
  const wanted = allowed.join(", ") || "none";
  return tellAbout(fail("access.denied", `not allowed: ${object} is not in the ${field} of this token`), {
    object,
    field,
    wanted,
  });
}

/** Whether an operation lists a pool, or a dataset that has some of what the patterns cover below it. */
function isListOf(operation: Operation, pool: PoolName, names: readonly string[]): boolean {
  if (operation.op === "ListVolumes") return true;
  if (operation.op !== "ListSnapshots" && operation.op !== "ListBookmarks") return false;
  const { root } = operation;
  return root === pool || names.some((pattern) => isAbovePattern(withoutPool(root), pattern));
}

/**
 * The datasets and snapshots that an operation is for, by their full names. The image that a disk is
 * cloned from is not among them: images are there for all.
 */
export function datasetsOf(operation: Operation, pool: PoolName): readonly string[] {
  switch (operation.op) {
    case "ListImages":
    case "GetImage":
    case "GetPool":
      return [];
    case "DryRun":
      return datasetsOf(operation.of, pool);
    case "ListVolumes":
      return [pool];
    case "CreateBookmark":
      return [operation.snapshot];
    case "DeleteBookmark":
      return [operation.dataset];
    case "ListBookmarks":
    case "ListSnapshots":
      return [operation.root];
    case "PruneImages":
      return [`${pool}/images`];
    case "RequestImage":
    case "RestoreImage":
    case "DeleteImage":
      return [`${pool}/images/${operation.id}`];
    case "CloneImage":
    case "PullVolume":
    case "MigrateVolume":
    case "FinishMigration":
    case "ReceiveVolume":
    case "RestoreBackup":
      return [operation.target];
    case "VerifyBackup":
      return [];
    case "PruneBackups":
      return operation.dataset === undefined ? [] : [operation.dataset];
    case "DescribeSend":
    case "OpenSend": {
      const from = operation.terms?.from;
      return from === undefined ? [operation.name] : [operation.name, from.replace(/#.*/, "")];
    }
    case "CopyVolume":
    case "CloneSnapshot":
    case "RenameVolume":
      return [operation.name, operation.target];
    case "SnapshotGuest":
    case "CreateSnapshot":
      return [operation.dataset];
    case "VerifyDisks":
    case "CreateGuestDisks":
    case "DeleteGuestsDisks":
      return [`${pool}/guests/${operation.guest.id}`];
    default:
      return [operation.name];
  }
}
