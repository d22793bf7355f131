import {
  type FailedOutcome,
  type FailureCode,
  fail,
  failed,
  internalFailure,
  type Outcome,
  succeed,
  tellAbout,
} from "../../../protocol/storage/failures.js";
import { type DatasetName, renamedSnapshot, snapshotNameOf } from "../../../protocol/storage/names.js";
import type { Ask, FetchOrder, OperationHandlers } from "../../../protocol/storage/operations.js";
import type { PulledVolume } from "../../../protocol/storage/records.js";
import type { DatasetInfo } from "../../drivers/driver.js";
import type { FetchQueue } from "../fetch-queue.js";
import { removeUseless } from "../incoming-volume.js";
import { renameReceived } from "../partial-receive.js";
import { findReceives, type ReadyReceive, readyForStream } from "../ready-for-stream.js";
import type { ActorContext } from "./context.js";
import { awaitDevice, volumeRecord } from "./volumes.js";

type ReceiveOperations = Pick<OperationHandlers, "ReceiveVolume" | "GetReceive">;

/** How what a receive says of an image is called of a stream. */
const CODES: Partial<Record<FailureCode, FailureCode>> = {
  "image.cut_short": "stream.cut_short",
  "image.bad_stream": "stream.invalid",
};

function aboutStream({ failure }: FailedOutcome): FailedOutcome {
  const code = CODES[failure.code];
  if (code === undefined) return { ok: false, failure };
  return {
    ok: false,
    failure: { ...failure, code, message: failure.message.replace(/^the image's /, "the ") },
  };
}

/** Also what failed in the end says what it has destroyed before. */
function tellDestroyed({ failure }: FailedOutcome, destroyed: readonly string[]): FailedOutcome {
  if (destroyed.length === 0) return { ok: false, failure };
  const text = `destroyed before: ${destroyed.join(", ")}`;
  return { ok: false, failure: { ...failure, detail: failure.detail ? `${failure.detail}; ${text}` : text } };
}

/**
 * Volumes that clients send. `pulls` and `sources`: as of pullOperations: nothing else is received into a volume
 * meanwhile.
 */
export function receiveOperations(
  context: ActorContext,
  pulls: FetchQueue<PulledVolume>,
  sources: Map<string, string>,
): ReceiveOperations {
  const { zfs, locks, log, runId } = context;

  /** Has the stream received. No lock is held meanwhile. @returns its bytes. */
  async function receiveInto(
    { into }: ReadyReceive,
    { stream, body }: Ask<"ReceiveVolume">,
    cancelled: AbortSignal,
  ): Promise<Outcome<number>> {
    const order: FetchOrder = {
      url: `body:/${into}`,
      hosts: { service: undefined, sources: [] },
      target: into,
      command: zfs.receiveCommand(into, { "imagestore:fetch": runId }, { isResumable: true }),
      endsByInput: zfs.driver === "embedded",
      body,
      allows: { increments: true, resumed: stream.isResumed },
    };
    const moved = await context.fetch(order, cancelled);
    if (!moved.ok) return aboutStream(moved);
    const finished = await locks.with([{ name: into, mode: "tree" }], () => zfs.finishReceive(into));
    return finished.ok ? succeed(moved.value.streamBytes) : finished;
  }

  /** The snapshot that the stream has brought. */
  async function broughtBy(
    { stream }: Ask<"ReceiveVolume">,
    into: DatasetName,
  ): Promise<Outcome<DatasetInfo>> {
    const snapshots = await zfs.snapshotsOf(into);
    if (!snapshots.ok) return snapshots;
    const newest = snapshots.value.at(-1);
    if (newest?.guid === stream.toGuid) return succeed(newest);
    return internalFailure(
      new Error(`the newest snapshot of ${into} is ${newest?.guid}, not ${stream.toGuid}`),
    );
  }

  /** Gives what is whole its name. @returns what was destroyed for that. */
  async function publish(
    { into, replaces }: ReadyReceive,
    target: DatasetName,
    snapshot: DatasetInfo,
  ): Promise<Outcome<readonly string[]>> {
    const both = [into, target].map((name) => ({ name, mode: "tree" }) as const);
    return locks.with(both, async () => {
      const destroyed: string[] = [];
      if (replaces) {
        const doomed = await zfs.findDoomed({ destroy: target, recursive: true });
        if (doomed.ok) destroyed.push(...doomed.value.map(({ name }) => name));
        const gone = await zfs.destroy(target, true);
        if (!gone.ok && gone.failure.code !== "dataset.not_found") return gone;
      }
      const renamed = await renameReceived(zfs, snapshot, { from: into, to: target, makeParents: true });
      return renamed.ok ? succeed(destroyed) : renamed;
    });
  }

  async function complete(
    ask: Ask<"ReceiveVolume">,
    ready: ReadyReceive,
    received: number,
  ): Promise<Outcome<PulledVolume>> {
    const { target, stream } = ask;
    const brought = await broughtBy(ask, ready.into);
    if (!brought.ok) return brought;
    const published = ready.isNew ? await publish(ready, target, brought.value) : succeed([]);
    if (!published.ok) return published;
    await awaitDevice(context, target);
    const volume = await zfs.find(target);
    if (!volume.ok) return volume;
    if (!volume.value) return failed.notFound;
    return succeed({
      volume: volumeRecord(context, volume.value),
      snapshot: renamedSnapshot(snapshotNameOf(brought.value), target),
      guid: stream.toGuid,
      received,
      wasFull: stream.fromGuid === undefined,
      destroyed: [...ready.destroyed, ...published.value],
    });
  }

  async function receive(ask: Ask<"ReceiveVolume">, cancelled: AbortSignal): Promise<Outcome<PulledVolume>> {
    const { target } = ask;
    // A fence is looked at behind the lock, and no lock is held while bytes come.
    const open = await locks.with([{ name: target, mode: "tree" }], async () => succeed(null));
    if (!open.ok) return open;
    const ready = await readyForStream(context, ask);
    if (!ready.ok) return ready;
    const received = await receiveInto(ready.value, ask, cancelled).catch(internalFailure);
    const done = received.ok
      ? await complete(ask, ready.value, received.value).catch(internalFailure)
      : received;
    if (done.ok) return done;
    const removed = await removeUseless(context, ready.value.into, ready.value.isNew);
    if (!removed.ok) {
      log.warn("what a stream that broke has left could not be removed; the next one tries again", {
        volume: target,
        ...removed.failure,
      });
    }
    return tellDestroyed(done, ready.value.destroyed);
  }

  return {
    ReceiveVolume: (ask) => {
      const { target } = ask;
      if (pulls.has(target)) {
        const busy = fail("dataset.busy", `${target} is being received already`);
        return Promise.resolve(tellAbout(busy, { object: target }));
      }
      sources.set(target, `body ${ask.body}`);
      const flight = pulls.request(target, (cancelled) => receive(ask, cancelled), ask.caller);
      return flight.finally(() => {
        if (!pulls.has(target)) sources.delete(target);
      });
    },

    async GetReceive({ name }) {
      const known = { name, token: undefined, bytes: undefined };
      if (pulls.has(name)) return succeed({ ...known, state: "receiving" });
      const found = await findReceives(context, name);
      if (!found.ok) return found;
      const token = found.value.begun?.token ?? found.value.published?.token;
      if (token === undefined) return succeed({ ...known, state: "none" });
      const read = await zfs.readResumeToken(token);
      return succeed({ ...known, state: "broken", token, bytes: read.ok ? read.value.bytes : undefined });
    },
  };
}
