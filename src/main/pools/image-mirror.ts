import {
  type ImageChange,
  type ImageSelection,
  type KnownImages,
  listImages,
} from "../../protocol/storage/known-images.js";
import { isWholeList } from "../../protocol/storage/page.js";
import type { CompleteImage, ImageRecord } from "../../protocol/storage/records.js";

/** A copy of an actor's images. Each change that the actor sends is applied to it. */
export interface ImageMirror {
  apply(change: ImageChange): void;
  /** Undefined until the actor has sent all images. */
  readonly known: KnownImages | undefined;
  /** How many images are complete, and how many are fetched or wait for it. Undefined until then too. */
  readonly counts: { readonly complete: number; readonly pending: number } | undefined;
  /** The images that an operation asks for; the same list until one of them changes. Undefined as `known`. */
  list(selection: ImageSelection): readonly ImageRecord[] | undefined;
}

/** A longer list is made anew for each who asks, since its text, which is kept with it, takes memory. */
const MOST_KEPT = 1_000;

export function createImageMirror(): ImageMirror {
  const images = new Map<string, CompleteImage>();
  const fetching = new Set<string>();
  /** Set by the change `all`, which comes first. */
  let isComplete = false;
  const known: KnownImages = { images, fetching };
  /** The last whole list that was asked for, unless an image has changed since, and its type. */
  let last: { readonly type: string; readonly list: readonly ImageRecord[] } | undefined;
  return {
    get known() {
      return isComplete ? known : undefined;
    },
    get counts() {
      return isComplete ? { complete: images.size, pending: fetching.size } : undefined;
    },
    list: (selection) => {
      if (!isComplete) return undefined;
      if (!isWholeList(selection)) return listImages(known, selection);
      const { type } = selection;
      if (last?.type === type) return last.list;
      const list = listImages(known, selection);
      last = list.length > MOST_KEPT ? undefined : { type, list };
      return list;
    },
    apply: (change) => {
      last = undefined;
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
