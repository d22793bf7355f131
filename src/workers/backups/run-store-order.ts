import { readListing } from "../../protocol/backups/chains.js";
import { dataNameOf, manifestNameOf } from "../../protocol/backups/object-names.js";
import type { StoreDone, StoreOrder } from "../../protocol/backups/store-orders.js";
import { fail, type Outcome, succeed } from "../../protocol/storage/failures.js";
import type { ChildTable } from "../../protocol/threads/child-table.js";
import { checkObjects } from "./check-objects.js";
import { type ObjectStore, openObjectStore } from "./object-store.js";
import { forEachOf, readManifest } from "./read-manifest.js";
import { receiveBackup } from "./receive-backup.js";
import { repeated } from "./repeated.js";
import { DamagedObject, storeFailure } from "./store-failures.js";
import { uploadStream } from "./upload-stream.js";

interface RunOptions {
  readonly order: StoreOrder;
  readonly children: ChildTable;
  readonly signal: AbortSignal;
  /** A request to the store fails if nothing moves for this long. */
  readonly idleMs: number;
  /** Called with the pid of each command that is started. */
  onStart(pid: number | undefined): void;
  /** Called with the bytes that the order has moved so far. */
  onProgress(bytes: number): void;
}

const INTERRUPTED = fail("service.interrupted", "the transfer was given up");
/** What is done after an end was asked for may take as long. */
const CLEANING_MS = 5_000;

/** Does what an order says. Never rejects: every failure is an outcome. */
export async function runStoreOrder(options: RunOptions): Promise<Outcome<StoreDone>> {
  const { order, signal, idleMs } = options;
  const closing: ObjectStore[] = [];
  try {
    const store = await openObjectStore(order.profile, { idleMs, signal });
    closing.push(store);
    // Of a thread that ends nothing is left to wait for this.
    const cleaning = await openObjectStore(order.profile, {
      idleMs: Math.min(idleMs, CLEANING_MS),
      signal: new AbortController().signal,
    });
    closing.push(cleaning);
    return succeed(await doStoreOrder(options, store, cleaning));
  } catch (error) {
    return signal.aborted ? INTERRUPTED : storeFailure(order.profileName, error);
  } finally {
    for (const each of closing) each.close();
  }
}

/**
 * Does what an order says on a store that is open. `cleaning`: the same store, for what is still to be done after the
 * signal. Rejects as the step that failed does.
 */
export async function doStoreOrder(
  { order, ...options }: Omit<RunOptions, "idleMs">,
  store: ObjectStore,
  cleaning: ObjectStore,
): Promise<StoreDone> {
  const { signal, onProgress } = options;
  const { task } = order;
  switch (task) {
    case "list":
      return { task, value: await repeated(signal, () => store.list(order.folder)) };
    case "read": {
      const read = (id: string) =>
        readManifest(store, signal, id).catch((error: unknown) => {
          if (error instanceof DamagedObject) return null;
          throw error;
        });
      return { task, value: await forEachOf(order.ids, read) };
    }
    case "upload":
      return { task, value: await uploadStream({ ...options, order, store, cleaning }) };
    case "check":
      return { task, value: await checkObjects({ ...order, store, signal, onProgress }) };
    case "receive":
      return { task, value: await receiveBackup({ ...options, order, store }) };
    case "remove":
      return { task, value: await remove(store, signal, order.ids) };
    case "clear":
      return { task, value: await clear(store, signal, order) };
  }
}

/** The manifest goes first: what is left of a removal that was cut is no backup any more. */
async function remove(store: ObjectStore, signal: AbortSignal, ids: readonly string[]): Promise<null> {
  for (const id of ids) {
    await repeated(signal, () => store.remove(manifestNameOf(id)));
    await repeated(signal, () => store.remove(dataNameOf(id)));
  }
  return null;
}

async function clear(
  store: ObjectStore,
  signal: AbortSignal,
  { folder, dryRun, profile }: StoreOrder<"clear">,
): Promise<readonly string[]> {
  const before = Date.now() - profile.abandonedMs;
  const uploads = await repeated(signal, () => store.openUploads(folder));
  const old = uploads.filter(({ begunAt }) => begunAt < before);
  const { leftovers } = readListing(await repeated(signal, () => store.list(folder)));
  const left = leftovers.filter(({ writtenAt }) => writtenAt < before);
  if (!dryRun) {
    for (const { name, uploadId } of old) await repeated(signal, () => store.abortUpload(name, uploadId));
    for (const { name } of left) await repeated(signal, () => store.remove(name));
  }
  return [...old, ...left].map(({ name }) => name);
}
