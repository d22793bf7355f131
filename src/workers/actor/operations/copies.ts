import type { Outcome } from "../../../protocol/storage/failures.js";
import type { CopyingChange, PreparedCopies, Zfs } from "../../drivers/driver.js";

/**
 * Has the driver copy what `changes` need, then runs `work`, which takes its locks and makes
 * them. So no lock is held while data is copied, which may take hours. What `work` did not use is
 * removed. Fails as the copying or `work` does.
 */
export async function withCopies<T>(
  zfs: Zfs,
  changes: readonly CopyingChange[],
  work: (copies: PreparedCopies) => Promise<Outcome<T>>,
): Promise<Outcome<T>> {
  const copies = await zfs.prepareCopies(changes);
  if (!copies.ok) return copies;
  try {
    return await work(copies.value);
  } finally {
    await copies.value.discard();
  }
}
