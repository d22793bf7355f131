import { type SnapshotName, tagOf } from "../../../protocol/storage/names.js";
import { callPeer, isObject, type Peer } from "../peer-client.js";

/** How the snapshots of a migration begin. No other may: those of earlier rounds are destroyed. */
const PREFIX = "migrate-";

/** The name of a snapshot that is taken now. */
export function newRound(): string {
  return `${PREFIX}${Date.now().toString(36)}`;
}

export function isOfRound(snapshot: SnapshotName): boolean {
  return tagOf(snapshot).startsWith(PREFIX);
}

/** The names of the snapshots that rounds before `newest` have left at the source; none if it does not tell. */
export async function roundsThere(peer: Peer, id: string, newest: string): Promise<readonly string[]> {
  const listed = await callPeer(peer, "ListSnapshots", { id });
  const kept: readonly unknown[] =
    listed.ok && Array.isArray(listed.value.snapshots) ? listed.value.snapshots : [];
  const tags = kept.map((each) => String(isObject(each) ? each.id : "").replace(/^[^@]*@/, ""));
  return tags.filter((tag) => tag.startsWith(PREFIX) && tag !== newest);
}
