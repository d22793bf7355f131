import { fail, failed, type Outcome, succeed } from "../../protocol/storage/failures.js";
import type { DatasetName } from "../../protocol/storage/names.js";
import { incomingOf } from "../../protocol/storage/partial-name.js";
import type { DatasetInfo } from "../drivers/driver.js";
import type { ActorContext } from "./operations/context.js";
import { renameReceived } from "./partial-receive.js";

/** Where the streams of a volume go, and what has come of them. */
export interface IncomingVolume {
  /** The volume itself; until it is complete, a name that no request can name. */
  readonly into: DatasetName;
  readonly isPublished: boolean;
  /** Nothing can be written to it. */
  readonly isReadonly: boolean;
  /** Newest first. */
  readonly snapshots: readonly DatasetInfo[];
  /** Of a stream that broke, and can go on. */
  readonly token: string | undefined;
}

type Used = Pick<ActorContext, "pool" | "zfs" | "locks">;

/** Fails as the driver's reads do. */
export async function lookInto(
  { zfs }: Used,
  into: DatasetName,
  isPublished: boolean,
): Promise<Outcome<IncomingVolume>> {
  const [snapshots, token, readonly] = await Promise.all([
    zfs.snapshotsOf(into),
    zfs.receiveToken(into),
    zfs.isReadonly(into),
  ]);
  if (!snapshots.ok) return snapshots;
  if (!token.ok) return token;
  if (!readonly.ok) return readonly;
  const found = { snapshots: snapshots.value.toReversed(), token: token.value, isReadonly: readonly.value };
  return succeed({ into, isPublished, ...found });
}

const nothingIn = (into: DatasetName): IncomingVolume => ({
  ...{ into, isPublished: false, isReadonly: true, snapshots: [], token: undefined },
});

/** What has come of a volume under the name that it has until it is whole. Undefined: nothing. */
async function lookIntoBegun(
  { zfs, ...used }: Used,
  into: DatasetName,
): Promise<Outcome<IncomingVolume | undefined>> {
  const begun = await zfs.find(into);
  if (!begun.ok) return begun;
  if (begun.value) return lookInto({ zfs, ...used }, into, false);
  // An embedded pool has no dataset of what is not whole.
  if (zfs.driver !== "embedded") return succeed(undefined);
  const token = await zfs.receiveToken(into);
  if (!token.ok) return token;
  return succeed(token.value === undefined ? undefined : { ...nothingIn(into), token: token.value });
}

/** Fails: dataset.wrong_type (`target` is no volume), and as the driver's reads do. */
export async function findIncoming(context: Used, target: DatasetName): Promise<Outcome<IncomingVolume>> {
  const { pool, zfs } = context;
  const into = incomingOf(pool, target);
  const [present, begun] = await Promise.all([zfs.find(target), lookIntoBegun(context, into)]);
  if (!present.ok) return present;
  if (!begun.ok) return begun;
  if (present.value) {
    if (present.value.type !== "volume") return failed.notVolume;
    return lookInto(context, target, true);
  }
  return succeed(begun.value ?? nothingIn(into));
}

/** What has come of a volume that has not its name yet, also where another volume has that. Undefined: nothing. */
export function findBegun(context: Used, target: DatasetName): Promise<Outcome<IncomingVolume | undefined>> {
  return lookIntoBegun(context, incomingOf(context.pool, target));
}

/** Whether a volume is not what the increment in it that broke was made for: then that can't go on. */
export function isChangedSince(
  { snapshots, isReadonly }: IncomingVolume,
  fromGuid: string | undefined,
): boolean {
  return fromGuid !== undefined && (snapshots[0]?.guid !== fromGuid || !isReadonly);
}

/**
 * Gives up what a stream that broke has left. What was complete before it stays.
 * Fails: dataset.not_found (there is nothing of that kind), and as destroys do.
 */
export async function abandonIncoming(context: Used, target: DatasetName): Promise<Outcome<null>> {
  const { zfs, locks } = context;
  const found = await findIncoming(context, target);
  if (!found.ok) return found;
  // A stream that was to replace a volume goes beside it.
  const begun = found.value.isPublished ? await findBegun(context, target) : found;
  if (!begun.ok) return begun;
  const { into, isPublished, snapshots, token } = begun.value ?? found.value;
  return locks.with([{ name: into, mode: "tree" }], async () => {
    if (token !== undefined) {
      const abandoned = await zfs.abandonReceive(into);
      if (!abandoned.ok || isPublished || snapshots.length === 0) return abandoned;
    }
    return isPublished ? failed.notFound : zfs.destroy(into, true);
  });
}

/**
 * Removes what is of no use of a stream that broke: it can't go on, and is not part of a volume that was there.
 * Fails as destroys do.
 */
export async function removeUseless(
  { zfs, locks }: Used,
  into: DatasetName,
  isNew: boolean,
): Promise<Outcome<null>> {
  const token = await zfs.receiveToken(into);
  if (!token.ok) return token;
  if (token.value !== undefined) return succeed(null);
  return locks.with([{ name: into, mode: "tree" }], async () => {
    // OpenZFS has nothing to give up then.
    if (!isNew && zfs.driver === "openzfs") return succeed(null);
    const removed = await (isNew ? zfs.destroy(into, true) : zfs.abandonReceive(into));
    return removed.ok || removed.failure.code === "dataset.not_found" ? succeed(null) : removed;
  });
}

/** Gives a volume that is complete its own name. Fails: dataset.exists, and as a rename does. */
export async function publishIncoming(
  { zfs, locks }: Used,
  { into, snapshots: [newest] }: IncomingVolume,
  target: DatasetName,
): Promise<Outcome<null>> {
  if (!newest) return fail("internal", `${into} has no snapshot`);
  const both = [into, target].map((name) => ({ name, mode: "tree" }) as const);
  return locks.with(both, () => renameReceived(zfs, newest, { from: into, to: target, makeParents: true }));
}
