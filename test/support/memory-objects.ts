import { Readable } from "node:stream";
import type { StoreDone, StoreOrder } from "../../src/protocol/backups/store-orders.js";
import { type Outcome, succeed } from "../../src/protocol/storage/failures.js";
import { createChildMemory, createChildTable } from "../../src/protocol/threads/child-table.js";
import type { ObjectStore } from "../../src/workers/backups/object-store.js";
import { doStoreOrder } from "../../src/workers/backups/run-store-order.js";
import { storeFailure } from "../../src/workers/backups/store-failures.js";

/** A store of whole objects in memory. It takes no uploads in parts. */
export function createMemoryObjects(objects: Map<string, Buffer>): ObjectStore {
  const unasked = async (): Promise<never> => {
    throw new Error("no upload in parts is expected here");
  };
  const open = async (name: string, from = 0) => {
    const content = objects.get(name);
    return content && Readable.from([content.subarray(from)]);
  };
  return {
    list: async (folder) =>
      [...objects]
        .filter(([name]) => name.startsWith(folder))
        .map(([name, { length }]) => ({ name, bytes: length, writtenAt: 0 }))
        .sort((one, other) => (one.name < other.name ? -1 : 1)),
    sizeOf: async (name) => objects.get(name)?.length,
    open,
    lend: open,
    put: async (name, content) => void objects.set(name, content),
    remove: async (name) => void objects.delete(name),
    ...{ beginUpload: unasked, putPart: unasked, completeUpload: unasked, abortUpload: async () => {} },
    openUploads: async () => [],
    close: () => {},
  };
}

/** Does orders on such a store as the streaming worker does. */
export async function runOnObjects(
  objects: Map<string, Buffer>,
  order: StoreOrder,
): Promise<Outcome<StoreDone>> {
  const store = createMemoryObjects(objects);
  const options = {
    ...{ order, children: createChildTable(createChildMemory()), signal: new AbortController().signal },
    ...{ onStart: () => {}, onProgress: () => {} },
  };
  try {
    return succeed(await doStoreOrder(options, store, store));
  } catch (error) {
    return storeFailure(order.profileName, error);
  }
}
