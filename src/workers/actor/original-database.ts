import { copyFileSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readObject, string, struct, uint64 } from "../../protocol/json-rpc/params.js";
import { isWithin, type PoolName, parseComponentId, resolveName } from "../../protocol/storage/names.js";
import type { CompleteImage } from "../../protocol/storage/records.js";
import { bytesFromMib, MAX_VOLUME_BYTES, mib } from "../../protocol/storage/units.js";
import { openSqlite } from "../sqlite/open-sqlite.js";

/** An Image as the original writes it. */
const originalImage = struct({
  id: string,
  type: string,
  volume: string,
  snapshot: string,
  size: uint64,
  status: string,
});

export interface OriginalImages {
  readonly images: readonly CompleteImage[];
  /** Keys of the rows that can't become an image of this pool, with the reason. */
  readonly skipped: readonly { readonly key: string; readonly reason: string }[];
}

/**
 * Reads the database of mistify-agent-image, the original. Its table `mistify-agent-image` has the
 * columns key, bucket and value; the rows of the bucket `images` have an Image as JSON.
 * @returns undefined if there is no file. Rejects if it can't be read.
 */
export async function readOriginalImages(path: string, pool: PoolName): Promise<OriginalImages | undefined> {
  if (!existsSync(path)) return undefined;
  // A crash may have left a journal. SQLite plays it back by writing, which must not change the
  // original's file: so a copy is opened.
  const journals = ["-journal", "-wal"].filter((suffix) => existsSync(path + suffix));
  const scratch = mkdtempSync(join(tmpdir(), "imagestore-original-"));
  try {
    const copy = join(scratch, "images.db");
    for (const suffix of ["", ...journals]) copyFileSync(path + suffix, copy + suffix);
    return await readCopy(copy, pool);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function readCopy(path: string, pool: PoolName): Promise<OriginalImages> {
  const database = await openSqlite(path);
  try {
    const rows = await database.all(
      `SELECT key, CAST(value AS TEXT) AS value FROM "mistify-agent-image" WHERE bucket = 'images'`,
    );
    const images: CompleteImage[] = [];
    const skipped: { key: string; reason: string }[] = [];
    for (const row of rows) {
      const image = parseImage(String(row.value), pool);
      if (typeof image === "string") skipped.push({ key: String(row.key), reason: image });
      else images.push(image);
    }
    return { images, skipped };
  } finally {
    await database.close();
  }
}

/** @returns the record, or a text that says why the Image can't become one. */
function parseImage(text: string, pool: PoolName): CompleteImage | string {
  const read = readObject(originalImage, "Image", text);
  if (!read.ok) return read.failure.message;
  const { id, type, volume, snapshot, size, status } = read.value;
  if (status !== "complete") return `status is ${JSON.stringify(status)}`;
  const bytes = bytesFromMib(mib(size));
  if (bytes > MAX_VOLUME_BYTES) return `size is ${size} MiB`;
  const checked = parseComponentId(id);
  if (!checked.ok) return checked.failure.message;
  const scope = { pools: [pool], pool };
  const name = resolveName(scope, snapshot);
  if (!name.ok || name.value.snapshot === undefined) return `snapshot is ${JSON.stringify(snapshot)}`;
  if (name.value.dataset !== volume || !isWithin(volume, pool)) return `volume is ${JSON.stringify(volume)}`;
  return {
    id,
    type,
    volume: name.value.dataset,
    snapshot: name.value.snapshot,
    size: bytes,
    status: "complete",
  };
}
