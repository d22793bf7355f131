import { type FailedOutcome, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import { datasetOf, type SnapshotName, snapshotNameOf, snapshotOf } from "../../../protocol/storage/names.js";
import type { Ask, OperationHandlers } from "../../../protocol/storage/operations.js";
import type { NodeSettings } from "../../../protocol/storage/pool-settings.js";
import type { MigrationPlan, PulledVolume } from "../../../protocol/storage/records.js";
import { bytes } from "../../../protocol/storage/units.js";
import { FENCE_TAG } from "../../../protocol/storage/volume-settings.js";
import { findIncoming, type IncomingVolume } from "../incoming-volume.js";
import { callPeer, isObject, oneOf, openPeer, type Peer, refusedByPeer } from "../peer-client.js";
import { readyForIncrement } from "../ready-for-increment.js";
import type { ActorContext } from "./context.js";
import { isOfRound, newRound, roundsThere } from "./migration-rounds.js";
import { volumeRecord } from "./volumes.js";

type Step = "MigrateVolume" | "FinishMigration";
type Moving = Ask<Step>;

/** What a peer would send of a snapshot that it would take now. */
interface NextPlan {
  /** The volume, by its full name there. */
  readonly source: string;
  readonly base: MigrationPlan["base"];
  readonly bytes: number | undefined;
}

async function askForNext(peer: Peer, id: string, have: readonly string[]): Promise<Outcome<NextPlan>> {
  const answered = await callPeer(peer, "GetSendPlan", { id, have, next: true });
  if (!answered.ok) return answered;
  const plan = oneOf(answered.value.plans);
  if (!isObject(plan) || typeof plan.id !== "string") return refusedByPeer(peer, "its plan can't be read");
  const base = isObject(plan.base) ? { id: String(plan.base.id), guid: String(plan.base.guid) } : undefined;
  return succeed({ source: plan.id, base, bytes: typeof plan.bytes === "number" ? plan.bytes : undefined });
}

async function isFencedAt(peer: Peer, id: string): Promise<Outcome<boolean>> {
  const answered = await callPeer(peer, "GetVolumeProperties", { id });
  if (!answered.ok) return answered;
  const volume = oneOf(answered.value.volumes);
  const tags = isObject(volume) && isObject(volume.properties) ? volume.properties.tags : undefined;
  return succeed(isObject(tags) && FENCE_TAG in tags);
}

/** What the peer would do. `guids`: of the copy's snapshots, newest first. Fails as a migration does. */
async function planAt(
  peer: Peer,
  step: Step,
  source: string,
  guids: readonly string[],
): Promise<Outcome<MigrationPlan>> {
  const isFenced = await isFencedAt(peer, source);
  if (!isFenced.ok) return isFenced;
  if (isFenced.value && step === "MigrateVolume") return refusedByPeer(peer, `${source} is fenced`);
  const next = await askForNext(peer, source, guids);
  if (!next.ok) return next;
  const tag = newRound();
  const drops = step === "MigrateVolume" ? await roundsThere(peer, source, tag) : [];
  return succeed({
    peer: peer.name,
    source: next.value.source,
    base: next.value.base,
    estimatedBytes: next.value.bytes,
    snapshot: isFenced.value ? undefined : `${next.value.source}@${tag}`,
    fences: step === "FinishMigration" && !isFenced.value,
    drops: drops.map((each) => `${next.value.source}@${each}`),
  });
}

/** Those of the copy that the step drops at its end. What lies behind the base goes by force, and not then. */
function roundsHere({ snapshots }: IncomingVolume, base: MigrationPlan["base"]): readonly SnapshotName[] {
  const at = snapshots.findIndex(({ guid }) => guid === base?.guid);
  return (at < 0 ? [] : snapshots.slice(at)).map(snapshotNameOf).filter(isOfRound);
}

/**
 * What a step of a migration would do, for a dry run of it: asks the peer what it would send, and makes the copy ready
 * for that. So `context` must be one that changes nothing. The peer is changed by nothing either.
 */
export function migrationPreviews(
  context: ActorContext,
  { peers }: Pick<NodeSettings, "peers">,
): Pick<OperationHandlers, Step> {
  const { zfs, locks } = context;

  async function answerOf({ target }: Moving, plan: MigrationPlan): Promise<Outcome<PulledVolume>> {
    const found = await zfs.find(target);
    if (!found.ok) return found;
    const snapshot = snapshotOf(target, plan.snapshot?.replace(/^.*@/, "") ?? newRound());
    if (!snapshot.ok) return snapshot;
    const volume = volumeRecord(context, found.value ?? { name: target, volsize: bytes(0) });
    const wasFull = plan.base === undefined;
    return succeed({ volume, snapshot: snapshot.value, guid: "", received: 0, wasFull, plan });
  }

  /** Destroys what a fence or a rollback refuses, and what the step destroys itself. */
  async function ready(
    { target, force }: Moving,
    incoming: IncomingVolume,
    { source, base }: MigrationPlan,
  ): Promise<FailedOutcome | undefined> {
    const open = await locks.with([{ name: target, mode: "tree" }], async () => succeed(null));
    if (!open.ok) return open;
    const plan = { id: source, guid: "", isThere: false, base };
    const made = await readyForIncrement(context, target, incoming, plan, force);
    if (!made.ok) return made;
    for (const each of roundsHere(incoming, base)) {
      const dropped = await locks.with([{ name: datasetOf(each), mode: "one" }], () =>
        zfs.destroy(each, false),
      );
      // The step itself goes on where one can't go.
      if (!dropped.ok) context.log.info("a dry run finds a snapshot that stays", { snapshot: each });
    }
    return undefined;
  }

  async function preview(step: Step, move: Moving): Promise<Outcome<PulledVolume>> {
    const peer = await openPeer(peers, move.peer);
    if (!peer.ok) return peer;
    const incoming = await findIncoming(context, move.target);
    if (!incoming.ok) return incoming;
    // A stream that broke is given up: what it brought is of another snapshot.
    const whole = { ...incoming.value, token: undefined };
    const guids = whole.snapshots.map(({ guid }) => guid);
    const plan = await planAt(peer.value, step, move.source, guids);
    if (!plan.ok) return plan;
    return (await ready(move, whole, plan.value)) ?? answerOf(move, plan.value);
  }

  return {
    MigrateVolume: (move) => preview("MigrateVolume", move),
    FinishMigration: (move) => preview("FinishMigration", move),
  };
}
