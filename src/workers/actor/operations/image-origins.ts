import {
  type FailedOutcome,
  type FailureCode,
  fail,
  type Outcome,
  succeed,
  tellAbout,
} from "../../../protocol/storage/failures.js";
import type { RequestedOrigin } from "../../../protocol/storage/image-request.js";
import type { CompleteImage } from "../../../protocol/storage/records.js";
import type { KnownSnapshot } from "../../drivers/transfers-of-driver.js";
import type { FetchQueue } from "../fetch-queue.js";
import type { HoldRecord } from "../record-file.js";
import type { ActorContext } from "./context.js";
import type { Holds } from "./holds.js";
import { emptyTrash } from "./image-trash.js";
import { getCompleteImage } from "./present-images.js";

/** What keeps the snapshots that layered images build on, while these are fetched. */
export interface OriginHolds {
  readonly holds: Pick<Holds, "acquire" | "release">;
  /** Is given a hold that could not be released. */
  releaseLater(hold: HoldRecord): void;
}

interface HeldOrigin {
  readonly base: KnownSnapshot;
  readonly holds: readonly HoldRecord[];
}

function refuse(code: FailureCode, what: string, origin: RequestedOrigin): FailedOutcome {
  return tellAbout(fail(code, `origin: ${what}`), { object: `image ${origin.image}`, field: "origin" });
}

/**
 * Holds the snapshot that a layered image builds on while `work` runs, which is given nothing where the image is whole.
 * Takes the lock for the hold alone.
 * Fails: image.not_found, dataset.busy (the other image is being fetched), dataset.not_found (the snapshot), and
 * as holds do.
 */
export async function withOrigin<T>(
  context: ActorContext,
  fetches: FetchQueue<CompleteImage>,
  { holds, releaseLater }: OriginHolds,
  origin: RequestedOrigin | undefined,
  work: (base: KnownSnapshot | undefined) => Promise<Outcome<T>>,
): Promise<Outcome<T>> {
  if (origin === undefined) return work(undefined);
  const held = await hold(origin);
  if (!held.ok) return held;
  try {
    return await work(held.value.base);
  } finally {
    for (const each of held.value.holds) {
      if (!(await holds.release(each.name, each.tag)).ok) releaseLater(each);
    }
    await emptyTrash(context);
  }

  async function hold(wanted: RequestedOrigin): Promise<Outcome<HeldOrigin>> {
    const { zfs, locks, records } = context;
    const image = await getCompleteImage(context, fetches, wanted.image);
    if (!image.ok) {
      const { code, message } = image.failure;
      const isMissing = code === "image.not_found";
      const what = isMissing ? `there is no image ${wanted.image}, request it before` : message;
      return isMissing || code === "dataset.busy" ? refuse(code, what, wanted) : image;
    }
    const { volume, snapshot } = image.value;
    const name = wanted.snapshot ?? snapshot;
    return locks.with([{ name: volume, mode: "part" }], async () => {
      const found = await zfs.find(name);
      if (!found.ok) return found;
      if (found.value === undefined) return refuse("dataset.not_found", `there is no ${name}`, wanted);
      const base = { name, guid: found.value.guid };
      const acquired = await holds.acquire(base);
      if (!acquired.ok) return acquired;
      await records.markUsed(wanted.image);
      return succeed({ base, holds: acquired.value });
    });
  }
}
