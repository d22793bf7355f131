import { failed, type Outcome, succeed } from "./failures.js";
import type { CompleteImage, ImageRecord, PendingImage } from "./records.js";
import { bytes } from "./units.js";

/** All that GetImage and ListImages need to know. */
export interface KnownImages {
  readonly images: ReadonlyMap<string, CompleteImage>;
  /** Ids of images that are being fetched. */
  readonly fetching: { has(id: string): boolean; keys(): Iterable<string> };
}

/**
 * What an actor tells main about its images. News and answers share one order: an answer
 * never arrives before the news that it builds on.
 */
export type ImageNews =
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

/** `type`: only images of that type, "" for all. */
export function listImages({ images, fetching }: KnownImages, type: string): readonly ImageRecord[] {
  const waiting = [...fetching.keys()].filter((id) => !images.has(id)).map(pending);
  const all = [...images.values(), ...waiting];
  return type === "" ? all : all.filter((image) => image.type === type);
}
