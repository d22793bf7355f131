import type { ImageChange, KnownImages } from "../../protocol/storage/known-images.js";
import type { CompleteImage } from "../../protocol/storage/records.js";

/** A copy of an actor's images. Each change that the actor sends is applied to it. */
export interface ImageMirror {
  apply(change: ImageChange): void;
  /** Undefined until the actor has sent all images. */
  readonly known: KnownImages | undefined;
  /** How many images are complete, and how many are fetched or wait for it. Undefined until then too. */
  readonly counts: { readonly complete: number; readonly pending: number } | undefined;
}

export function createImageMirror(): ImageMirror {
  const images = new Map<string, CompleteImage>();
  const fetching = new Set<string>();
  /** Set by the change `all`, which comes first. */
  let isComplete = false;
  return {
    get known() {
      return isComplete ? { images, fetching } : undefined;
    },
    get counts() {
      return isComplete ? { complete: images.size, pending: fetching.size } : undefined;
    },
    apply: (change) => {
      if ("all" in change) {
        for (const image of change.all) images.set(image.id, image);
        isComplete = true;
      } else if ("put" in change) images.set(change.put.id, change.put);
      else if ("drop" in change) images.delete(change.drop);
      else if ("fetching" in change) fetching.add(change.fetching);
      else fetching.delete(change.settled);
    },
  };
}
