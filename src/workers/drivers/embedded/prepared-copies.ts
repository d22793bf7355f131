import { existsSync } from "node:fs";
import { failed, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import { datasetOf, tagOf } from "../../../protocol/storage/names.js";
import type { CopyingChange, PreparedCopies, PreparedCopy } from "../driver.js";
import type { Dataset } from "./dataset.js";
import { findTargets, snapshotName } from "./dataset-rules.js";
import type { EmbeddedPool } from "./embedded-pool.js";
import { catchStorageErrors } from "./storage-errors.js";
import { newFileName } from "./volume-files.js";
import { requireWhole } from "./whole-file.js";

/** What may have data in a file of its own. */
type Source = Pick<Dataset, "name" | "file" | "volsize">;

/** What a change will copy; without data, its file is "". None where it can't succeed: then the change itself says why. */
function sourcesOf({ catalog }: EmbeddedPool, change: CopyingChange): readonly Source[] {
  if ("snapshot" in change) {
    const targets = findTargets(catalog, change.snapshot, change.recursive);
    const tag = tagOf(change.snapshot);
    const exists = targets.some(({ name }) => catalog.find(snapshotName(name, tag)));
    return exists ? [] : targets;
  }
  if ("clone" in change && catalog.find(change.target)) return [];
  const origin = catalog.find("clone" in change ? change.clone : change.rollback);
  if (origin?.type !== "snapshot") return [];
  if ("rollback" in change && !change.destroyMoreRecent) {
    const newest = catalog.newestSnapshotOf(datasetOf(origin.name));
    if (newest?.id !== origin.id) return [];
  }
  return [origin];
}

/** Copies the data of `source`, if there is room beside what is promised. Fails: pool.no_space. */
async function copyData(
  { files, accounting }: EmbeddedPool,
  source: Source,
  onProgress?: () => void,
): Promise<Outcome<PreparedCopy>> {
  await requireWhole(source.name, files.pathOf(source.file), source.volsize);
  if (await accounting.lacksRoomFor(await files.allocatedBytes(source.file))) return failed.noSpace;
  const file = newFileName();
  return succeed({ file, allocated: await files.copy(source.file, file, onProgress) });
}

/** A copy of the data of `source`: one of `copies`, or else a new one. Rejects with errors of the file system. */
export async function takeCopy(
  pool: EmbeddedPool,
  source: Source,
  copies: PreparedCopies | undefined,
): Promise<Outcome<PreparedCopy>> {
  const prepared = copies?.take(source.file);
  return prepared ? succeed(prepared) : copyData(pool, source);
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
      const { file } = source;
      if (file === "" || !existsSync(pool.files.pathOf(file))) continue;
      const copy = await copyData(pool, source, onProgress);
      if (!copy.ok) return copy;
      made.set(file, [...(made.get(file) ?? []), copy.value]);
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
