import { type Outcome, succeed } from "../../protocol/storage/failures.js";
import type { ResumeToken } from "../drivers/transfers-of-driver.js";
import { type IncomingVolume, isChangedSince } from "./incoming-volume.js";
import type { ActorContext } from "./operations/context.js";
import { callPeer, isObject, oneOf, type Peer, refusedByPeer } from "./peer-client.js";

/** What a peer is to send. */
export interface SourcePlan {
  /** The snapshot, by the name that the peer knows it by. */
  readonly id: string;
  readonly guid: string;
  /** The copy has it. */
  readonly isThere: boolean;
  /** What the stream builds on; undefined: nothing. */
  readonly base: { readonly id: string; readonly guid: string } | undefined;
  /** The stream goes on where an earlier one broke. */
  readonly token?: string;
}

/** More guids than any receiver needs to name: only the newest matter. */
const MOST_GUIDS = 1000;

const isGuid = (value: unknown): value is string => typeof value === "string" && /^\d{1,20}$/.test(value);

/** Reads `id` and `guid` of what a peer names. */
function namedIn(value: unknown): { readonly id: string; readonly guid: string } | undefined {
  if (!isObject(value)) return undefined;
  const { id, guid } = value;
  return typeof id === "string" && id !== "" && isGuid(guid) ? { id, guid } : undefined;
}

/** Asks a peer what it would send to a receiver that has these guids, newest first. */
async function askForPlan(
  peer: Peer,
  id: string,
  have: readonly string[],
  cancelled?: AbortSignal,
): Promise<Outcome<SourcePlan>> {
  const answered = await callPeer(peer, "GetSendPlan", { id, have: have.slice(0, MOST_GUIDS) }, cancelled);
  if (!answered.ok) return answered;
  const plan = oneOf(answered.value.plans);
  const named = namedIn(plan);
  if (!isObject(plan) || !named) return refusedByPeer(peer, "its plan can't be read");
  return succeed({ ...named, isThere: plan.isThere === true, base: namedIn(plan.base) });
}

/** The plan for the rest of a stream that broke. Undefined: its source has changed, or another is wanted. */
async function planForRest(
  peer: Peer,
  source: string,
  token: ResumeToken,
  cancelled?: AbortSignal,
): Promise<Outcome<SourcePlan | undefined>> {
  const tag = token.toName.slice(token.toName.indexOf("@"));
  const [volume] = source.split("@");
  if (source.includes("@") && source !== `${volume}${tag}`) return succeed(undefined);
  const { fromGuid } = token;
  const planned = await askForPlan(
    peer,
    `${volume}${tag}`,
    fromGuid === undefined ? [] : [fromGuid],
    cancelled,
  );
  if (!planned.ok) return planned.failure.code === "dataset.not_found" ? succeed(undefined) : planned;
  const { guid, base } = planned.value;
  return succeed(guid === token.toGuid && base?.guid === fromGuid ? planned.value : undefined);
}

/**
 * What a copy lacks of its source: the rest of a stream that broke, before all else. `no use`: what is left of such
 * a stream must be given up.
 */
export async function planAtPeer(
  { zfs }: Pick<ActorContext, "zfs">,
  peer: Peer,
  source: string,
  incoming: IncomingVolume,
  cancelled?: AbortSignal,
): Promise<Outcome<SourcePlan | "token is of no use">> {
  const { token, snapshots } = incoming;
  if (token === undefined) {
    return askForPlan(
      peer,
      source,
      snapshots.map(({ guid }) => guid),
      cancelled,
    );
  }
  const read = await zfs.readResumeToken(token);
  if (!read.ok) return read.failure.code === "request.invalid" ? succeed("token is of no use") : read;
  if (isChangedSince(incoming, read.value.fromGuid)) return succeed("token is of no use");
  const rest = await planForRest(peer, source, read.value, cancelled);
  if (!rest.ok) return rest;
  return succeed(rest.value ? { ...rest.value, isThere: false, token } : "token is of no use");
}

interface KeptBookmark {
  /** The volume or the snapshot that was asked for. */
  readonly source: string;
  /** The snapshot that the copy has. */
  readonly id: string;
  readonly guid: string;
  /** What the names of the copy's bookmarks begin with. */
  readonly prefix: string;
}

/**
 * Has the peer keep a bookmark of what the copy has, so that the snapshot may be deleted there, and then drop
 * those of before.
 */
export async function keepSourceBookmark(
  peer: Peer,
  { source, id, prefix, guid }: KeptBookmark,
  cancelled: AbortSignal,
): Promise<Outcome<null>> {
  const made = await callPeer(peer, "CreateBookmark", { id, dest: `${prefix}${guid}` }, cancelled);
  if (!made.ok) return made;
  const volume = source.split("@")[0] ?? source;
  const listed = await callPeer(peer, "ListBookmarks", { id: volume }, cancelled);
  if (!listed.ok) return listed;
  const own = namedIn(oneOf(made.value.bookmarks))?.id;
  const bookmarks: readonly unknown[] = Array.isArray(listed.value.bookmarks) ? listed.value.bookmarks : [];
  for (const each of bookmarks) {
    const { id: name } = namedIn(each) ?? { id: "" };
    // Those of volumes below it are other copies'.
    if (name === own || !name.startsWith(`${id.split("@")[0]}#${prefix}`)) continue;
    const deleted = await callPeer(peer, "DeleteBookmark", { id: name }, cancelled);
    if (!deleted.ok && deleted.failure.code !== "dataset.not_found") return deleted;
  }
  return succeed(null);
}
