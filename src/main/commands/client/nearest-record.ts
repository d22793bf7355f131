import { nearestName } from "../../../protocol/storage/nearest-name.js";
import { CallFailure, EXIT } from "./call-failure.js";
import type { DaemonAddress } from "./daemon-address.js";
import type { ShownRecord } from "./record-tables.js";
import type { Verb } from "./verb.js";
import { callVerb } from "./verb-call.js";
import { VERBS } from "./verbs.js";

type Params = Readonly<Record<string, unknown>>;

/** The names come from one list, which must not keep the user waiting for his error. */
const LOOK_LIMIT_MS = 2_000;

const withoutPool = (name: string) => name.slice(name.indexOf("/") + 1);

async function listNames(
  address: DaemonAddress,
  group: Verb["group"],
  params: Params,
): Promise<readonly string[]> {
  const name = group === "pool" ? "status" : "list";
  const list = VERBS.find((verb) => verb.group === group && verb.name === name);
  if (!list) return [];
  const { records } = await callVerb(address, list, params);
  return records.map((record: ShownRecord) => String(record.id ?? record.name));
}

/** What was probably meant. Rejects as callVerb does. */
async function findNearest(
  address: DaemonAddress,
  { group }: Verb,
  params: Params,
): Promise<string | undefined> {
  const pools = await listNames(address, "pool", {});
  const { pool, id } = params;
  if (pool !== undefined && !pools.includes(String(pool))) return nearestName(String(pool), pools);
  const wanted = String(id);
  if (group === "pool") return nearestName(wanted, pools);
  if (group === "guest") return undefined;
  const [first = ""] = wanted.split("/");
  const isFull = pools.includes(first);
  const known = await listNames(address, group, { pool: isFull ? first : pool });
  const names = group === "image" || isFull ? known : known.map(withoutPool);
  return nearestName(wanted, names);
}

/**
 * A failure to find something, with the nearest name that there is. For a person who mistyped it: it asks the
 * daemon once or twice more.
 */
export async function withNearest(
  failure: unknown,
  address: DaemonAddress,
  verb: Verb,
  params: Params,
): Promise<unknown> {
  if (!(failure instanceof CallFailure) || failure.exitStatus !== EXIT.notFound) return failure;
  const limit = new Promise<undefined>((resolve) => {
    setTimeout(() => resolve(undefined), LOOK_LIMIT_MS).unref();
  });
  const found = findNearest(address, verb, params).catch(() => undefined);
  const nearest = await Promise.race([found, limit]);
  if (nearest === undefined) return failure;
  return new CallFailure(`${failure.message}, did you mean ${nearest}?`, failure.exitStatus);
}
