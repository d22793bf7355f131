import { failed, type Outcome, succeed } from "./failures.js";
import { type Page, pageOf } from "./page.js";
import type { CompleteImage, ImageRecord, PendingImage } from "./records.js";
import { bytes } from "./units.js";

/** What GetImage and ListImages are answered from, in the actor and in main. */
export interface KnownImages {
  readonly images: ReadonlyMap<string, CompleteImage>;
  /** Ids of images that are being fetched or wait for it. */
  readonly fetching: { has(id: string): boolean; keys(): Iterable<string> };
}

/**
 * A change of an actor's images, which main applies to its copy. `all` comes first, with every
 * image; `fetching` and `settled` are the ids of fetches. An operation's answer arrives after the
 * changes that the operation has made.
 */
export type ImageChange =
  | { readonly all: readonly CompleteImage[] }
  | { readonly put: CompleteImage }
  | { readonly drop: string }
  | { readonly fetching: string }
  | { readonly settled: string };

function pending(id: string): PendingImage {
  return { id, type: "", size: bytes(0), status: "pending" };
}

/** Fails: image.not_found. */
export function getImage({ images, fetching }: KnownImages, id: string): Outcome<ImageRecord> {
  const image = images.get(id) ?? (fetching.has(id) ? pending(id) : undefined);
  return image ? succeed(image) : failed.imageNotFound;
}

/** `type`: only images of that type; "" for all. */
export interface ImageSelection extends Page {
  readonly type: string;
}

/** The complete images first, then those being fetched. */
export function listImages(
  { images, fetching }: KnownImages,
  selection: ImageSelection,
): readonly ImageRecord[] {
  const { type } = selection;
  const waiting = [...fetching.keys()].filter((id) => !images.has(id)).map(pending);
  const all = [...images.values(), ...waiting];
  const ofType = type === "" ? all : all.filter((image) => image.type === type);
  return pageOf(ofType, ({ id }) => id, selection);
}
