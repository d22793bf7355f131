import type { PoolName } from "../../protocol/storage/names.js";
import { PARTIAL_PREFIX, partialOf } from "../../protocol/storage/partial-name.js";
import type { DatasetInfo, MarkedVolume } from "../drivers/driver.js";

/** Whether we may destroy a dataset as a partial receive: it has such a name and carries our mark. */
export function isOurPartial(info: MarkedVolume, pool: PoolName): boolean {
  const ours = info.name.startsWith(partialOf(pool, "")) && info.fetchMark !== "";
  return ours && info.type !== "snapshot";
}

/** Whether clients may see a dataset or snapshot: partial receives are hidden. */
export function isPublished({ name }: Pick<DatasetInfo, "name">): boolean {
  return !name.includes(`/images/${PARTIAL_PREFIX}`);
}
