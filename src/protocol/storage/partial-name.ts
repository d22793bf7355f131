import { createHash } from "node:crypto";
import { childOf, type DatasetName, type PoolName } from "./names.js";

/** How the last component of the name of a partial receive begins. */
const PARTIAL_PREFIX = ".partial-";

/** The same, of a volume whose receive may go on after it broke. */
const INCOMING_PREFIX = ".incoming-";

/** The name under which a fetch receives image `id`; the complete image gets its own name by rename. */
export function partialOf(pool: PoolName, id: string): DatasetName {
  return childOf(pool, `images/${PARTIAL_PREFIX}${id}`);
}

/**
 * The name under which a volume is received that is to be `target`. It is of one length, so that no target is too
 * long for it, and the same after a restart.
 */
export function incomingOf(pool: PoolName, target: DatasetName): DatasetName {
  const digest = createHash("sha256").update(target).digest("hex").slice(0, 32);
  return childOf(pool, `images/${INCOMING_PREFIX}${digest}`);
}

/** Whether a name is of a receive, or of what is in one: no client may see it. */
export function isOfReceive(name: string): boolean {
  return [PARTIAL_PREFIX, INCOMING_PREFIX].some((prefix) => name.includes(`/images/${prefix}`));
}

/** How the tag of the snapshot begins that a copy of a volume makes for itself. */
export const COPY_TAG = "imagestore-copy-";

const digestOf = (target: DatasetName) => createHash("sha256").update(target).digest("hex").slice(0, 16);

/** The name under which a copy to `target` is received. No image has such an id. */
export function copyPartialOf(pool: PoolName, target: DatasetName): DatasetName {
  return partialOf(pool, `.copy-${digestOf(target)}`);
}

export function copyTagOf(target: DatasetName): string {
  return COPY_TAG + digestOf(target);
}
