import { fail, failed, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import type { SnapshotName } from "../../../protocol/storage/names.js";
import type { CatalogChange, CatalogView } from "./catalog.js";
import type { EmbeddedPool } from "./embedded-pool.js";

/** Fails: dataset.not_found, command.failed (the snapshot has a hold with this tag already). */
export async function holdSnapshot(
  { transactions }: EmbeddedPool,
  tag: string,
  name: SnapshotName,
): Promise<Outcome<null>> {
  const held = await transactions.run({
    messagePrefix: `cannot hold '${name}'`,
    decide: (staged): Outcome<CatalogChange> => {
      const snapshot = staged.find(name);
      if (!snapshot) return failed.notFound;
      if (staged.holdsOf(snapshot.id).has(tag)) {
        return fail("command.failed", `cannot hold snapshot '${name}': tag already exists on this dataset`);
      }
      return succeed({ addHold: { id: snapshot.id, tag } });
    },
  });
  return held.ok ? succeed(null) : held;
}

/** @returns whether there was such a hold. */
export async function releaseSnapshot(
  { transactions, reserve }: EmbeddedPool,
  tag: string,
  name: SnapshotName,
): Promise<Outcome<boolean>> {
  /** Set by the transaction. */
  let wasHeld = false;
  const decide = (staged: CatalogView): Outcome<CatalogChange> => {
    const snapshot = staged.find(name);
    wasHeld = snapshot !== undefined && staged.holdsOf(snapshot.id).has(tag);
    return succeed(snapshot ? { removeHold: { id: snapshot.id, tag } } : {});
  };
  const released = await transactions.run({ messagePrefix: `cannot release '${name}'`, decide, reserve });
  return released.ok ? succeed(wasHeld) : released;
}
