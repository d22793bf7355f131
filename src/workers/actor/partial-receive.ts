import { childOf, type DatasetName, type PoolName } from "../../protocol/storage/names.js";
import type { DatasetInfo, MarkedVolume } from "../drivers/driver.js";

const PARTIAL_PREFIX = ".partial-";

/** The name under which a fetch receives image `id`; the complete image gets its own name by rename. */
export function partialOf(pool: PoolName, id: string): DatasetName {
  return childOf(pool, `images/${PARTIAL_PREFIX}${id}`);
}

/** Whether we may destroy a dataset as a partial receive: it has such a name and carries our mark. */
export function isOurPartial(info: MarkedVolume, pool: PoolName): boolean {
  const ours = info.name.startsWith(partialOf(pool, "")) && info.fetchMark !== "";
  return ours && info.type !== "snapshot";
}

/** Whether clients may see a dataset or snapshot: partial receives are hidden. */
export function isPublished({ name }: Pick<DatasetInfo, "name">): boolean {
  return !name.includes(`/images/${PARTIAL_PREFIX}`);
}
