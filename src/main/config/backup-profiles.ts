import { z } from "zod";
import type { BackupProfile } from "../../protocol/storage/backup-profile.js";

const MIB = 1024 * 1024;
const HOUR_MS = 60 * 60 * 1000;
const DAY_MS = 24 * HOUR_MS;

/** A URL of a store: its name alone, as keys are in files and buckets have a setting. */
function isEndpoint(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password, pathname, search, hash } = new URL(text);
  return /^https?:$/.test(protocol) && [username, password, search, hash].join("") === "" && pathname === "/";
}

const profile = z.strictObject({
  endpoint: z.string().refine(isEndpoint, "must be an http or https URL of a host, without a path or a user"),
  region: z.string().min(1).default("us-east-1"),
  bucket: z.string().regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, "must be the name of a bucket"),
  prefix: z
    .string()
    .regex(/^(?:[A-Za-z0-9_.-]+(?:\/[A-Za-z0-9_.-]+)*)?$/, "must be names with slashes between them")
    .default(""),
  accessKeyFile: z.string().min(1),
  secretKeyFile: z.string().min(1),
  /** Buckets in the names of hosts need DNS for them: few stores of one's own have that. */
  pathStyle: z.boolean().default(true),
  caFile: z.string().min(1).optional(),
  /** Of X25519, which `age-keygen` makes. */
  recipients: z
    .array(z.string().regex(/^age1[02-9ac-hj-np-z]{58}$/, "must be a public key of age, age1…"))
    .max(16)
    .default([]),
  identityFile: z.string().min(1).optional(),
  fullEvery: z.int().min(0).max(1_000).default(30),
  /** S3 takes no smaller ones. */
  partBytes: z
    .int()
    .min(5 * MIB)
    .max(512 * MIB)
    .default(16 * MIB),
  abandonedMs: z
    .int()
    .min(HOUR_MS)
    .max(365 * DAY_MS)
    .default(3 * DAY_MS),
}) satisfies z.ZodType<BackupProfile>;

/** By their names, which are parts of the names of bookmarks. */
export const backupProfiles = z.record(
  z.string().regex(/^[A-Za-z0-9_.]{1,32}$/, "a profile's name has letters, digits, _ and . only"),
  profile,
);
