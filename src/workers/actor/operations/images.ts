import {
  FAILURES,
  type Failure,
  fail,
  failed,
  internalFailure,
  type Outcome,
  succeed,
} from "../../../protocol/storage/failures.js";
import { shownUrl } from "../../../protocol/storage/image-hosts.js";
import type { ImageExpectation, RequestedOrigin } from "../../../protocol/storage/image-request.js";
import { getImage, listImages } from "../../../protocol/storage/known-images.js";
import {
  childOf,
  type DatasetName,
  MAX_NAME_BYTES,
  renamedSnapshot,
  type SnapshotName,
  snapshotNameOf,
} from "../../../protocol/storage/names.js";
import type {
  Ask,
  FetchOrder,
  FetchOutcome,
  FetchSpent,
  ImageSource,
  OperationHandlers,
} from "../../../protocol/storage/operations.js";
import { partialOf } from "../../../protocol/storage/partial-name.js";
import type { CompleteImage, ImageRecord } from "../../../protocol/storage/records.js";
import type { DatasetInfo } from "../../drivers/driver.js";
import type { KnownSnapshot } from "../../drivers/transfers-of-driver.js";
import type { LockRequest } from "../dataset-locks.js";
import type { FetchQueue } from "../fetch-queue.js";
import { type ImageServiceSettings, imageUrl } from "../image-url.js";
import { removeLeftover, renameReceived } from "../partial-receive.js";
import { cloneVolume } from "./cloned-volume.js";
import type { ActorContext } from "./context.js";
import { type OriginHolds, withOrigin } from "./image-origins.js";
import { restoreFromTrash } from "./image-restoring.js";
import { emptyTrash, listTrash, putInTrash } from "./image-trash.js";
import { failPending, findImage, forgetLostImages, getCompleteImage, originIn } from "./present-images.js";

type ImageOperations = Pick<
  OperationHandlers,
  "ListImages" | "GetImage" | "RequestImage" | "DeleteImage" | "RestoreImage" | "CloneImage"
>;

/** The name of a snapshot once it is one of `volume`. */
function snapshotIn(volume: DatasetName, snapshot: DatasetInfo): SnapshotName {
  return renamedSnapshot(snapshotNameOf(snapshot), volume);
}

/** Where an image comes from, and what it becomes. */
interface FetchPlan {
  readonly sources: readonly ImageSource[];
  readonly partial: DatasetName;
  readonly volume: DatasetName;
  /** What it builds on. */
  readonly base: KnownSnapshot | undefined;
}

function expectationOf({ digest, size }: ImageExpectation): ImageExpectation {
  return { ...(digest !== undefined && { digest }), ...(size !== undefined && { size }) };
}

function added({ requests, bytes }: FetchSpent, fetched: FetchOutcome): FetchSpent {
  const more = fetched.ok
    ? { requests: 1, bytes: fetched.value.receivedBytes }
    : (fetched.spent ?? { requests: 1, bytes: 0 });
  return { requests: requests + more.requests, bytes: bytes + more.bytes };
}

/** Why no source had the image: one reason that a repeat may mend, if there is any, and all of them as its detail. */
function failureOfAll(failures: readonly Failure[]): Failure {
  const failure = failures.find(({ code }) => FAILURES[code].retryable) ?? failures.at(-1);
  if (!failure) return internalFailure(new Error("no source")).failure;
  if (failures.length === 1) return failure;
  const reasons = failures.map(({ code, message }) => `${code}: ${message}`);
  return { ...failure, detail: `none of ${failures.length} sources: ${reasons.join("; ")}` };
}

export function imageOperations(
  context: ActorContext,
  fetches: FetchQueue<CompleteImage>,
  service: ImageServiceSettings,
  originHolds: OriginHolds,
): ImageOperations {
  const { pool, zfs, locks, records, log, runId } = context;
  const known = { images: records.images, fetching: fetches };

  /** Checks what a fetch has received, renames it to its final name and records it. Both names must be locked. */
  async function publish(
    { id, type, origin }: Ask<"RequestImage">,
    partial: DatasetName,
    volume: DatasetName,
  ): Promise<Outcome<CompleteImage>> {
    const finished = await zfs.finishReceive(partial);
    if (!finished.ok) return finished;
    const snapshots = await zfs.snapshotsOf(partial);
    if (!snapshots.ok) return snapshots;
    const oldest = snapshots.value[0];
    if (!oldest) return fail("image.bad_stream", "no usable image: its stream holds no snapshot");
    // Only snapshots of volumes have a size.
    if (oldest.volsize === 0n) return fail("image.bad_stream", "no usable image: its stream holds no volume");
    // Its origin may have another name by now.
    const received = origin ? await zfs.find(partial) : succeed(undefined);
    if (!received.ok) return received;
    const renamed = await renameReceived(zfs, oldest, { from: partial, to: volume });
    if (!renamed.ok) return renamed;
    // The record is written under the lock, so that the next DeleteImage finds it.
    return recordImage({ id, type, volume, ...(received.value && originIn(received.value)) }, oldest);
  }

  async function recordImage(
    about: Pick<CompleteImage, "id" | "type" | "volume" | "origin">,
    oldest: DatasetInfo,
  ): Promise<Outcome<CompleteImage>> {
    const snapshot = snapshotIn(about.volume, oldest);
    const image: CompleteImage = { ...about, snapshot, size: oldest.volsize, status: "complete" };
    await records.putImage(image);
    return succeed(image);
  }

  /**
   * Records a volume that was put into POOL/images since the start, and not by us.
   * @returns undefined if there is no such dataset. Fails: dataset.exists if the dataset is no image.
   */
  async function adopt(
    id: string,
    type: string,
    volume: DatasetName,
  ): Promise<Outcome<CompleteImage | undefined>> {
    return locks.with([{ name: volume, mode: "one" }], async () => {
      const found = await zfs.find(volume);
      if (!found.ok) return found;
      if (found.value === undefined) return succeed(undefined);
      const snapshots = found.value.type === "volume" ? await zfs.snapshotsOf(volume) : succeed([]);
      if (!snapshots.ok) return snapshots;
      const oldest = snapshots.value[0];
      if (!oldest) return fail("dataset.exists", `${volume} exists but is no image: it has no snapshot`);
      log.info("an image that others made is adopted", { image: id });
      return recordImage({ id, type, volume, ...originIn(found.value) }, oldest);
    });
  }

  /** Fetches an image unless it is there. `cancelled` ends that. */
  async function fetchImage(
    ask: Ask<"RequestImage">,
    cancelled: AbortSignal,
  ): Promise<Outcome<CompleteImage>> {
    const { id, type, origin } = ask;
    const partial = partialOf(pool, id);
    if (partial.length > MAX_NAME_BYTES) return fail("name.invalid", "invalid id: too long for this pool");
    const volume = childOf(pool, `images/${id}`);
    // Usually neither exists. If one does, it is looked up again under its lock.
    const [existing, leftover] = await Promise.all([zfs.find(volume), zfs.find(partial)]);
    if (!existing.ok) return existing;
    if (!leftover.ok) return leftover;
    const adopted = existing.value ? await adopt(id, type, volume) : succeed(undefined);
    if (!adopted.ok) return adopted;
    if (adopted.value) return succeed(adopted.value);
    return withOrigin(context, fetches, originHolds, origin, async (base) => {
      const sources = await sourcesOf(ask);
      if (!sources.ok) return sources;
      if (leftover.value) {
        const tree = { name: partial, mode: "tree" } as const;
        const removed = await locks.with([tree], () => removeLeftover(zfs, pool, partial));
        if (!removed.ok) return removed;
      }
      return fetchFrom(ask, { sources: sources.value, partial, volume, base }, cancelled);
    });
  }

  /** Tries the sources of an image one after the other. */
  async function fetchFrom(
    ask: Ask<"RequestImage">,
    { sources, partial, volume, base }: FetchPlan,
    cancelled: AbortSignal,
  ): Promise<Outcome<CompleteImage>> {
    const expected = expectationOf(ask);
    const failures: Failure[] = [];
    let spent: FetchSpent = { requests: 0, bytes: 0 };
    for (const [at, source] of sources.entries()) {
      const marks = {
        "imagestore:fetch": runId,
        "imagestore:type": ask.type,
        "imagestore:source": shownUrl(source.url),
        ...(expected.digest === undefined ? {} : { "imagestore:digest": `sha256:${expected.digest}` }),
      };
      // No lock during the transfer, which may take hours: all changes above it would wait. The
      // queue lets one fetch of an image run at a time, and no request can name the partial.
      const command = zfs.receiveCommand(partial, marks, { origin: base?.name });
      const others = expected.digest === undefined ? [] : sources.slice(at + 1);
      const order: FetchOrder = {
        ...{ ...source, ...expected, target: partial, command },
        ...(base && { allows: { origin: { name: base.name, guid: base.guid } } }),
        ...(others.length > 0 && { alternates: others }),
        ...(at > 0 && { spent }),
      };
      const fetched: FetchOutcome = await context.fetch(order, cancelled).catch(internalFailure);
      const both = [partial, volume].map((name): LockRequest => ({ name, mode: "tree" }));
      const published = await locks.with(both, async () => {
        const publishing = fetched.ok ? publish(ask, partial, volume) : Promise.resolve(fetched);
        // An exception leaves a partial as a failure does.
        const outcome = await publishing.catch(internalFailure);
        if (!outcome.ok) await removePartial(partial);
        return outcome;
      });
      if (published.ok || !published.failure.code.startsWith("image.")) return published;
      failures.push(published.failure);
      spent = added(spent, fetched);
    }
    return { ok: false, failure: failureOfAll(failures) };
  }

  /** Where a request wants its image from. Fails as imageUrl does, for any of several sources. */
  async function sourcesOf({ id, source, sources }: Ask<"RequestImage">): Promise<Outcome<ImageSource[]>> {
    const found: ImageSource[] = [];
    for (const each of sources ?? [source]) {
      const from = await imageUrl(service, id, each);
      if (!from.ok) return from;
      found.push(from.value);
    }
    return succeed(found);
  }

  /** What an origin is called, also where a request does not name its snapshot. */
  function nameOf({ image, snapshot }: RequestedOrigin): string {
    return snapshot ?? records.images.get(image)?.snapshot ?? image;
  }

  /** Destroys what a failed fetch has received. Logs if it can't: the fetch has failed already. */
  async function removePartial(partial: DatasetName): Promise<void> {
    const removed = await zfs.destroy(partial, true);
    if (removed.ok || removed.failure.code === "dataset.not_found") return;
    log.warn("a partial receive could not be removed; the next fetch of it or start tries again", {
      dataset: partial,
      ...removed.failure,
    });
  }

  return {
    ListImages: async ({ trash, ...ask }) =>
      trash ? listTrash(context, ask) : succeed(listImages(known, ask)),

    GetImage: async ({ id }) => getImage(known, id),

    async RequestImage(ask) {
      const { id, caller } = ask;
      // Without a record the image is pending at once, before any look.
      const image = records.images.has(id) ? await findImage(context, id) : succeed(undefined);
      if (!image.ok) return image;
      if (image.value) {
        await records.markUsed(id);
        return succeed(image.value);
      }
      const terms = { ...expectationOf(ask), ...(ask.origin && { origin: nameOf(ask.origin) }) };
      return fetches.request(id, (cancelled) => fetchImage(ask, cancelled), caller, terms);
    },

    async DeleteImage({ id, whenInUse }) {
      if (fetches.has(id)) return failPending(id);
      const image = records.images.get(id);
      if (!image) return failed.imageNotFound;
      const { volume } = image;
      const deleted = await locks.with(
        [{ name: volume, mode: "tree" }],
        async (): Promise<Outcome<ImageRecord>> => {
          // Another call may have deleted it while this call waited for the lock.
          if (records.images.get(id) !== image) return failed.imageNotFound;
          const destroyed = await zfs.destroy(volume, true);
          const hasClones = !destroyed.ok && destroyed.failure.code === "dataset.has_clones";
          const gone = hasClones && whenInUse === "trash" ? await putInTrash(context, image) : destroyed;
          if (!gone.ok && gone.failure.code !== "dataset.not_found") {
            await forgetLostImages(context, volume);
            return gone;
          }
          await records.dropImage(id);
          // Those that build on it say so no more.
          if (hasClones) await forgetLostImages(context, volume);
          return succeed(image);
        },
      );
      // The last clone may have gone just before the image was in the trash, or this was the last of another image.
      if (deleted.ok) await emptyTrash(context);
      return deleted;
    },

    RestoreImage: (ask) => restoreFromTrash(context, fetches, ask),

    async CloneImage({ id, target }) {
      const image = await getCompleteImage(context, fetches, id);
      if (!image.ok) return image;
      await records.markUsed(id);
      return cloneVolume(context, image.value.snapshot, target);
    },
  };
}
