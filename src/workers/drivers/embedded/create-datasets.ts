import { failed, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import type { DatasetName, SnapshotName } from "../../../protocol/storage/names.js";
import type { Bytes } from "../../../protocol/storage/units.js";
import type { NewVolumeSettings } from "../../../protocol/storage/volume-settings.js";
import type { PreparedCopies } from "../driver.js";
import type { CatalogChange, CatalogView } from "./catalog.js";
import { DEFAULT_VOLBLOCKSIZE, missingParents, newFilesystem, newVolume } from "./dataset-rules.js";
import type { EmbeddedPool } from "./embedded-pool.js";
import { takeCopy } from "./prepared-copies.js";
import { catchStorageErrors } from "./storage-errors.js";
import { newFileName } from "./volume-files.js";
import { withTags } from "./volume-tags.js";

/**
 * Creates a filesystem and its missing parents. Succeeds when any dataset of that name exists.
 * Fails: dataset.wrong_type (a parent is no filesystem).
 */
export async function ensureFilesystem(
  { name: pool, transactions }: EmbeddedPool,
  name: DatasetName,
): Promise<Outcome<null>> {
  const created = await transactions.run({
    messagePrefix: `cannot create '${name}'`,
    decide: (staged): Outcome<CatalogChange> => {
      if (staged.find(name)) return succeed({});
      const parents = missingParents(staged, pool, name);
      return parents.ok ? succeed({ put: [...parents.value, newFilesystem(staged, name)] }) : parents;
    },
  });
  return created.ok ? succeed(null) : created;
}

/** Commits a volume whose data is in `file`, and links it. Removes the file unless the volume was added. */
async function addVolume(
  { catalog, files, transactions }: EmbeddedPool,
  name: DatasetName,
  file: string,
  decide: (staged: CatalogView) => Promise<Outcome<CatalogChange>>,
): Promise<Outcome<null>> {
  const added = await transactions.run({
    messagePrefix: `cannot create '${name}'`,
    decide,
    newFiles: [file],
  });
  if (!added.ok) return added;
  // A volume that existed already keeps its own file and link.
  if (catalog.find(name)?.file === file) await files.link(name, file);
  return succeed(null);
}

/**
 * Creates a volume, thick unless `settings` say otherwise, and its missing parents. Succeeds when any
 * dataset of that name exists.
 * Fails: pool.no_space, dataset.wrong_type (a parent is no filesystem).
 */
export function createVolume(
  pool: EmbeddedPool,
  name: DatasetName,
  volsize: Bytes,
  { isThick: reserved = true, volblocksize = DEFAULT_VOLBLOCKSIZE, tags }: NewVolumeSettings = {},
): Promise<Outcome<null>> {
  const { catalog, files, accounting } = pool;
  const properties = withTags({}, tags);
  return catchStorageErrors(`cannot create '${name}'`, async () => {
    if (catalog.find(name)) return succeed(null);
    const hasRoom = async () =>
      reserved
        ? volsize <= (await accounting.space(volsize)).available
        : volsize <= accounting.largestVolume();
    // Before the file too: no file system takes all of the sizes that a request may name.
    if (!(await hasRoom())) return failed.noSpace;
    const file = newFileName();
    await files.create(file, volsize);
    return addVolume(pool, name, file, async (staged) => {
      if (staged.find(name)) return succeed({});
      const parents = missingParents(staged, pool.name, name);
      if (!parents.ok) return parents;
      if (!(await hasRoom())) return failed.noSpace;
      const fields = { volsize, volblocksize, file, reserved, properties };
      return succeed({ put: [...parents.value, newVolume(staged, name, fields)] });
    });
  });
}

/**
 * Creates a thin volume with the data of a snapshot, and its missing parents. Succeeds when
 * any dataset of that name exists. Fails: dataset.not_found (no such snapshot of a volume),
 * pool.no_space, dataset.wrong_type (a parent is no filesystem).
 */
export function cloneSnapshot(
  pool: EmbeddedPool,
  originName: SnapshotName,
  target: DatasetName,
  copies?: PreparedCopies,
): Promise<Outcome<null>> {
  const { catalog, accounting } = pool;
  return catchStorageErrors(`cannot create '${target}'`, async () => {
    const origin = catalog.find(originName);
    if (origin?.type !== "snapshot" || origin.file === "") return failed.notFound;
    if (catalog.find(target)) return succeed(null);
    const copy = await takeCopy(pool, origin, copies);
    if (!copy.ok) return copy;
    const { file, allocated } = copy.value;
    return addVolume(pool, target, file, async (staged) => {
      if (await accounting.isOverfullWith(allocated)) return failed.noSpace;
      // It may have been destroyed during the copy.
      if (!staged.findById(origin.id)) return failed.notFound;
      if (staged.find(target)) return succeed({});
      const parents = missingParents(staged, pool.name, target);
      if (!parents.ok) return parents;
      const { volsize, volblocksize, id } = origin;
      const volume = newVolume(staged, target, { volsize, volblocksize, file, origin: id });
      return succeed({ put: [...parents.value, volume] });
    });
  });
}
