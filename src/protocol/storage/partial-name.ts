import { childOf, type DatasetName, type PoolName } from "./names.js";

/** How the last component of the name of a partial receive begins. */
export const PARTIAL_PREFIX = ".partial-";

/** The name under which a fetch receives image `id`; the complete image gets its own name by rename. */
export function partialOf(pool: PoolName, id: string): DatasetName {
  return childOf(pool, `images/${PARTIAL_PREFIX}${id}`);
}
