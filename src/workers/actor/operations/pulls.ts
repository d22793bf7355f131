import { createHash } from "node:crypto";
import {
  fail,
  failed,
  internalFailure,
  type Outcome,
  succeed,
  tellAbout,
} from "../../../protocol/storage/failures.js";
import { snapshotNameOf } from "../../../protocol/storage/names.js";
import type { Ask, OperationHandlers } from "../../../protocol/storage/operations.js";
import type { NodeSettings } from "../../../protocol/storage/pool-settings.js";
import type { PulledVolume } from "../../../protocol/storage/records.js";
import { bytes } from "../../../protocol/storage/units.js";
import type { FetchQueue } from "../fetch-queue.js";
import {
  abandonIncoming,
  findIncoming,
  type IncomingVolume,
  publishIncoming,
  removeUseless,
} from "../incoming-volume.js";
import { openPeer, type Peer } from "../peer-client.js";
import { keepSourceBookmark, planAtPeer, type SourcePlan } from "../pull-plan.js";
import { readyForIncrement } from "../ready-for-increment.js";
import { receiveFromPeer } from "../receive-from-peer.js";
import type { ActorContext } from "./context.js";
import { awaitDevice, volumeRecord } from "./volumes.js";

/** The last pull of a migration, while which a guest stands still: what is ready for it, and what need not wait. */
interface LastPull {
  /** What there is of the copy. */
  readonly incoming: IncomingVolume;
  /** Called once the copy is whole, while it is looked at. */
  whenWhole(): Promise<Outcome<null>>;
}

interface PullOperations extends Pick<OperationHandlers, "AbandonReceive"> {
  /** `last` is of no effect where the same is being pulled. */
  PullVolume(ask: Ask<"PullVolume">, last?: LastPull): ReturnType<OperationHandlers["PullVolume"]>;
}

export type PullVolume = PullOperations["PullVolume"];

/** A source that gets snapshot after snapshot meanwhile is not followed for ever. */
const MOST_STREAMS = 8;

/**
 * Copies of volumes of other daemons: made whole once, and then by what has changed. `sources`: of the pulls that
 * run or wait, by their targets; all operations of a pool share it.
 */
export function pullOperations(
  context: ActorContext,
  pulls: FetchQueue<PulledVolume>,
  { peers }: Pick<NodeSettings, "peers">,
  sources: Map<string, string>,
): PullOperations {
  const { pool, zfs, records, log } = context;

  /** What of its source the bookmark of this copy is called there: the same in every run. */
  async function bookmarkPrefix(target: string): Promise<string> {
    const copy = `${await records.nodeId()}/${target}`;
    return `replica-${createHash("sha256").update(copy).digest("hex").slice(0, 16)}-`;
  }

  /** Receives what the copy lacks of its source. @returns what it has by then, and how it came. */
  async function bringUpToDate(
    ask: Ask<"PullVolume">,
    peer: Peer,
    last: LastPull | undefined,
    cancelled: AbortSignal,
  ): Promise<Outcome<Pick<PulledVolume, "received" | "wasFull"> & { readonly plan: SourcePlan }>> {
    let received = 0;
    let wasFull = false;
    let before: SourcePlan | undefined;
    for (let streams = 0; streams <= MOST_STREAMS; streams++) {
      const isKnown = last !== undefined && streams === 0;
      const found = isKnown ? succeed(last.incoming) : await findIncoming(context, ask.target);
      if (!found.ok) return found;
      const planned = hasNamed(ask.source, found.value, before)
        ? succeed({ ...before, isThere: true })
        : await planAtPeer(context, peer, ask.source, found.value, cancelled);
      if (!planned.ok) return planned;
      if (planned.value === "token is of no use") {
        const abandoned = await giveUp(ask, "its source or the copy has changed");
        if (!abandoned.ok) return abandoned;
        continue;
      }
      const plan = planned.value;
      if (plan.isThere) {
        const published = await publish(ask, found.value);
        return published.ok ? succeed({ plan, received, wasFull }) : published;
      }
      const step = await receiveStep(ask, peer, found.value, plan, cancelled);
      if (!step.ok && step.failure.code === "stream.invalid" && (await hasMoved(found.value, plan))) continue;
      if (!step.ok && step.failure.code === "peer.refused" && plan.token !== undefined) {
        // Its pool is of another kind, or its daemon an older one: the stream comes anew.
        const abandoned = await giveUp(ask, "its source does not go on with it");
        if (!abandoned.ok) return abandoned;
        continue;
      }
      if (!step.ok) return step;
      received += step.value;
      before = plan;
      wasFull ||= plan.base === undefined;
      // It has what was asked for, or the look at the end says that it has not.
      if (found.value.isPublished && ask.source.includes("@")) return succeed({ plan, received, wasFull });
    }
    return fail("dataset.busy", `${ask.source} of ${peer.name} gets new snapshots faster than they come`);
  }

  /** Whether a copy has the snapshot that was asked for by its name, so that its source need not be asked again. */
  function hasNamed(
    source: string,
    { token, snapshots }: IncomingVolume,
    before: SourcePlan | undefined,
  ): before is SourcePlan {
    return source.includes("@") && token === undefined && snapshots.some(({ guid }) => guid === before?.guid);
  }

  function giveUp({ target }: Ask<"PullVolume">, why: string): Promise<Outcome<null>> {
    log.info("what a broken receive has left is given up", { volume: target, why });
    return abandonIncoming(context, target);
  }

  /**
   * Whether what a broken stream had left is more than when it was asked for the rest: a receive that was killed on
   * another machine, behind a prefix such as ssh, takes a moment to end.
   */
  async function hasMoved({ into }: IncomingVolume, { token }: SourcePlan): Promise<boolean> {
    if (token === undefined) return false;
    const now = await zfs.receiveToken(into);
    return now.ok && now.value !== undefined && now.value !== token;
  }

  /** Has one stream received. @returns its bytes. */
  async function receiveStep(
    { target, force }: Ask<"PullVolume">,
    peer: Peer,
    incoming: IncomingVolume,
    plan: SourcePlan,
    cancelled: AbortSignal,
  ): Promise<Outcome<number>> {
    // A fence is looked at behind the lock, and no lock is held while bytes come.
    const open = await context.locks.with([{ name: target, mode: "tree" }], async () => succeed(null));
    if (!open.ok) return open;
    const ready = await readyForIncrement(context, target, incoming, plan, force);
    if (!ready.ok) return ready;
    const received = await receiveFromPeer(context, peer, incoming, plan, cancelled);
    if (received.ok) return received;
    // Nothing was complete before: what can't go on is of no use.
    const isNew = !incoming.isPublished && incoming.snapshots.length === 0;
    const removed = await removeUseless(context, incoming.into, isNew);
    if (removed.ok) return received;
    log.warn("what a broken receive has left could not be removed; the next one tries again", {
      volume: target,
      ...removed.failure,
    });
    return received;
  }

  /** Gives a copy that has all its own name. Only then the source may forget what came before. */
  async function publish({ target }: Ask<"PullVolume">, incoming: IncomingVolume): Promise<Outcome<null>> {
    return incoming.isPublished ? succeed(null) : publishIncoming(context, incoming, target);
  }

  /** Never rejects, and fails with a warning. */
  async function keepBookmark(
    { target, source }: Ask<"PullVolume">,
    peer: Peer,
    { guid, id }: SourcePlan,
    cancelled: AbortSignal,
  ): Promise<void> {
    const kept = await bookmarkPrefix(target)
      .then((prefix) => keepSourceBookmark(peer, { source, id, prefix, guid }, cancelled))
      .catch(internalFailure);
    // The copy is whole. Without the bookmark its source must keep the snapshot for the next increment.
    if (!kept.ok)
      log.warn("the source of a copy could not keep a bookmark for it", { volume: target, ...kept.failure });
  }

  async function pull(
    ask: Ask<"PullVolume">,
    last: LastPull | undefined,
    cancelled: AbortSignal,
  ): Promise<Outcome<PulledVolume>> {
    const { target } = ask;
    const peer = await openPeer(peers, ask.peer);
    if (!peer.ok) return peer;
    const done = await bringUpToDate(ask, peer.value, last, cancelled);
    if (!done.ok) return done;
    const { plan, ...how } = done.value;
    const [volume, snapshots, changed] = await Promise.all([
      zfs.find(target),
      zfs.snapshotsOf(target),
      last?.whenWhole() ?? succeed(null),
      awaitDevice(context, target),
    ]);
    if (!changed.ok) return changed;
    if (!volume.ok) return volume;
    if (!snapshots.ok) return snapshots;
    const snapshot = snapshots.value.find(({ guid }) => guid === plan.guid);
    if (!volume.value || !snapshot) return failed.notFound;
    const kept = keepBookmark(ask, peer.value, plan, cancelled);
    if (!last) await kept;
    return succeed({
      ...how,
      guid: plan.guid,
      volume: volumeRecord(context, volume.value),
      snapshot: snapshotNameOf(snapshot),
    });
  }

  return {
    PullVolume: (ask, last) => {
      const { target } = ask;
      const source = JSON.stringify([ask.peer, ask.source, ask.force]);
      if ((sources.get(target) ?? source) !== source) {
        const busy = fail("dataset.busy", `${target} is being received from elsewhere`);
        return Promise.resolve(tellAbout(busy, { object: target }));
      }
      sources.set(target, source);
      const flight = pulls.request(target, (cancelled) => pull(ask, last, cancelled), ask.caller);
      return flight.finally(() => {
        if (!pulls.has(target)) sources.delete(target);
      });
    },

    async AbandonReceive({ name }) {
      if (pulls.has(name))
        return tellAbout(fail("dataset.busy", `${name} is being received`), { object: name });
      const abandoned = await abandonIncoming({ pool, zfs, locks: context.locks }, name);
      if (!abandoned.ok && abandoned.failure.code !== "dataset.not_found") return abandoned;
      const left = await zfs.find(name);
      if (!left.ok) return left;
      return succeed(volumeRecord(context, left.value ?? { name, volsize: bytes(0) }));
    },
  };
}
