import { createHash } from "node:crypto";
import { z } from "zod";
import { fail, type Outcome, succeed } from "../storage/failures.js";
import { type BackupPlace, backupIdOf } from "./object-names.js";

const guid = z.string().regex(/^\d{1,20}$/);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const bytes = z.int().min(0);
const text = z.string().max(1024);

const body = z.strictObject({
  format: z.literal(1),
  guids: z.strictObject({ pool: guid, dataset: guid, from: guid.nullable(), to: guid }),
  /** As they were when the backup was taken. `from`: of the snapshot that it builds on. */
  names: z.strictObject({ pool: text, dataset: text, from: text.nullable(), to: text }),
  /** `created`: of the snapshot. `taken`: of the backup. RFC 3339. */
  times: z.strictObject({ created: text, taken: text }),
  /** `createtxg` of the snapshot: that of an older one of the same pool is smaller. */
  txg: guid,
  bytes,
  sha256,
  /** In their order; together they are the whole. */
  parts: z.array(z.strictObject({ bytes, sha256 })).max(10_000),
  /** The flags of `zfs send`. */
  flags: z.array(text),
  /** Bytes of the volume, as text: it may be more than a number has. */
  volsize: guid,
  /** The snapshot that the volume is a clone of, if it is one. */
  image: text.nullable(),
  /** The id of the backup that this one builds on; null for a full one. */
  parent: text.nullable(),
  /**
   * Of an encrypted backup: how, and what the stream was before. `bytes`, `sha256` and `parts` above are of what is
   * stored.
   */
  encryption: z.strictObject({ scheme: z.literal("age"), bytes, sha256 }).optional(),
});

/**
 * What is written beside a backup when all its bytes are there: its presence is the commit. It has a digest of
 * itself, so that what was flipped or cut in it is seen.
 */
export type Manifest = z.output<typeof body>;

const file = z.strictObject({ sha256, backup: body });

/** The least that one can be, and the most, bytes: 10,000 parts with their digests are 1 MB. */
export const MOST_MANIFEST_BYTES = 4 * 1024 * 1024;

/** Of the members in the order of the schema, in which they are after a parse too. */
const digestOf = (manifest: Manifest) =>
  createHash("sha256")
    .update(JSON.stringify(body.parse(manifest)))
    .digest("hex");

export function placeOf({ guids }: Pick<Manifest, "guids">): BackupPlace {
  const { pool: poolGuid, dataset: datasetGuid, from, to: toGuid } = guids;
  return { poolGuid, datasetGuid, fromGuid: from ?? undefined, toGuid };
}

export function writeManifest(manifest: Manifest): string {
  const backup = body.parse(manifest);
  return JSON.stringify({ sha256: digestOf(backup), backup });
}

/** Reads the manifest of backup `id`. Fails: backup.damaged, without the object's name. */
export function parseManifest(id: string, written: string): Outcome<Manifest> {
  const damaged = (what: string) => fail("backup.damaged", what);
  let value: unknown;
  try {
    value = JSON.parse(written);
  } catch {
    return damaged("it is no JSON");
  }
  const parsed = file.safeParse(value);
  if (!parsed.success) return damaged("it is no manifest of a backup");
  const { sha256: stated, backup } = parsed.data;
  if (digestOf(backup) !== stated) return damaged("its digest is not that of its content");
  if (backupIdOf(placeOf(backup)) !== id) return damaged("it is of another backup");
  // Not a byte differs from what is written of it.
  if (writeManifest(backup) !== written) return damaged("it was changed");
  const sum = backup.parts.reduce((total, part) => total + part.bytes, 0);
  return sum === backup.bytes ? succeed(backup) : damaged("its parts are not its whole");
}
