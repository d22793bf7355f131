import { setTimeout as sleep } from "node:timers/promises";
import { backupRecord, isInSight } from "../../../protocol/backups/backup-record.js";
import { type ListedBackup, readListing } from "../../../protocol/backups/chains.js";
import { type Manifest, placeOf } from "../../../protocol/backups/manifest.js";
import { backupIdOf } from "../../../protocol/backups/object-names.js";
import type { OrderPart } from "../../../protocol/backups/store-orders.js";
import { failed, internalFailure, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import type { DatasetName } from "../../../protocol/storage/names.js";
import type { Ask, OperationHandlers } from "../../../protocol/storage/operations.js";
import { partialOf } from "../../../protocol/storage/partial-name.js";
import type { RestoredVolume, VolumeRecord } from "../../../protocol/storage/records.js";
import { bytes } from "../../../protocol/storage/units.js";
import { partKeyOf } from "../../../protocol/threads/transfer-turns.js";
import type { ActorContext } from "./context.js";
import { findProfile, inTurn, type StoreParts } from "./store-turns.js";
import { findChain, noBackup, type OpenStore } from "./stored-backups.js";
import { awaitDevice, volumeRecord } from "./volumes.js";

/** The links of a chain in order, and how many bytes they are to move, all steps together. */
interface Plan {
  readonly manifests: readonly Manifest[];
  /** All that the store has. */
  readonly listed: readonly ListedBackup[];
  readonly checkedBytes: number;
  readonly totalBytes: number;
}

/** How often what a failed restore has left is destroyed, and how long after each other. */
const REMOVALS = 20;
const REMOVAL_PAUSE_MS = 500;

const keyOf = (ask: Ask<"RestoreBackup">) => partKeyOf({ op: "RestoreBackup", ...ask });

export function restoreOperations(
  context: ActorContext,
  { profiles, turns }: StoreParts,
): Pick<OperationHandlers, "RestoreBackup"> {
  const { pool, zfs, locks, log, runId } = context;
  let lastRestore = 0;

  /** Finds the chain and checks it, before anything is changed. Fails: backup.not_found, backup.damaged. */
  async function plan(
    ask: Ask<"RestoreBackup">,
    store: OpenStore,
    cancelled: AbortSignal,
  ): Promise<Outcome<Plan>> {
    const { backup, content, sight } = ask;
    const listed = await context.store({ ...store, task: "list", folder: "" }, cancelled);
    if (!listed.ok) return listed;
    const listing = readListing(listed.value);
    const chain = findChain(listing, backup);
    if (!chain.ok) return chain;
    const ids = chain.value.map(({ id }) => id);
    if (sight.names !== undefined || sight.pools !== undefined) {
      const read = await context.store({ ...store, task: "read", ids: ids.slice(-1) }, cancelled);
      if (!read.ok) return read;
      const [last] = read.value;
      if (!last || !isInSight(sight, last)) return noBackup(backup);
    }
    const bytes = chain.value.reduce((sum, { dataBytes = 0 }) => sum + dataBytes, 0);
    const checkedBytes = content ? bytes : 0;
    const totalBytes = bytes + checkedBytes;
    const part: OrderPart = { key: keyOf(ask), phase: "checking", before: 0, total: totalBytes };
    const order = { ...store, task: "check", chains: [ids], content, opens: true, part } as const;
    const checked = await context.store(order, cancelled);
    if (!checked.ok) return checked;
    // In the order of the chain, in which it was asked for.
    const { manifests } = checked.value;
    return succeed({ manifests, listed: listing.backups, checkedBytes, totalBytes });
  }

  /** Receives the links one after the other. */
  async function receiveAll(
    { manifests, checkedBytes, totalBytes }: Plan,
    partial: DatasetName,
    key: string | undefined,
    store: OpenStore,
    cancelled: AbortSignal,
  ): Promise<Outcome<null>> {
    let before = checkedBytes;
    for (const manifest of manifests) {
      const command = zfs.receiveCommand(partial, { "imagestore:fetch": runId });
      const part: OrderPart = { key, phase: "receiving", before, total: totalBytes };
      const received = await context.store({ ...store, task: "receive", manifest, command, part }, cancelled);
      if (!received.ok) return received;
      const finished = await zfs.finishReceive(partial);
      if (!finished.ok) return finished;
      before += manifest.bytes;
    }
    return succeed(null);
  }

  /** Makes what was received writable: its newest snapshot must be that of the last link. Nobody else knows the name. */
  async function complete(partial: DatasetName, last: Manifest): Promise<Outcome<null>> {
    const snapshots = await zfs.snapshotsOf(partial);
    if (!snapshots.ok) return snapshots;
    const newest = snapshots.value.at(-1);
    if (newest?.guid === last.guids.to) return zfs.setProperties(partial, { readonly: false });
    const id = backupIdOf(placeOf(last));
    return internalFailure(new Error(`the restore of ${id} has ${newest?.guid} as its newest snapshot`));
  }

  /** Gives the volume its name. */
  async function publish(partial: DatasetName, target: DatasetName): Promise<Outcome<VolumeRecord>> {
    const wanted = [partial, target].map((name) => ({ name, mode: "tree" }) as const);
    return locks.with(wanted, async () => {
      const taken = await zfs.find(target);
      if (!taken.ok) return taken;
      if (taken.value !== undefined) return failed.exists;
      const renamed = await zfs.rename(partial, target, true);
      const found = await zfs.find(target);
      if (!found.ok) return found;
      // A command without a clear end may have renamed it all the same. Nobody else has the name: it is locked.
      if (found.value === undefined) return renamed.ok ? failed.notFound : renamed;
      await awaitDevice(context, target);
      return succeed(volumeRecord(context, found.value));
    });
  }

  /** Destroys what was received. A command that was killed may still be at it for a while: that is told in several ways. */
  async function removePartial(partial: DatasetName): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const removed = await locks.with([{ name: partial, mode: "tree" }], () => zfs.destroy(partial, true));
      if (removed.ok || removed.failure.code === "dataset.not_found") return;
      if (attempt === REMOVALS) {
        return log.warn("what a restore has received could not be removed; the next start tries again", {
          dataset: partial,
          ...removed.failure,
        });
      }
      await sleep(REMOVAL_PAUSE_MS);
    }
  }

  function wouldBe(target: DatasetName, last: Manifest, { manifests, listed }: Plan): RestoredVolume {
    const backups = manifests.map((manifest) => backupRecord(manifest, listed));
    const sum = manifests.reduce((total, manifest) => total + manifest.bytes, 0);
    const volume = volumeRecord(context, { name: target, volsize: bytes(BigInt(last.volsize)) });
    return { ...volume, chain: { backups, bytes: sum } };
  }

  async function restore(
    ask: Ask<"RestoreBackup">,
    store: OpenStore,
    cancelled: AbortSignal,
  ): Promise<Outcome<RestoredVolume>> {
    const { target } = ask;
    const taken = await zfs.find(target);
    if (!taken.ok) return taken;
    if (taken.value !== undefined) return failed.exists;
    const planned = await plan(ask, store, cancelled);
    if (!planned.ok) return planned;
    const last = planned.value.manifests.at(-1);
    if (!last) return noBackup(ask.backup);
    if (ask.dryRun) return succeed(wouldBe(target, last, planned.value));
    // No image has a name with a leading dot, so no fetch receives there, and no request names it.
    const partial = partialOf(pool, `.restore-${runId}-${++lastRestore}`);
    const received = await receiveAll(planned.value, partial, keyOf(ask), store, cancelled).catch(
      internalFailure,
    );
    const completed = received.ok ? await complete(partial, last).catch(internalFailure) : received;
    const published = completed.ok ? await publish(partial, target).catch(internalFailure) : completed;
    if (!published.ok) await removePartial(partial);
    return published;
  }

  return {
    async RestoreBackup(ask) {
      const profile = findProfile(profiles, ask.profile);
      if (!profile.ok) return profile;
      const store = { profile: profile.value, profileName: ask.profile };
      return inTurn(turns, ask.caller, (cancelled) => restore(ask, store, cancelled));
    },
  };
}
