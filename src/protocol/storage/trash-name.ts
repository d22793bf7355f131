import { childOf, type DatasetName, type PoolName } from "./names.js";

/** How the last component of the name begins that the volume of an image gets which was deleted and has clones. */
const TRASH_PREFIX = ".trash-";

/** @param guid of the volume: two images that had the same id don't meet. */
export function trashOf(pool: PoolName, guid: string): DatasetName {
  return childOf(pool, `images/${TRASH_PREFIX}${guid}`);
}

/** Whether a name is of what is in the trash: no client may see it. */
export function isOfTrash(name: string): boolean {
  return name.includes(`/images/${TRASH_PREFIX}`);
}
