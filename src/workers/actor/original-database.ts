import { copyFileSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readObject, string, struct, uint64 } from "../../protocol/json-rpc/params.js";
import { isWithin, type PoolName, parseComponentId, resolveName } from "../../protocol/storage/names.js";
import type { CompleteImage } from "../../protocol/storage/records.js";
import { bytesFromMib, MAX_VOLUME_BYTES, mib } from "../../protocol/storage/units.js";
import { openSqlite } from "../sqlite/sqlite-file.js";

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
  /** Rows that are no usable image of this pool, with the reason. */
  readonly skipped: readonly { readonly key: string; readonly reason: string }[];
}

/**
 * Reads the database of mistify-agent-image: table `mistify-agent-image` (key,
 * bucket, value), bucket `images`, value = the Image as JSON.
 * @returns undefined when there is no such file. Rejects when it can't be read.
 */
export async function readOriginal(path: string, pool: PoolName): Promise<OriginalImages | undefined> {
  if (!existsSync(path)) return undefined;
  // A journal left by a crash can only be played back by writing: into a copy, not into another's file.
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
      const image = imageOf(String(row.value), pool);
      if (typeof image === "string") skipped.push({ key: String(row.key), reason: image });
      else images.push(image);
    }
    return { images, skipped };
  } finally {
    await database.close();
  }
}

/** @returns the record, or why there is none. */
function imageOf(text: string, pool: PoolName): CompleteImage | string {
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
