import { createHash } from "node:crypto";
import { type StoredImage, statVersion } from "./image-folder.js";

/** The SHA-256 of files, computed once for each version of a file, in base64. */
export interface Digests {
  /** Rejects when the file can't be read, or changes meanwhile. */
  sha256(image: StoredImage): Promise<string>;
  /** The digest if it is known by now. */
  known(image: Pick<StoredImage, "path" | "version">): string | undefined;
}

const READ_BYTES = 1024 * 1024;

async function computed({ handle, path, version }: StoredImage, signal: AbortSignal): Promise<string> {
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

/** Keeps a digest for each path, of its latest version. `signal` ends what is under way. */
export function createDigests(signal: AbortSignal): Digests {
  const kept = new Map<string, { version: string; promise: Promise<string>; value?: string }>();
  return {
    sha256: (image) => {
      const found = kept.get(image.path);
      if (found?.version === image.version) return found.promise;
      const promise = computed(image, signal);
      const entry: { version: string; promise: Promise<string>; value?: string } = {
        version: image.version,
        promise,
      };
      kept.set(image.path, entry);
      promise.then(
        (value) => {
          entry.value = value;
        },
        () => {
          if (kept.get(image.path) === entry) kept.delete(image.path);
        },
      );
      return promise;
    },
    known: ({ path, version }) => {
      const found = kept.get(path);
      return found?.version === version ? found.value : undefined;
    },
  };
}
