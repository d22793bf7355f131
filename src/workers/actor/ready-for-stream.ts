import {
  type FailedOutcome,
  type FailureCode,
  fail,
  failed,
  type Outcome,
  succeed,
  tellAbout,
} from "../../protocol/storage/failures.js";
import { type DatasetName, snapshotNameOf } from "../../protocol/storage/names.js";
import { incomingOf } from "../../protocol/storage/partial-name.js";
import type { StreamHead } from "../../protocol/storage/send-terms.js";
import type { DatasetInfo } from "../drivers/driver.js";
import {
  abandonIncoming,
  findBegun,
  type IncomingVolume,
  isChangedSince,
  lookInto,
} from "./incoming-volume.js";
import type { ActorContext } from "./operations/context.js";
import { rollBackCopy } from "./ready-for-increment.js";

/** Where a client's stream goes. */
export interface ReadyReceive {
  readonly into: DatasetName;
  /** It gets its name when it is whole. */
  readonly isNew: boolean;
  /** With its name, a volume that has that now goes. */
  readonly replaces: boolean;
  /** What has gone for it by now: full names, and what else was lost. */
  readonly destroyed: readonly string[];
}

type Used = Pick<ActorContext, "pool" | "zfs" | "locks">;

interface Wanted {
  readonly target: DatasetName;
  readonly stream: StreamHead;
  readonly force: boolean;
}

/** What there is: the volume, and what has come of a stream that is to get its name. */
interface Found {
  readonly published: IncomingVolume | undefined;
  readonly begun: IncomingVolume | undefined;
}

const refuse = (code: FailureCode, target: DatasetName, why: string): FailedOutcome =>
  tellAbout(fail(code, `${target} ${why}`), { object: target });

/** Fails: dataset.wrong_type (`target` is no volume), and as the driver's reads do. */
export async function findReceives(context: Used, target: DatasetName): Promise<Outcome<Found>> {
  const [present, begun] = await Promise.all([context.zfs.find(target), findBegun(context, target)]);
  if (!present.ok) return present;
  if (!begun.ok) return begun;
  if (!present.value) return succeed({ published: undefined, begun: begun.value });
  if (present.value.type !== "volume") return failed.notVolume;
  const published = await lookInto(context, target, true);
  return published.ok ? succeed({ published: published.value, begun: begun.value }) : published;
}

/** For the rest of a stream that broke, which is let in as its beginning was. */
async function readyForRest(
  { zfs }: Used,
  { published, begun }: Found,
  { target, stream, force }: Wanted,
): Promise<Outcome<ReadyReceive>> {
  const place = [begun, published].find((each) => each?.token !== undefined);
  const nothing = "has nothing of a stream that this one goes on with (zfs send -t)";
  if (place?.token === undefined) return refuse("stream.invalid", target, nothing);
  const token = await zfs.readResumeToken(place.token);
  if (!token.ok) return token;
  if (token.value.toGuid !== stream.toGuid) {
    return refuse("stream.invalid", target, "has the beginning of another stream: its token tells which");
  }
  if (isChangedSince(place, token.value.fromGuid)) {
    const why = "was changed since the stream into it broke, which can't go on: give it up (DELETE)";
    return refuse("dataset.diverged", target, why);
  }
  const replaces = place === begun && published !== undefined;
  if (replaces && !force) return failed.exists;
  return succeed({ into: place.into, isNew: place === begun, replaces, destroyed: [] });
}

/** For a stream that builds on nothing, and becomes a volume beside one that it may replace. */
async function readyForFull(
  { pool, zfs }: Used,
  { published }: Found,
  { target, force }: Wanted,
): Promise<Outcome<ReadyReceive>> {
  const into = incomingOf(pool, target);
  if (!published) return succeed({ into, isNew: true, replaces: false, destroyed: [] });
  if (!force)
    return refuse("dataset.exists", target, "is there, and the stream is a full one: force replaces it");
  // What is in the way is told before all of a stream has come.
  const doomed = await zfs.findDoomed({ destroy: target, recursive: true });
  return doomed.ok ? succeed({ into, isNew: true, replaces: true, destroyed: [] }) : doomed;
}

/** Makes a volume as its snapshot `common` has it. @returns what was destroyed for that. */
async function rollBack(
  context: Used,
  target: DatasetName,
  common: DatasetInfo,
  wasWritable: boolean,
): Promise<Outcome<readonly string[]>> {
  const name = snapshotNameOf(common);
  const doomed = await context.zfs.findDoomed({ rollback: name, destroyMoreRecent: true });
  if (!doomed.ok) return doomed;
  const rolled = await rollBackCopy(context, target, common);
  if (!rolled.ok) return rolled;
  const written = wasWritable ? [`what was written since ${name}`] : [];
  return succeed([...doomed.value.map((each) => each.name), ...written]);
}

async function readyForNext(
  context: Used,
  { published }: Found,
  { target, stream, force }: Wanted,
): Promise<Outcome<ReadyReceive>> {
  if (!published)
    return refuse("dataset.not_found", target, "is not found, and the stream builds on a snapshot of it");
  const { snapshots, isReadonly } = published;
  if (snapshots.some(({ guid }) => guid === stream.toGuid)) {
    return refuse("dataset.exists", target, "has the snapshot that the stream brings");
  }
  const common = snapshots.find(({ guid }) => guid === stream.fromGuid);
  if (!common) {
    const why = `has no snapshot with the guid ${stream.fromGuid}, on which the stream builds`;
    return refuse("dataset.diverged", target, why);
  }
  const hasNewer = common !== snapshots[0];
  const ready = { into: target, isNew: false, replaces: false };
  if (!hasNewer && isReadonly) return succeed({ ...ready, destroyed: [] });
  if (!force) {
    const newer = `has newer snapshots than ${common.name}, on which the stream builds: force destroys them`;
    const writable = "is writable, and what was written would be lost: set readonly, or force";
    return refuse("dataset.diverged", target, hasNewer ? newer : writable);
  }
  const rolled = await rollBack(context, target, common, !isReadonly);
  return rolled.ok ? succeed({ ...ready, destroyed: rolled.value }) : rolled;
}

/**
 * Sees to it that a client's stream can be received. With `force`, what is in its way goes: at once where it builds on
 * a snapshot, and with the last byte where a volume is replaced. Fails: dataset.exists, dataset.diverged,
 * dataset.not_found, stream.invalid, and as looks, destroys and rollbacks do.
 */
export async function readyForStream(context: Used, wanted: Wanted): Promise<Outcome<ReadyReceive>> {
  const { target, stream, force } = wanted;
  const found = await findReceives(context, target);
  if (!found.ok) return found;
  const { published, begun } = found.value;
  if (stream.isResumed) return readyForRest(context, found.value, wanted);
  const hasBroken = begun?.token !== undefined || published?.token !== undefined;
  if (hasBroken && !force) {
    return refuse(
      "dataset.exists",
      target,
      "has the beginning of a stream that broke: send its rest, or give it up",
    );
  }
  // What came whole and was not given its name, because the daemon was killed, goes without a word.
  if (hasBroken || begun) {
    const abandoned = await abandonIncoming(context, target);
    if (!abandoned.ok && abandoned.failure.code !== "dataset.not_found") return abandoned;
  }
  const readyFor = stream.fromGuid === undefined ? readyForFull : readyForNext;
  const ready = await readyFor(context, found.value, wanted);
  if (!ready.ok || !hasBroken) return ready;
  // As zfs calls it.
  return succeed({ ...ready.value, destroyed: [`${target}%recv`, ...ready.value.destroyed] });
}
