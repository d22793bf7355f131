import { createHash } from "node:crypto";
import { type StoredImage, statVersion } from "./image-folder.js";

/** SHA-256 digests of files, in base64. Each version of a file is read only once. */
export interface Digests {
  /** Rejects when the file can't be read, or when it changes during the read. */
  sha256(image: StoredImage): Promise<string>;
  /** The digest, if it has been computed already. */
  known(image: Pick<StoredImage, "path" | "version">): string | undefined;
}

/** The digest of the latest version seen of one file. */
interface DigestEntry {
  readonly version: string;
  readonly promise: Promise<string>;
  /** What `promise` resolved to. Undefined while it is pending. */
  value?: string;
}

const READ_BYTES = 1024 * 1024;

async function computeSha256({ handle, path, version }: StoredImage, signal: AbortSignal): Promise<string> {
  const hash = createHash("sha256");
  const piece = Buffer.allocUnsafe(READ_BYTES);
  for (let offset = 0; ; ) {
    signal.throwIfAborted();
    const { bytesRead } = await handle.read(piece, 0, piece.length, offset);
    if (bytesRead === 0) break;
    hash.update(piece.subarray(0, bytesRead));
    offset += bytesRead;
  }
  const after = await statVersion(handle);
  if (after?.version !== version) throw new Error(`${path} changed while it was read`);
  return hash.digest("base64");
}

/** Keeps one digest per path. `signal` aborts the computations in progress. */
export function createDigests(signal: AbortSignal): Digests {
  const entries = new Map<string, DigestEntry>();
  return {
    sha256: (image) => {
      const found = entries.get(image.path);
      if (found?.version === image.version) return found.promise;
      const promise = computeSha256(image, signal);
      const entry: DigestEntry = { version: image.version, promise };
      entries.set(image.path, entry);
      promise.then(
        (value) => {
          entry.value = value;
        },
        () => {
          // The next caller tries again. A newer version's entry stays.
          if (entries.get(image.path) === entry) entries.delete(image.path);
        },
      );
      return promise;
    },
    known: ({ path, version }) => {
      const found = entries.get(path);
      return found?.version === version ? found.value : undefined;
    },
  };
}
