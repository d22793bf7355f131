import { coversName, isAbovePattern, withoutPool } from "../../protocol/access/name-patterns.js";
import type { Grant } from "../../protocol/access/roles.js";
import type { Happening } from "./event.js";

/**
 * Whether a grant lets its caller know of an event. As with calls, images and the pool itself are there for
 * all who may use the pool. That a dataset is gone is told to those who may have had something below it.
 */
export function mayKnowOf({ pools, names }: Grant, { topic, action, pool, id }: Happening): boolean {
  if (pools?.includes(pool) === false) return false;
  if (names === undefined || topic === "image" || topic === "pool") return true;
  if (coversName(names, id)) return true;
  return action === "deleted" && names.some((pattern) => isAbovePattern(withoutPool(id), pattern));
}
