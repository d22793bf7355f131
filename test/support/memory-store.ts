import { type Manifest, placeOf } from "../../src/protocol/backups/manifest.js";
import { backupIdOf, dataNameOf, manifestNameOf } from "../../src/protocol/backups/object-names.js";
import type { ManifestStart, StoreDone, StoreOrder } from "../../src/protocol/backups/store-orders.js";
import type { BackupProfile } from "../../src/protocol/storage/backup-profile.js";
import { fail, type Outcome, succeed } from "../../src/protocol/storage/failures.js";

export const PROFILE: BackupProfile = {
  ...{ endpoint: "http://127.0.0.1:1", region: "r", bucket: "backups", prefix: "", pathStyle: true },
  ...{ accessKeyFile: "/none", secretKeyFile: "/none", fullEvery: 3, partBytes: 5 * 2 ** 20, abandonedMs: 1 },
  recipients: [],
};

/** A store that keeps manifests, and of data only how much there is. */
export interface MemoryStore {
  /** By the ids of backups. */
  readonly manifests: Map<string, Manifest>;
  /** The orders so far. */
  readonly orders: StoreOrder[];
  /** Called with each order that receives a backup. */
  onReceive: (order: StoreOrder<"receive">) => void;
  run(order: StoreOrder): Promise<Outcome<StoreDone>>;
}

/** What the worker makes of what an operation says, for a stream of 1,000 bytes. */
export function manifestFrom(start: ManifestStart, taken = new Date().toISOString()): Manifest {
  const sha256 = "0".repeat(64);
  const times = { created: "2026-01-01T00:00:00.000Z", taken };
  return { ...start, times, bytes: 1_000, sha256, parts: [{ bytes: 1_000, sha256 }] };
}

export function createMemoryStore(): MemoryStore {
  const manifests = new Map<string, Manifest>();
  const store: MemoryStore = {
    manifests,
    orders: [],
    onReceive: () => {},
    run: async (order) => {
      store.orders.push(order);
      switch (order.task) {
        case "list": {
          const objects = [...manifests].flatMap(([id, { bytes, times }]) => {
            const writtenAt = Date.parse(times.taken);
            const sizes = [dataNameOf(id), manifestNameOf(id)].map((name) => ({ name, bytes, writtenAt }));
            return id.startsWith(order.folder) ? sizes : [];
          });
          return succeed({ task: "list", value: objects });
        }
        case "read":
          return succeed({ task: "read", value: order.ids.map((id) => manifests.get(id) ?? null) });
        case "upload": {
          const manifest = manifestFrom(order.manifest);
          manifests.set(backupIdOf(placeOf(manifest)), manifest);
          return succeed({ task: "upload", value: manifest });
        }
        case "check": {
          const ids = [...new Set(order.chains.flat())];
          const found = ids.flatMap((id) => manifests.get(id) ?? []);
          if (found.length < ids.length) return fail("backup.damaged", "damaged in the store");
          return succeed({ task: "check", value: { manifests: found, bytes: found.length * 1_000 } });
        }
        case "receive":
          store.onReceive(order);
          return succeed({ task: "receive", value: null });
        case "remove":
          for (const id of order.ids) manifests.delete(id);
          return succeed({ task: "remove", value: null });
        case "clear":
          return succeed({ task: "clear", value: [] });
      }
    },
  };
  return store;
}
