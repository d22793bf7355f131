import { isNarrowed } from "../../protocol/access/roles.js";
import { backupRecord, isInSight } from "../../protocol/backups/backup-record.js";
import { byFolder, byText, type ListedBackup, readListing } from "../../protocol/backups/chains.js";
import type { Manifest } from "../../protocol/backups/manifest.js";
import { folderOf, type StoredObject } from "../../protocol/backups/object-names.js";
import type { BackupProfile, BackupProfiles } from "../../protocol/storage/backup-profile.js";
import { fail, internalFailure, type Outcome, succeed, tellAbout } from "../../protocol/storage/failures.js";
import type { BackupRecord } from "../../protocol/storage/records.js";
import type { StreamingHandle } from "../downloads/streaming-handle.js";
import type { NodeHandlers } from "../rpc/node-handlers.js";

/** Manifests that are asked for together. */
const AT_ONCE = 256;
/** The owner of the orders: no pool has this name. */
const OWNER = "";

type Stores = Pick<StreamingHandle, "store">;

/** Reads a store, by orders to the streaming worker. */
function createReader({ store }: Stores, profile: BackupProfile, profileName: string) {
  const wrong = () => internalFailure(new Error("the streaming worker did something else"));
  return {
    list: async (folder: string): Promise<Outcome<readonly StoredObject[]>> => {
      const done = await store(OWNER, { task: "list", profile, profileName, folder });
      if (!done.ok) return done;
      return done.value.task === "list" ? succeed(done.value.value) : wrong();
    },
    read: async (ids: readonly string[]): Promise<Outcome<readonly (Manifest | null)[]>> => {
      if (ids.length === 0) return succeed([]);
      const done = await store(OWNER, { task: "read", profile, profileName, ids });
      if (!done.ok) return done;
      return done.value.task === "read" ? succeed(done.value.value) : wrong();
    },
  };
}

/** The backups in the folders of the datasets that have a name now, as their newest backup knows. */
async function ofDataset(
  backups: readonly ListedBackup[],
  dataset: string,
  { read }: ReturnType<typeof createReader>,
): Promise<Outcome<readonly ListedBackup[]>> {
  const folders = [...byFolder(backups).values()];
  const newest = folders.flatMap(([first, ...more]) =>
    first ? [more.reduce((one, other) => (other.writtenAt > one.writtenAt ? other : one), first)] : [],
  );
  const manifests = await read(newest.map(({ id }) => id));
  if (!manifests.ok) return manifests;
  return succeed(folders.filter((_, index) => manifests.value[index]?.names.dataset === dataset).flat());
}

/** Answers from what is in the store alone: no pool is asked. */
export function backupHandlers(stores: Stores, profiles: BackupProfiles): Pick<NodeHandlers, "ListBackups"> {
  return {
    async ListBackups({ profile: name, dataset, limit = Number.POSITIVE_INFINITY, after = "" }, { caller }) {
      const profile = Object.hasOwn(profiles, name) ? profiles[name] : undefined;
      if (!profile) {
        const wanted = Object.keys(profiles).join(", ") || "none: the configuration has no backups";
        const failure = fail("request.invalid", "no such profile of backups");
        return tellAbout(failure, { field: "profile", found: name, wanted });
      }
      const reader = createReader(stores, profile, name);
      const listed = await reader.list("");
      if (!listed.ok) return listed;
      const { backups: all } = readListing(listed.value);
      const meant = dataset === "" ? succeed(all) : await ofDataset(all, dataset, reader);
      if (!meant.ok) return meant;
      const folders = byFolder(all);
      const behind = meant.value.filter(({ id }) => byText(id, after) > 0);
      const backups: BackupRecord[] = [];
      const damaged: string[] = [];
      for (let at = 0; at < behind.length && backups.length < limit; at += AT_ONCE) {
        const page = behind.slice(at, at + Math.min(AT_ONCE, limit));
        const manifests = await reader.read(page.map(({ id }) => id));
        if (!manifests.ok) return manifests;
        for (const [index, each] of page.entries()) {
          const manifest = manifests.value[index];
          if (backups.length >= limit) break;
          if (manifest && isInSight(caller.grant, manifest))
            backups.push(backupRecord(manifest, folders.get(folderOf(each)) ?? []));
          else if (!manifest && !isNarrowed(caller.grant)) damaged.push(each.id);
        }
      }
      return succeed({ backups, damaged });
    },
  };
}
