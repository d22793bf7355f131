import type { ComponentId, SnapshotName } from "./names.js";

/** What an image's bytes must be, as they are transferred, gzipped or not. What is left out is not asked for. */
export interface ImageExpectation {
  /** Their SHA-256, in hex. */
  readonly digest?: string;
  /** How many there are. */
  readonly size?: number;
}

/** The snapshot that a layered image builds on: one of another image of the same pool. */
export interface RequestedOrigin {
  readonly image: ComponentId;
  /** Undefined: the one that is cloned for disks. */
  readonly snapshot?: SnapshotName;
}

export interface ImageRequest extends ImageExpectation {
  readonly id: ComponentId;
  readonly type: string;
  readonly source: string;
  /** Instead of `source`: several, in the order in which they are tried. */
  readonly sources?: readonly string[];
  /** Undefined: the image is whole. */
  readonly origin?: RequestedOrigin;
}
