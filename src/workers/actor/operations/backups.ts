import { backupRecord } from "../../../protocol/backups/backup-record.js";
import { type Catalogue, readListing } from "../../../protocol/backups/chains.js";
import type { Manifest } from "../../../protocol/backups/manifest.js";
import { folderOf } from "../../../protocol/backups/object-names.js";
import type { ManifestStart } from "../../../protocol/backups/store-orders.js";
import type { BackupProfile } from "../../../protocol/storage/backup-profile.js";
import { fail, failed, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import { datasetOf, type SnapshotName } from "../../../protocol/storage/names.js";
import type { Ask, OperationHandlers, SendTicket } from "../../../protocol/storage/operations.js";
import type { MadeBackup } from "../../../protocol/storage/records.js";
import { partKeyOf } from "../../../protocol/threads/transfer-turns.js";
import type { DatasetInfo, FoundDataset } from "../../drivers/driver.js";
import { type BackupBase, findBackupBase, presentChain } from "./backup-base.js";
import { advanceBookmark } from "./backup-bookmarks.js";
import type { ActorContext } from "./context.js";
import { findProfile, inTurn, type StoreParts } from "./store-turns.js";

/** A snapshot that is to be backed up, and where its backups are. */
interface Source {
  readonly poolGuid: string;
  readonly volume: FoundDataset;
  readonly to: DatasetInfo & { readonly name: SnapshotName };
  readonly snapshots: readonly DatasetInfo[];
}

type Why = MadeBackup["why"];

const WARNINGS: Partial<Record<Why, string>> = {
  baseLost:
    "FULL BACKUP: there are earlier backups of this dataset, and none that is whole has its snapshot or a bookmark of it left to build an increment on",
  fullEvery: "full backup: the chain before it has as many increments as fullEvery of the profile allows",
};

export function backupOperations(
  context: ActorContext,
  parts: StoreParts,
): Pick<OperationHandlers, "BackupSnapshot"> {
  const { pool, zfs } = context;

  /** Fails: dataset.not_found, dataset.wrong_type. */
  async function look(name: SnapshotName): Promise<Outcome<Source>> {
    const dataset = datasetOf(name);
    const [root, volume] = await Promise.all([zfs.find(pool), zfs.find(dataset)]);
    if (!root.ok) return root;
    if (!volume.ok) return volume;
    if (root.value === undefined || volume.value === undefined) return failed.notFound;
    if (volume.value.type !== "volume") return fail("dataset.wrong_type", "not a snapshot of a volume");
    const snapshots = await zfs.snapshotsOf(dataset);
    if (!snapshots.ok) return snapshots;
    const to = snapshots.value.find((each) => each.name === name);
    if (!to) return failed.notFound;
    return succeed({
      ...{ poolGuid: root.value.guid, volume: volume.value, snapshots: snapshots.value },
      to: { ...to, name },
    });
  }

  /** What is sent, and why so. */
  async function choose(
    { profile, full }: Ask<"BackupSnapshot">,
    { fullEvery }: BackupProfile,
    source: Source,
    catalogue: Catalogue,
    read: Parameters<typeof findBackupBase>[4],
  ): Promise<Outcome<{ readonly base: BackupBase | undefined; readonly why: Why }>> {
    if (full) return succeed({ base: undefined, why: "asked" });
    if (catalogue.backups.length === 0) return succeed({ base: undefined, why: "first" });
    const base = await findBackupBase(zfs, catalogue, source.to, source.snapshots, read);
    if (!base.ok) return base;
    if (!base.value) {
      context.log.warn("a full backup: nothing is left to build an increment on", {
        profile,
        name: source.to.name,
      });
      return succeed({ base: undefined, why: "baseLost" });
    }
    const increments = base.value.chain.links.length - 1;
    if (increments >= fullEvery) return succeed({ base: undefined, why: "fullEvery" });
    return succeed({ base: base.value, why: "increment" });
  }

  async function release({ name, tag, baseHolds = [] }: SendTicket): Promise<void> {
    for (const hold of [{ name, tag }, ...baseHolds]) {
      const released = await parts.sends.CloseSend(hold);
      if (!released.ok) parts.releaseLater(hold);
    }
  }

  async function backUp(
    ask: Ask<"BackupSnapshot">,
    profile: BackupProfile,
    cancelled: AbortSignal,
  ): Promise<Outcome<MadeBackup>> {
    const { name, profile: profileName } = ask;
    const store = { profile, profileName };
    const source = await look(name);
    if (!source.ok) return source;
    const { poolGuid, volume, to } = source.value;
    const folder = folderOf({ poolGuid, datasetGuid: volume.guid });
    const listed = await context.store({ ...store, task: "list", folder }, cancelled);
    if (!listed.ok) return listed;
    const catalogue = readListing(listed.value);
    const read = (ids: readonly string[]) => context.store({ ...store, task: "read", ids }, cancelled);
    const present = ask.full ? undefined : presentChain(catalogue, to.guid);
    if (present) {
      const known = await read(present.links.slice(-1).map(({ id }) => id));
      if (!known.ok) return known;
      const [manifest] = known.value;
      if (manifest) return finish(ask, to, manifest, catalogue, "present");
    }
    const chosen = await choose(ask, profile, source.value, catalogue, read);
    if (!chosen.ok) return chosen;
    const { base, why } = chosen.value;
    const ticket = await parts.sends.OpenSend({
      ...{ name, isDirect: true, wantsEstimate: true },
      ...(base && { terms: { from: base.from } }),
    });
    if (!ticket.ok) return ticket;
    try {
      const { command, estimatedBytes } = ticket.value;
      const manifest = manifestOf(source.value, base);
      const part = {
        key: partKeyOf({ op: "BackupSnapshot", ...ask }),
        phase: "sending",
        before: 0,
        total: estimatedBytes ?? null,
      } as const;
      const order = { ...store, task: "upload", command, manifest, estimatedBytes, part } as const;
      const stored = await context.store(order, cancelled);
      return stored.ok ? await finish(ask, to, stored.value, catalogue, why) : stored;
    } finally {
      await release(ticket.value);
    }
  }

  function manifestOf({ poolGuid, volume, to }: Source, base: BackupBase | undefined): ManifestStart {
    return {
      format: 1,
      guids: { pool: poolGuid, dataset: volume.guid, from: base?.guid ?? null, to: to.guid },
      names: { pool, dataset: volume.name, from: base?.from ?? null, to: to.name },
      txg: String(to.createtxg),
      flags: [],
      volsize: String(to.volsize),
      image: volume.origin ?? null,
      parent: base?.parent ?? null,
    };
  }

  /** The backup is committed: what fails from here on is told as a warning. */
  async function finish(
    { profile }: Ask<"BackupSnapshot">,
    { name, guid }: Source["to"],
    manifest: Manifest,
    { backups }: Catalogue,
    why: Why,
  ): Promise<Outcome<MadeBackup>> {
    const advanced = await advanceBookmark(context, profile, name, guid);
    const record = backupRecord(manifest, backups);
    const warnings = [
      ...(WARNINGS[why] === undefined ? [] : [WARNINGS[why]]),
      ...(advanced.ok
        ? []
        : [
            `no bookmark is kept of ${name}: keep the snapshot until the next backup (${advanced.failure.message})`,
          ]),
    ];
    // Its own manifest is newer than the listing.
    return succeed({ backup: { ...record, isWhole: true }, why, warnings });
  }

  return {
    async BackupSnapshot(ask) {
      const profile = findProfile(parts.profiles, ask.profile);
      if (!profile.ok) return profile;
      const key = `${ask.profile} ${datasetOf(ask.name)}`;
      if (parts.running.has(key)) {
        return fail(
          "dataset.busy",
          `a backup of ${datasetOf(ask.name)} to profile ${ask.profile} is running`,
        );
      }
      parts.running.add(key);
      try {
        return await inTurn(parts.turns, ask.caller, (cancelled) => backUp(ask, profile.value, cancelled));
      } finally {
        parts.running.delete(key);
      }
    },
  };
}
