import { failed, type Outcome, succeed } from "./failures.js";
import type { ImageRecord } from "./records.js";
import { bytes } from "./units.js";

/** What GetImage and ListImages are answered from: complete images, and ids that are being fetched. */
export interface KnownImages {
  readonly images: ReadonlyMap<string, ImageRecord>;
  readonly fetching: { has(id: string): boolean; keys(): Iterable<string> };
}

/** What an actor tells main of its images, in the order of its answers: an answer never comes before its news. */
export type ImageNews =
  | { readonly all: readonly ImageRecord[] }
  | { readonly put: ImageRecord }
  | { readonly drop: string }
  | { readonly fetching: string }
  | { readonly settled: string };

function pending(id: string): ImageRecord {
  return { id, type: "", size: bytes(0), status: "pending" };
}

/** Fails: image.not_found. */
export function getImage({ images, fetching }: KnownImages, id: string): Outcome<ImageRecord> {
  const image = images.get(id) ?? (fetching.has(id) ? pending(id) : undefined);
  return image ? succeed(image) : failed.imageNotFound;
}

/** `type`: only images of that type, "" for all. */
export function listImages({ images, fetching }: KnownImages, type: string): readonly ImageRecord[] {
  const waiting = [...fetching.keys()].filter((id) => !images.has(id)).map(pending);
  const all = [...images.values(), ...waiting];
  return type === "" ? all : all.filter((image) => image.type === type);
}

/** Another thread's images, as its news tell. */
export interface ImageMirror {
  apply(news: ImageNews): void;
  /** Undefined until everything has been told once. */
  readonly known: KnownImages | undefined;
}

export function createImageMirror(): ImageMirror {
  const images = new Map<string, ImageRecord>();
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
