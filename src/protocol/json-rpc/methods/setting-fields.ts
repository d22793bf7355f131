import { type FailedOutcome, fail, type Outcome, succeed, tellAbout } from "../../storage/failures.js";
import type { TagFilter } from "../../storage/operations.js";
import {
  isPropertyText,
  MAX_PROPERTY_CHARACTERS,
  type NewVolumeSettings,
  OWN_TAGS,
  type SettingChanges,
  SYNC_WORDS,
} from "../../storage/volume-settings.js";
import { boolean, mapOf, optional, string, uint64 } from "../params.js";

/** The members of a request that say what a new volume is to be. */
export const newVolumeFields = { volblocksize: uint64, provisioning: string, tags: optional(mapOf(string)) };
/** The members of a request that change settings of a volume. */
export const settingFields = {
  compression: string,
  sync: string,
  readonly: optional(boolean),
  provisioning: string,
  tags: optional(mapOf(string)),
};

interface TagFields {
  readonly provisioning: string;
  readonly tags: ReadonlyMap<string, string> | undefined;
}

/** Source: zfsprops(7); what 2.1 knows too. */
const COMPRESSION = /^(?:on|off|lzjb|zle|lz4|gzip(?:-[1-9])?|zstd(?:-(?:1?[1-9]|1\d))?|zstd-fast)$/;
const TAG_NAME = /^[a-z0-9][a-z0-9._-]{0,99}$/;
const MOST_TAGS = 32;
/** Bytes. Larger blocks need a feature of the pool, and streams of them one of their receiver. */
const SMALLEST_BLOCK = 4096n;
const LARGEST_BLOCK = 131_072n;

function invalid(field: string, wanted: string): FailedOutcome {
  return tellAbout(fail("request.invalid", `${field}: expected ${wanted}`), { field });
}

function tagProblem(name: string, value: string): FailedOutcome | undefined {
  if (!TAG_NAME.test(name)) {
    return invalid(
      "tags",
      "names of 1 to 100 lower-case letters, digits and .-_, which begin with one of the first two",
    );
  }
  if (isPropertyText(value)) return undefined;
  return invalid(`tags.${name}`, `at most ${MAX_PROPERTY_CHARACTERS} printable characters`);
}

function readTags(tags: TagFields["tags"]): Outcome<Readonly<Record<string, string>> | undefined> {
  if (tags === undefined) return succeed(undefined);
  if (tags.size > MOST_TAGS) return invalid("tags", `at most ${MOST_TAGS} tags in a request`);
  for (const [name, value] of tags) {
    if (name.startsWith(OWN_TAGS)) return invalid("tags", `names that do not begin with ${OWN_TAGS}`);
    const problem = tagProblem(name, value);
    if (problem) return problem;
  }
  return succeed(Object.fromEntries(tags));
}

/** What both kinds of requests have. Fails: request.invalid. */
function readShared({ provisioning, tags }: TagFields): Outcome<Pick<SettingChanges, "isThick" | "tags">> {
  if (!["", "thick", "thin"].includes(provisioning)) return invalid("provisioning", "thick or thin");
  const read = readTags(tags);
  if (!read.ok) return read;
  return succeed({ isThick: provisioning === "" ? undefined : provisioning === "thick", tags: read.value });
}

/** @returns undefined if the request says nothing of them. Fails: request.invalid. */
export function readNewVolume({
  volblocksize,
  ...request
}: TagFields & { readonly volblocksize: bigint }): Outcome<NewVolumeSettings | undefined> {
  const shared = readShared(request);
  if (!shared.ok) return shared;
  const isPowerOfTwo = (volblocksize & (volblocksize - 1n)) === 0n;
  const isBlock = isPowerOfTwo && volblocksize >= SMALLEST_BLOCK && volblocksize <= LARGEST_BLOCK;
  if (volblocksize !== 0n && !isBlock) {
    return invalid("volblocksize", `a power of two from ${SMALLEST_BLOCK} to ${LARGEST_BLOCK}, in bytes`);
  }
  const { isThick, tags } = shared.value;
  if (volblocksize === 0n && isThick === undefined && tags === undefined) return succeed(undefined);
  return succeed({ volblocksize: volblocksize === 0n ? undefined : Number(volblocksize), isThick, tags });
}

interface SettingRequest extends TagFields {
  readonly compression: string;
  readonly sync: string;
  readonly readonly: boolean | undefined;
}

/** Fails: request.invalid; request.missing_field if the request changes nothing. */
export function readSettings({
  compression,
  sync,
  readonly,
  ...request
}: SettingRequest): Outcome<SettingChanges> {
  if (compression !== "" && !COMPRESSION.test(compression)) {
    return invalid("compression", "on, off, lz4, zstd, zstd-N, gzip, gzip-N, zle or lzjb");
  }
  if (sync !== "" && !SYNC_WORDS.some((word) => word === sync)) return invalid("sync", SYNC_WORDS.join(", "));
  const shared = readShared(request);
  if (!shared.ok) return shared;
  const texts = { compression: compression || undefined, sync: sync || undefined };
  const changes: SettingChanges = { ...texts, readonly, ...shared.value };
  if (Object.values(changes).some((change) => change !== undefined)) return succeed(changes);
  const wanted = "compression, sync, readonly, provisioning or tags";
  return tellAbout(fail("request.missing_field", "need a property to set"), { wanted });
}

/** Reads `owner`, or `owner=ada`. @returns undefined for "". Fails: request.invalid. */
export function readTagFilter(text: string): Outcome<TagFilter | undefined> {
  if (text === "") return succeed(undefined);
  const at = text.indexOf("=");
  const name = at < 0 ? text : text.slice(0, at);
  const problem = tagProblem(name, "");
  if (problem) return invalid("tag", "the name of a tag, or NAME=VALUE");
  return succeed(at < 0 ? { name } : { name, value: text.slice(at + 1) });
}
