import { type Manifest, MOST_MANIFEST_BYTES, parseManifest } from "../../protocol/backups/manifest.js";
import { manifestNameOf } from "../../protocol/backups/object-names.js";
import type { ObjectStore } from "./object-store.js";
import { readSmall } from "./read-object.js";
import { repeated } from "./repeated.js";
import { DamagedObject } from "./store-failures.js";

/** The manifest of a backup. Rejects with a DamagedObject if it is missing or not as it was written. */
export async function readManifest(
  store: Pick<ObjectStore, "open">,
  signal: AbortSignal,
  id: string,
): Promise<Manifest> {
  const name = manifestNameOf(id);
  const text = await repeated(signal, () => readSmall(store, name, MOST_MANIFEST_BYTES));
  if (text === undefined) throw new DamagedObject(name, "it is missing");
  const manifest = parseManifest(id, text.toString("utf8"));
  if (!manifest.ok) throw new DamagedObject(name, manifest.failure.message);
  return manifest.value;
}

/** How many are read at the same time. */
const AT_ONCE = 8;

/** Runs `read` for each, some at the same time. @returns what each gave, in their order. */
export async function forEachOf<T, R>(all: readonly T[], read: (each: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const left = all.entries();
  const lane = async () => {
    for (const [index, each] of left) results[index] = await read(each);
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, all.length) }, lane));
  return results;
}
