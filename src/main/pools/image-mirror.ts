import type { ImageNews, KnownImages } from "../../protocol/storage/known-images.js";
import type { CompleteImage } from "../../protocol/storage/records.js";

/** A copy of an actor's images, kept up to date by the actor's news. */
export interface ImageMirror {
  apply(news: ImageNews): void;
  /** Undefined until the actor has sent all its images once. */
  readonly known: KnownImages | undefined;
}

export function createImageMirror(): ImageMirror {
  const images = new Map<string, CompleteImage>();
  const fetching = new Set<string>();
  let isComplete = false;
  return {
    get known() {
      return isComplete ? { images, fetching } : undefined;
    },
    apply: (news) => {
      if ("all" in news) {
        for (const image of news.all) images.set(image.id, image);
        isComplete = true;
      } else if ("put" in news) images.set(news.put.id, news.put);
      else if ("drop" in news) images.delete(news.drop);
      else if ("fetching" in news) fetching.add(news.fetching);
      else fetching.delete(news.settled);
    },
  };
}
