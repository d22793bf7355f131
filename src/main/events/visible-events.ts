import { compilePattern, componentsOf, withoutPool } from "../../protocol/access/name-patterns.js";
import type { Grant } from "../../protocol/access/roles.js";
import type { Happening } from "./event.js";

/** An event, and the components of its name, which are the same for all who may know of it. */
export interface SeenEvent {
  readonly event: Pick<Happening, "topic" | "action" | "pool" | "id">;
  readonly components: readonly string[];
}

export function seen(event: SeenEvent["event"]): SeenEvent {
  return { event, components: componentsOf(withoutPool(event.id)) };
}

/**
 * Whether a grant lets its caller know of an event. As with calls, images and the pool itself are there for
 * all who may use the pool. That a dataset is gone is told to those who may have had something below it.
 */
export function createView({ pools, names }: Grant): (seen: SeenEvent) => boolean {
  const patterns = names?.map(compilePattern);
  return ({ event: { topic, action, pool }, components }) => {
    if (pools?.includes(pool) === false) return false;
    if (patterns === undefined || topic === "image" || topic === "pool") return true;
    const isOfPool = components[0] === "";
    if (!isOfPool && patterns.some((pattern) => pattern.covers(components))) return true;
    return action === "deleted" && patterns.some((pattern) => pattern.isBelow(components));
  };
}
