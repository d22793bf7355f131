import {
  type FailedOutcome,
  fail,
  failed,
  type Outcome,
  succeed,
} from "../../../protocol/storage/failures.js";
import type { DatasetName } from "../../../protocol/storage/names.js";
import type { Bytes } from "../../../protocol/storage/units.js";
import type { CatalogChange, CatalogView } from "./catalog.js";
import type { Volume } from "./dataset.js";
import type { EmbeddedPool } from "./embedded-pool.js";
import type { SpaceAccounting } from "./space-accounting.js";
import { catchStorageErrors } from "./storage-errors.js";

/** What keeps a volume from that size. A thick one needs the room; a thin one has the bound of received ones. */
async function findObstacle(
  { name, readonly, reserved, volsize }: Volume,
  size: Bytes,
  accounting: SpaceAccounting,
): Promise<FailedOutcome | undefined> {
  // Its file may be its snapshot's too.
  if (readonly) return fail("dataset.read_only", `cannot resize '${name}': dataset is read-only`);
  const growth = size - volsize;
  if (growth <= 0n) return undefined;
  if (reserved) return growth > (await accounting.space(growth)).available ? failed.noSpace : undefined;
  return size > accounting.largestVolume() ? failed.noSpace : undefined;
}

/**
 * Gives a volume another size. Its file is never shorter than the catalog says: it grows before the
 * commit and shrinks after it. A crash between the two leaves a file that is too long, which the next
 * change of its size cuts first, so that nothing old comes back.
 * Fails: dataset.not_found, dataset.read_only, pool.no_space.
 */
export function resizeVolume(pool: EmbeddedPool, name: DatasetName, size: Bytes): Promise<Outcome<null>> {
  const { catalog, files, accounting, transactions } = pool;
  const messagePrefix = `cannot resize '${name}'`;
  return catchStorageErrors(messagePrefix, async () => {
    const volume = catalog.find(name);
    if (volume?.type !== "volume") return failed.notFound;
    const obstacle = await findObstacle(volume, size, accounting);
    if (obstacle) return obstacle;
    const { id, file, volsize } = volume;
    if (size >= volsize) {
      await files.resize(file, volsize);
      await files.resize(file, size);
    }
    const decide = async (staged: CatalogView): Promise<Outcome<CatalogChange>> => {
      const current = staged.findById(id);
      // Destroyed, renamed or rolled back meanwhile.
      if (current?.type !== "volume" || current.name !== name || current.file !== file)
        return failed.notFound;
      return (
        (await findObstacle(current, size, accounting)) ?? succeed({ put: [{ ...current, volsize: size }] })
      );
    };
    const resized = await transactions.run({ messagePrefix, decide });
    if (!resized.ok) {
      if (size > volsize && catalog.findById(id)?.file === file) await files.resize(file, volsize);
      return resized;
    }
    if (size < volsize) await files.resize(file, size);
    return succeed(null);
  });
}
