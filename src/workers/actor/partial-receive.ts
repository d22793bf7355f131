import type { PoolName } from "../../protocol/storage/names.js";
import { isOfReceive, partialOf } from "../../protocol/storage/partial-name.js";
import { isOfTrash } from "../../protocol/storage/trash-name.js";
import type { MarkedVolume } from "../drivers/driver.js";

/** Whether we may destroy a dataset as a partial receive: it has such a name and carries our mark. */
export function isOurPartial(info: MarkedVolume, pool: PoolName): boolean {
  const ours = info.name.startsWith(partialOf(pool, "")) && info.fetchMark !== "";
  return ours && info.type !== "snapshot";
}

/** Whether clients may see a dataset, snapshot or bookmark: partial receives are hidden, and what waits in the trash. */
export function isPublished({ name }: { readonly name: string }): boolean {
  return !isOfReceive(name) && !isOfTrash(name);
}
