import { backupRecord, isInSight } from "../../../protocol/backups/backup-record.js";
import {
  byFolder,
  type Catalogue,
  chainTo,
  type ListedBackup,
  prunable,
  readListing,
} from "../../../protocol/backups/chains.js";
import { type Manifest, placeOf } from "../../../protocol/backups/manifest.js";
import { backupIdOf, dataNameOf, folderOf, manifestNameOf } from "../../../protocol/backups/object-names.js";
import type { OrderPart } from "../../../protocol/backups/store-orders.js";
import type { Sight } from "../../../protocol/storage/backup-operations.js";
import type { BackupProfile } from "../../../protocol/storage/backup-profile.js";
import { fail, failed, type Outcome, succeed, tellAbout } from "../../../protocol/storage/failures.js";
import type { Ask, OperationHandlers } from "../../../protocol/storage/operations.js";
import { partKeyOf } from "../../../protocol/threads/transfer-turns.js";
import type { ActorContext } from "./context.js";
import { findProfile, inTurn, type StoreParts } from "./store-turns.js";

/** A store, for the calls of one operation. */
export interface OpenStore {
  readonly profile: BackupProfile;
  readonly profileName: string;
}

export const noBackup = (backup: string) =>
  tellAbout(fail("backup.not_found", "no such backup"), { object: backup });

/** Whatever a backup lacks to be restored, as a failure. */
function brokenChain({ leftovers }: Catalogue, guid: string): Outcome<never> {
  const left = leftovers.find(({ name }) => new RegExp(`[/-]${guid}\\.(?:full|inc)\\.zfs$`).test(name));
  const object = left ? manifestNameOf(left.name.replace(/\.zfs$/, "")) : `of the snapshot with guid ${guid}`;
  const what = left
    ? `the object ${object} is missing`
    : `no backup ${object} is there, and an increment builds on it`;
  return tellAbout(fail("backup.damaged", what), { object });
}

/** The whole chain to a backup, by its id or by the guid of its snapshot. Fails: backup.not_found, backup.damaged. */
export function findChain(catalogue: Catalogue, backup: string): Outcome<readonly ListedBackup[]> {
  const { backups } = catalogue;
  const meant = backups.filter(({ id, toGuid }) => id === backup || toGuid === backup);
  if (meant.length === 0) {
    const left = catalogue.leftovers.some(({ name }) => name === dataNameOf(backup));
    if (!left) return noBackup(backup);
    const object = manifestNameOf(backup);
    return tellAbout(fail("backup.damaged", `the object ${object} is missing`), { object });
  }
  const chains = meant.map((each) => chainTo(backups, each));
  const whole = chains
    .filter(({ missing }) => missing === undefined)
    .sort((one, other) => one.links.length - other.links.length)[0];
  return whole ? succeed(whole.links) : brokenChain(catalogue, chains[0]?.missing ?? "");
}

/** Operations on what is in a store, whatever pool it came from. */
export function storedBackupOperations(
  context: ActorContext,
  { profiles, turns, running }: StoreParts,
): Pick<OperationHandlers, "VerifyBackup" | "PruneBackups"> {
  const { pool, zfs } = context;

  async function listAll(
    store: OpenStore,
    folder: string,
    cancelled: AbortSignal,
  ): Promise<Outcome<Catalogue>> {
    const listed = await context.store({ ...store, task: "list", folder }, cancelled);
    return listed.ok ? succeed(readListing(listed.value)) : listed;
  }

  /** Those that a caller may know of; undefined: all. */
  async function inSight(
    store: OpenStore,
    backups: readonly ListedBackup[],
    sight: Sight,
    cancelled: AbortSignal,
  ): Promise<Outcome<readonly ListedBackup[]>> {
    if (sight.names === undefined && sight.pools === undefined) return succeed(backups);
    const ids = backups.map(({ id }) => id);
    const read = await context.store({ ...store, task: "read", ids }, cancelled);
    if (!read.ok) return read;
    const seen = read.value.map((manifest) => manifest !== null && isInSight(sight, manifest));
    return succeed(backups.filter((_, index) => seen[index]));
  }

  async function verify(ask: Ask<"VerifyBackup">, store: OpenStore, cancelled: AbortSignal) {
    const { backup, content, sight } = ask;
    const catalogue = await listAll(store, "", cancelled);
    if (!catalogue.ok) return catalogue;
    const folders = byFolder(catalogue.value.backups);
    const chains: (readonly ListedBackup[])[] = [];
    const wanted = backup === "" ? undefined : findChain(catalogue.value, backup);
    if (wanted && !wanted.ok) return wanted;
    const targets = wanted ? wanted.value.slice(-1) : catalogue.value.backups;
    const seen = await inSight(store, targets, sight, cancelled);
    if (!seen.ok) return seen;
    if (wanted && seen.value.length === 0) return noBackup(backup);
    if (wanted) chains.push(wanted.value);
    else {
      for (const each of seen.value) {
        const folder = folders.get(folderOf(each)) ?? [];
        const chain = findChain({ ...catalogue.value, backups: folder }, each.id);
        if (!chain.ok) return chain;
        chains.push(chain.value);
      }
    }
    const total = new Set(chains.flat());
    const bytes = [...total].reduce((sum, { dataBytes = 0 }) => sum + dataBytes, 0);
    const key = partKeyOf({ op: "VerifyBackup", ...ask });
    const part: OrderPart = { key, phase: "checking", before: 0, total: content ? bytes : null };
    const ids = chains.map((links) => links.map(({ id }) => id));
    const order = { ...store, task: "check", chains: ids, content, opens: false, part } as const;
    const checked = await context.store(order, cancelled);
    if (!checked.ok) return checked;
    const backups = checked.value.manifests.map((each) =>
      backupRecord(each, folders.get(folderOf(placeOf(each))) ?? []),
    );
    return succeed({ backups, bytes: checked.value.bytes });
  }

  /** The backups of this pool that a prune is about, with the times at which they were taken. */
  async function pruned(
    { dataset, sight }: Ask<"PruneBackups">,
    store: OpenStore,
    poolGuid: string,
    cancelled: AbortSignal,
  ): Promise<Outcome<{ readonly listed: readonly ListedBackup[]; readonly manifests: readonly Manifest[] }>> {
    const catalogue = await listAll(store, `${poolGuid}/`, cancelled);
    if (!catalogue.ok) return catalogue;
    const { backups } = catalogue.value;
    const read = await context.store({ ...store, task: "read", ids: backups.map(({ id }) => id) }, cancelled);
    if (!read.ok) return read;
    // A dataset keeps its folder when it is renamed: its newest backup has its name of today.
    const folders = new Map<string, Manifest>();
    for (const each of read.value) {
      const known = each && folders.get(each.guids.dataset);
      if (each && (!known || known.times.taken < each.times.taken)) folders.set(each.guids.dataset, each);
    }
    const isMeant = ({ datasetGuid }: ListedBackup) => {
      const newest = folders.get(datasetGuid);
      if (!newest) return dataset === undefined && sight.names === undefined && sight.pools === undefined;
      return isInSight(sight, newest) && (dataset === undefined || newest.names.dataset === dataset);
    };
    const listed = backups.map((each, index) => {
      const taken = read.value[index]?.times.taken;
      return taken === undefined ? each : { ...each, writtenAt: Date.parse(taken) };
    });
    return succeed({ listed: listed.filter(isMeant), manifests: read.value.flatMap((each) => each ?? []) });
  }

  async function prune(ask: Ask<"PruneBackups">, store: OpenStore, cancelled: AbortSignal) {
    const { last, sinceMs: since, dryRun, dataset, sight } = ask;
    const root = await zfs.find(pool);
    if (!root.ok) return root;
    if (root.value === undefined) return failed.notFound;
    const found = await pruned(ask, store, root.value.guid, cancelled);
    if (!found.ok) return found;
    const { listed, manifests } = found.value;
    const going = prunable(listed, { last, since });
    const ids = going.map(({ id }) => id);
    const removed = dryRun
      ? succeed(null)
      : await context.store({ ...store, task: "remove", ids }, cancelled);
    if (!removed.ok) return removed;
    const isNarrow = dataset !== undefined || sight.names !== undefined || sight.pools !== undefined;
    const folder = `${root.value.guid}/`;
    const cleared = isNarrow
      ? succeed([])
      : await context.store({ ...store, task: "clear", folder, dryRun }, cancelled);
    if (!cleared.ok) return cleared;
    const byId = new Map(manifests.map((each) => [backupIdOf(placeOf(each)), each]));
    const folders = byFolder(listed);
    const backups = going.flatMap((each) => {
      const manifest = byId.get(each.id);
      return manifest ? [backupRecord(manifest, folders.get(folderOf(each)) ?? [])] : [];
    });
    return succeed({ backups, leftovers: cleared.value, dryRun });
  }

  return {
    async VerifyBackup(ask) {
      const profile = findProfile(profiles, ask.profile);
      if (!profile.ok) return profile;
      const store = { profile: profile.value, profileName: ask.profile };
      return inTurn(turns, ask.caller, (cancelled) => verify(ask, store, cancelled));
    },

    async PruneBackups(ask) {
      const profile = findProfile(profiles, ask.profile);
      if (!profile.ok) return profile;
      // A backup that runs may build on what would go.
      for (const key of running) {
        const isMeant =
          key.startsWith(`${ask.profile} `) && (!ask.dataset || key === `${ask.profile} ${ask.dataset}`);
        if (isMeant) return fail("dataset.busy", `a backup to profile ${ask.profile} is running`);
      }
      const store = { profile: profile.value, profileName: ask.profile };
      return inTurn(turns, undefined, (cancelled) => prune(ask, store, cancelled));
    },
  };
}
