import {
  type FailedOutcome,
  fail,
  failed,
  type Outcome,
  succeed,
} from "../../../protocol/storage/failures.js";
import type { DatasetName, PoolName } from "../../../protocol/storage/names.js";
import { type SettingChanges, TAG_PREFIX, tagsOf } from "../../../protocol/storage/volume-settings.js";
import type { Properties, Zfs } from "../driver.js";
import type { Catalog, CatalogChange, CatalogView } from "./catalog.js";
import type { Volume } from "./dataset.js";
import type { EmbeddedPool } from "./embedded-pool.js";
import { takeCopy } from "./prepared-copies.js";
import { catchStorageErrors } from "./storage-errors.js";

/** The properties with these tags; those with "" go. */
export function withTags(properties: Properties, tags: Readonly<Record<string, string>> = {}): Properties {
  const next = { ...properties };
  for (const [name, value] of Object.entries(tags)) {
    if (value === "") delete next[TAG_PREFIX + name];
    else next[TAG_PREFIX + name] = value;
  }
  return next;
}

/** What keeps a volume from these settings. */
async function findObstacle(
  { catalog, files, accounting }: EmbeddedPool,
  { name, reserved, file, volsize }: Volume,
  { isThick, readonly }: SettingChanges,
  copied: string | undefined,
): Promise<FailedOutcome | undefined> {
  if (readonly === false && catalog.countUsers(file) > 1 && copied !== file) {
    return fail("dataset.busy", `${name} was received anew while its data was copied: try again`);
  }
  if (isThick !== true || reserved) return undefined;
  const unwritten = volsize - files.allocatedNow(file);
  return unwritten > 0n && unwritten > (await accounting.space(unwritten)).available
    ? failed.noSpace
    : undefined;
}

/**
 * Changes settings of a volume, in one commit. Fails: dataset.not_found, dataset.read_only, pool.no_space,
 * request.invalid: a pool in a folder has neither compression nor syncs of its own.
 */
export function changeSettings(
  pool: EmbeddedPool,
  name: DatasetName,
  changes: SettingChanges,
): Promise<Outcome<null>> {
  const messagePrefix = `cannot set properties of '${name}'`;
  const foreign = changes.compression === undefined ? changes.sync && "sync" : "compression";
  return catchStorageErrors(messagePrefix, async () => {
    if (pool.catalog.find(name)?.type !== "volume") return failed.notFound;
    if (foreign) {
      return fail("request.invalid", `${foreign}: an embedded pool leaves this to the file system below it`);
    }
    const own = changes.readonly === false ? await copyOfShared(pool, name) : succeed(undefined);
    if (!own.ok) return own;
    const copy = own.value;
    const decide = async (staged: CatalogView): Promise<Outcome<CatalogChange>> => {
      const volume = staged.find(name);
      if (volume?.type !== "volume") return failed.notFound;
      const obstacle = await findObstacle(pool, volume, changes, copy?.of);
      if (obstacle) return obstacle;
      const { readonly = volume.readonly, isThick: reserved = volume.reserved, tags } = changes;
      const properties = withTags(volume.properties, tags);
      const file = copy && copy.of === volume.file ? copy.file : volume.file;
      return succeed({ put: [{ ...volume, readonly, reserved, properties, file }] });
    };
    const newFiles = copy ? [copy.file] : [];
    const changed = await pool.transactions.run({ messagePrefix, decide, newFiles });
    if (!changed.ok) return changed;
    if (copy) {
      await pool.files.link(name, pool.catalog.find(name)?.file ?? copy.file);
      await pool.transactions.removeUnusedFiles([copy.file]);
    }
    return succeed(null);
  });
}

/**
 * A received volume has the same file as its snapshot: what is written to the one would be in the other too. So before
 * it is writable it gets a copy. Undefined: its file is its own. Fails: pool.no_space.
 */
async function copyOfShared(
  pool: EmbeddedPool,
  name: DatasetName,
): Promise<Outcome<{ readonly of: string; readonly file: string } | undefined>> {
  const volume = pool.catalog.find(name);
  if (!volume || pool.catalog.countUsers(volume.file) < 2) return succeed(undefined);
  const copy = await takeCopy(pool, volume, undefined);
  return copy.ok ? succeed({ of: volume.file, file: copy.value.file }) : copy;
}

/** The room of a pool is counted as a whole. */
export const noQuota = fail(
  "request.invalid",
  "quota: an embedded pool has none for a guest, only quotaBytes for all of it",
);

/** Sets user properties of a volume, in one commit. Fails: dataset.not_found. */
export async function markVolume(
  pool: EmbeddedPool,
  name: DatasetName,
  marks: Properties,
): Promise<Outcome<null>> {
  const marked = await pool.transactions.run({
    messagePrefix: `cannot set properties of '${name}'`,
    decide: (staged): Outcome<CatalogChange> => {
      const volume = staged.find(name);
      if (volume?.type !== "volume") return failed.notFound;
      return succeed({ put: [{ ...volume, properties: { ...volume.properties, ...marks } }] });
    },
  });
  return marked.ok ? succeed(null) : marked;
}

/** The settings of an embedded pool's volumes, from the catalog's memory. */
export function embeddedSettings(
  pool: PoolName,
  catalog: Catalog,
): Pick<Zfs, "isReadonly" | "settingsOf" | "volumesWithTag"> {
  return {
    async isReadonly(name) {
      const volume = catalog.find(name);
      return volume ? succeed(volume.type === "volume" && volume.readonly) : failed.notFound;
    },
    async settingsOf(name) {
      const volume = catalog.find(name);
      if (!volume) return failed.notFound;
      if (volume.type !== "volume") return failed.notVolume;
      const { readonly, reserved: isThick, volblocksize, properties } = volume;
      const tags = tagsOf(Object.entries(properties));
      return succeed({ compression: "off", sync: "standard", readonly, isThick, volblocksize, tags });
    },
    async volumesWithTag(tag) {
      const values = new Map<string, string>();
      for (const { name, properties } of catalog.within(pool, "volume")) {
        const value = properties[TAG_PREFIX + tag];
        if (value !== undefined) values.set(name, value);
      }
      return succeed(values);
    },
  };
}
