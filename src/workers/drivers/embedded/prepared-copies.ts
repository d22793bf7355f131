import { existsSync } from "node:fs";
import { failed, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import { datasetOf, tagOf } from "../../../protocol/storage/names.js";
import type { CopyingChange, PreparedCopies, PreparedCopy } from "../driver.js";
import { findTargets, snapshotName } from "./dataset-rules.js";
import type { EmbeddedPool } from "./embedded-pool.js";
import { catchStorageErrors } from "./storage-errors.js";
import { newFileName } from "./volume-files.js";

/** The files that a change will copy. None where it can't succeed: then the change itself says why. */
function sourcesOf({ catalog }: EmbeddedPool, change: CopyingChange): readonly string[] {
  if ("snapshot" in change) {
    const targets = findTargets(catalog, change.snapshot, change.recursive);
    const tag = tagOf(change.snapshot);
    const exists = targets.some(({ name }) => catalog.find(snapshotName(name, tag)));
    return exists ? [] : targets.map(({ file }) => file);
  }
  if ("clone" in change && catalog.find(change.target)) return [];
  const origin = catalog.find("clone" in change ? change.clone : change.rollback);
  if (origin?.type !== "snapshot") return [];
  if ("rollback" in change && !change.destroyMoreRecent) {
    const newest = catalog.snapshotsOf(datasetOf(origin.name)).at(-1);
    if (newest?.id !== origin.id) return [];
  }
  return [origin.file];
}

/** Copies a file of the pool, if there is room beside what is promised. Fails: pool.no_space. */
async function copyFile(
  { files, accounting }: EmbeddedPool,
  source: string,
  onProgress?: () => void,
): Promise<Outcome<PreparedCopy>> {
  if (await accounting.lacksRoomFor(await files.allocatedBytes(source))) return failed.noSpace;
  const file = newFileName();
  return succeed({ file, allocated: await files.copy(source, file, onProgress) });
}

/** A copy of `source`: one of `copies`, or else a new one. Rejects with errors of the file system. */
export async function takeCopy(
  pool: EmbeddedPool,
  source: string,
  copies: PreparedCopies | undefined,
): Promise<Outcome<PreparedCopy>> {
  const prepared = copies?.take(source);
  return prepared ? succeed(prepared) : copyFile(pool, source);
}

/** As Zfs has it. Fails: pool.no_space, and as storage-errors.ts says; then no copy is left. */
export async function prepareCopies(
  pool: EmbeddedPool,
  changes: readonly CopyingChange[],
  onProgress?: () => void,
): Promise<Outcome<PreparedCopies>> {
  const made = new Map<string, PreparedCopy[]>();
  const discard = async () => {
    const left = [...made.values()].flat().map(({ file }) => file);
    made.clear();
    await pool.transactions.removeUnusedFiles(left);
  };
  const copyAll = async (): Promise<Outcome<null>> => {
    for (const source of changes.flatMap((change) => sourcesOf(pool, change))) {
      // Destroyed while another was copied: the change will find that out.
      if (source === "" || !existsSync(pool.files.pathOf(source))) continue;
      const copy = await copyFile(pool, source, onProgress);
      if (!copy.ok) return copy;
      made.set(source, [...(made.get(source) ?? []), copy.value]);
    }
    return succeed(null);
  };
  let isComplete = false;
  try {
    const copied = await catchStorageErrors("the data can't be copied", copyAll);
    if (!copied.ok) return copied;
    isComplete = true;
    return succeed({ take: (source) => made.get(source)?.pop(), discard });
  } finally {
    if (!isComplete) await discard();
  }
}
