import { setTimeout as sleep } from "node:timers/promises";
import { internalFailure, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import {
  type DatasetName,
  datasetOf,
  type SnapshotName,
  snapshotNameOf,
  tagOf,
} from "../../../protocol/storage/names.js";
import type { Ask, OperationHandlers } from "../../../protocol/storage/operations.js";
import type { NodeSettings } from "../../../protocol/storage/pool-settings.js";
import type { PulledVolume } from "../../../protocol/storage/records.js";
import type { LockRequest } from "../dataset-locks.js";
import { findIncoming } from "../incoming-volume.js";
import { callPeer, oneOf, openPeer, type Peer } from "../peer-client.js";
import type { ActorContext } from "./context.js";
import { isOfRound, newRound, roundsThere } from "./migration-rounds.js";
import type { PullVolume } from "./pulls.js";
import { awaitDevice } from "./volumes.js";

type Migrations = Pick<OperationHandlers, "MigrateVolume" | "FinishMigration">;
type Moving = Ask<"MigrateVolume">;

/** A rest of so many bytes moves while its guest stands still. */
const SMALL_BYTES = 32 * 1024 * 1024;
/** A writer that is as fast as the way between the nodes is not chased for ever. */
const MOST_ROUNDS = 8;

/** `pull`: as PullVolume. */
export function migrationOperations(
  context: ActorContext,
  { peers }: Pick<NodeSettings, "peers">,
  pull: PullVolume,
): Migrations {
  const { zfs, locks, log } = context;

  function pullSnapshot(
    move: Moving,
    tag: string,
    last?: Parameters<PullVolume>[1],
  ): Promise<Outcome<PulledVolume>> {
    return pull({ ...move, source: `${move.source}@${tag}` }, last);
  }

  /** The snapshots that earlier rounds have left in the copy. */
  async function earlierRounds(target: DatasetName, newest: string): Promise<readonly SnapshotName[]> {
    const kept = await zfs.snapshotsOf(target);
    const names = (kept.ok ? kept.value : []).map(snapshotNameOf);
    return names.filter((each) => isOfRound(each) && tagOf(each) !== newest);
  }

  function warn(snapshot: string, ended: Outcome<unknown>): void {
    if (ended.ok || ended.failure.code === "dataset.not_found") return;
    log.warn("a snapshot of an earlier round of a migration is left", { snapshot, ...ended.failure });
  }

  async function dropHere(snapshots: readonly SnapshotName[]): Promise<void> {
    for (const each of snapshots) {
      const request: LockRequest = { name: datasetOf(each), mode: "one" };
      warn(each, await locks.with([request], () => zfs.destroy(each, false)));
    }
  }

  async function dropThere(peer: Peer, source: string, tags: readonly string[]): Promise<void> {
    for (const tag of tags) {
      const id = `${source}@${tag}`;
      let ended = await callPeer(peer, "DeleteSnapshot", { id });
      // The hold of its download may take a moment to go.
      for (let turn = 0; turn < 5 && !ended.ok && ended.failure.code === "peer.unreachable"; turn++) {
        await sleep(200);
        ended = await callPeer(peer, "DeleteSnapshot", { id });
      }
      warn(id, ended);
    }
  }

  async function snapshotAt(peer: Peer, source: string): Promise<Outcome<string>> {
    const tag = newRound();
    const made = await callPeer(peer, "CreateSnapshot", { id: source, dest: tag });
    return made.ok ? succeed(tag) : made;
  }

  return {
    async MigrateVolume(move) {
      const peer = await openPeer(peers, move.peer);
      if (!peer.ok) return peer;
      let before = Number.POSITIVE_INFINITY;
      for (let round = 1; ; round++) {
        const tag = await snapshotAt(peer.value, move.source);
        if (!tag.ok) return tag;
        const pulled = await pullSnapshot(move, tag.value);
        if (!pulled.ok) return pulled;
        await dropThere(peer.value, move.source, await roundsThere(peer.value, move.source, tag.value));
        await dropHere(await earlierRounds(move.target, tag.value));
        const { received } = pulled.value;
        const isSlower = received > 0.9 * before && round > 1;
        if (received <= SMALL_BYTES || isSlower || round === MOST_ROUNDS) return pulled;
        before = received;
      }
    },

    async FinishMigration(move) {
      const peer = await openPeer(peers, move.peer);
      if (!peer.ok) return peer;
      // The guest stands still from here on. The newest snapshot of the rounds before stays at the source: an embedded pool
      // has no increment without it, and behind the fence none can go.
      const dest = newRound();
      const { target } = move;
      const [fenced, incoming] = await Promise.all([
        callPeer(peer.value, "FenceVolume", { id: move.source, dest }),
        findIncoming(context, target),
      ]);
      if (!fenced.ok) return fenced;
      if (!incoming.ok) return incoming;
      const id = String(Object(oneOf(fenced.value.snapshots)).id);
      const tag = id.slice(id.indexOf("@") + 1);
      let opening: Promise<Outcome<null>> | undefined;
      const open = () => {
        opening ??= locks.with([{ name: target, mode: "one" }], () =>
          zfs.setProperties(target, { readonly: false }),
        );
        return opening;
      };
      const pulled = await pullSnapshot(move, tag, { incoming: incoming.value, whenWhole: open });
      if (!pulled.ok) return pulled;
      // A pull of the same that ran already has not done so.
      const opened = await open();
      if (!opened.ok) return opened;
      await awaitDevice(context, target);
      // The guest may start.
      void earlierRounds(target, tag)
        .then(dropHere)
        .catch((error) => warn(target, internalFailure(error)));
      return pulled;
    },
  };
}
