import {
  type FailedOutcome,
  type FailureCode,
  fail,
  type Outcome,
  succeed,
} from "../../protocol/storage/failures.js";
import type { FetchOrder } from "../../protocol/storage/operations.js";
import type { IncomingVolume } from "./incoming-volume.js";
import type { ActorContext } from "./operations/context.js";
import type { Peer } from "./peer-client.js";
import type { SourcePlan } from "./pull-plan.js";

/** How what an image service does wrong is called where a peer does it. */
const WORDS: Partial<Record<FailureCode, readonly [code: FailureCode, what: string]>> = {
  "image.unreachable": ["peer.unreachable", "can't be reached"],
  "image.http_status": ["peer.unreachable", "does not send now"],
  "image.source_error": ["peer.refused", "does not send"],
  "image.source_not_found": ["peer.refused", "does not have the snapshot any more"],
  "image.source_refused": ["peer.refused", "sends to another host, which the configuration does not allow"],
  "image.cut_short": ["stream.cut_short", "has sent a stream that is cut short"],
  "image.bad_stream": ["stream.invalid", "has sent a stream that can't be received here"],
};

function aboutPeer(outcome: FailedOutcome, peer: Peer): FailedOutcome {
  const { code, message, detail } = outcome.failure;
  const words = WORDS[code];
  if (!words) return outcome;
  return fail(
    words[0],
    `the peer ${peer.name} ${words[1]}`,
    detail === undefined ? message : `${message}: ${detail}`,
  );
}

function downloadUrl(peer: Peer, { id, base, token }: SourcePlan, isPacked: boolean): string {
  const url = new URL("/snapshots/download", peer.url);
  url.searchParams.set("id", id);
  if (base) url.searchParams.set("from", base.id);
  if (token !== undefined) url.searchParams.set("resume", token);
  else if (isPacked) url.searchParams.set("flags", "compressed");
  if (peer.bytesPerSecond !== undefined) url.searchParams.set("rate", String(peer.bytesPerSecond));
  // By the port for bulk downloads, where it has one.
  url.searchParams.set("redirect", "1");
  return url.href;
}

/**
 * Has a stream of a peer received. What comes of one that breaks is kept.
 * No lock is held meanwhile, which may take hours: a receive into a volume is seen by nobody until it is whole.
 * @returns its bytes. Fails: peer.unreachable, peer.refused, stream.cut_short, stream.invalid, and as
 * a receive does.
 */
export async function receiveFromPeer(
  { zfs, locks, runId, fetch }: Pick<ActorContext, "zfs" | "locks" | "runId" | "fetch">,
  peer: Peer,
  { into }: IncomingVolume,
  plan: SourcePlan,
  cancelled: AbortSignal,
): Promise<Outcome<number>> {
  const order: FetchOrder = {
    url: downloadUrl(peer, plan, zfs.driver === "openzfs"),
    hosts: { service: peer.url.hostname, sources: [] },
    headers: peer.headers,
    ...(peer.ca !== undefined && { ca: peer.ca }),
    isOnce: true,
    target: into,
    command: zfs.receiveCommand(into, { "imagestore:fetch": runId }, { isResumable: true }),
    endsByInput: zfs.driver === "embedded",
    allows: { increments: plan.base !== undefined, resumed: plan.token !== undefined },
  };
  const fetched = await fetch(order, cancelled);
  if (!fetched.ok) return aboutPeer(fetched, peer);
  const finished = await locks.with([{ name: into, mode: "tree" }], () => zfs.finishReceive(into));
  return finished.ok ? succeed(fetched.value.streamBytes) : finished;
}
