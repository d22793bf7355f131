import { failed, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import { datasetOf } from "../../../protocol/storage/names.js";
import type { Ask, OperationHandlers } from "../../../protocol/storage/operations.js";
import type { CompleteImage } from "../../../protocol/storage/records.js";
import type { ActorContext } from "./context.js";
import { emptyTrash } from "./image-trash.js";

/** After these an image is kept: it is used, or was destroyed by others. */
const KEPT: readonly string[] = ["dataset.has_clones", "snapshot.held", "dataset.busy", "image.not_found"];

export function imagePruning(context: ActorContext): Pick<OperationHandlers, "PruneImages"> {
  const { zfs, locks, records, log } = context;

  /** Deletes an image that is due, unless it was used meanwhile. Fails with one of KEPT, or as Zfs.destroy does. */
  function prune(image: CompleteImage, isDue: (image: CompleteImage) => boolean): Promise<Outcome<null>> {
    return locks.with([{ name: image.volume, mode: "tree" }], async (): Promise<Outcome<null>> => {
      if (records.images.get(image.id) !== image || !isDue(image)) return failed.imageNotFound;
      const destroyed = await zfs.destroy(image.volume, true);
      const isGone = !destroyed.ok && destroyed.failure.code === "dataset.not_found";
      if (destroyed.ok || isGone) await records.dropImage(image.id);
      return isGone ? failed.imageNotFound : destroyed;
    });
  }

  /** Which images are as old, and for as long not used, as is asked for. */
  async function findDue({
    olderThanSeconds,
    unusedForSeconds,
    type,
  }: Ask<"PruneImages">): Promise<Outcome<(image: CompleteImage) => boolean>> {
    const listed = await zfs.listImages();
    if (!listed.ok) return listed;
    const created = new Map<string, number>(listed.value.map((info) => [info.name, info.created]));
    return succeed((image: CompleteImage) => {
      const nowSeconds = Date.now() / 1_000;
      const madeAt = created.get(image.volume);
      const usedAt = records.lastUse(image.id);
      if (madeAt === undefined || usedAt === undefined) return false;
      const isOld = nowSeconds - madeAt >= olderThanSeconds;
      const isUnused = nowSeconds - usedAt / 1_000 >= unusedForSeconds;
      return isOld && isUnused && (type === "" || image.type === type);
    });
  }

  return {
    async PruneImages(ask) {
      const due = await findDue(ask);
      if (!due.ok) return due;
      const pruned: CompleteImage[] = [];
      const images = [...records.images.values()];
      // What layered images build on stays, as other origins do, also where those go now: as a dry run says it.
      const origins = new Set(
        images.flatMap(({ origin }) => (origin === undefined ? [] : datasetOf(origin))),
      );
      for (const image of images.filter((each) => !origins.has(each.volume) && due.value(each))) {
        const outcome = await prune(image, due.value);
        if (outcome.ok) {
          pruned.push(image);
          log.info("an image was pruned", { image: image.id });
        } else if (!KEPT.includes(outcome.failure.code)) {
          const { message } = outcome.failure;
          const gone =
            pruned.length === 0 ? "" : `; deleted already: ${pruned.map(({ id }) => id).join(", ")}`;
          return { ok: false, failure: { ...outcome.failure, message: `${message}${gone}` } };
        }
      }
      if (pruned.length > 0) await emptyTrash(context);
      return succeed(pruned);
    },
  };
}
