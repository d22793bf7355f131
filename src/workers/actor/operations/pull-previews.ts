import { type Outcome, succeed } from "../../../protocol/storage/failures.js";
import { snapshotOf } from "../../../protocol/storage/names.js";
import type { Ask, OperationHandlers } from "../../../protocol/storage/operations.js";
import type { NodeSettings } from "../../../protocol/storage/pool-settings.js";
import type { PulledVolume } from "../../../protocol/storage/records.js";
import { bytes } from "../../../protocol/storage/units.js";
import { findIncoming, type IncomingVolume } from "../incoming-volume.js";
import { openPeer, type Peer } from "../peer-client.js";
import { planAtPeer, type SourcePlan } from "../pull-plan.js";
import { readyForIncrement } from "../ready-for-increment.js";
import type { ActorContext } from "./context.js";
import { volumeRecord } from "./volumes.js";

/**
 * What a pull would do, for a dry run of it: asks the peer what it would send, and makes the copy ready for that. So
 * `context` must be one that changes nothing. Nothing comes, and the peer is changed by nothing either.
 */
export function pullPreviews(
  context: ActorContext,
  { peers }: Pick<NodeSettings, "peers">,
): Pick<OperationHandlers, "PullVolume"> {
  const { zfs } = context;

  async function planFor(peer: Peer, source: string, incoming: IncomingVolume): Promise<Outcome<SourcePlan>> {
    const planned = await planAtPeer(context, peer, source, incoming);
    if (!planned.ok) return planned;
    if (planned.value !== "token is of no use") return succeed(planned.value);
    // What is left of a broken stream would be given up, and then:
    return planFor(peer, source, { ...incoming, token: undefined });
  }

  async function answerOf(ask: Ask<"PullVolume">, plan: SourcePlan): Promise<Outcome<PulledVolume>> {
    const { target } = ask;
    const found = await zfs.find(target);
    if (!found.ok) return found;
    const [, tag = ""] = plan.id.split("@");
    const snapshot = snapshotOf(target, tag);
    if (!snapshot.ok) return snapshot;
    const volume = volumeRecord(context, found.value ?? { name: target, volsize: bytes(0) });
    const wasFull = !plan.isThere && plan.base === undefined;
    return succeed({ volume, snapshot: snapshot.value, guid: plan.guid, received: 0, wasFull });
  }

  return {
    async PullVolume(ask) {
      const peer = await openPeer(peers, ask.peer);
      if (!peer.ok) return peer;
      const incoming = await findIncoming(context, ask.target);
      if (!incoming.ok) return incoming;
      const plan = await planFor(peer.value, ask.source, incoming.value);
      if (!plan.ok) return plan;
      if (plan.value.isThere) return answerOf(ask, plan.value);
      // A fence is looked at behind the lock.
      const open = await context.locks.with([{ name: ask.target, mode: "tree" }], async () => succeed(null));
      if (!open.ok) return open;
      const ready = await readyForIncrement(context, ask.target, incoming.value, plan.value, ask.force);
      return ready.ok ? answerOf(ask, plan.value) : ready;
    },
  };
}
