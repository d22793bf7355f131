import { mkdir, rename, rm, rmdir, symlink } from "node:fs/promises";
import { dirname, relative } from "node:path";
import { codeOf } from "../../../protocol/storage/caught-error.js";
import { type DatasetName, devicePath } from "../../../protocol/storage/names.js";

/** How often `link` recreates a folder that others keep removing before it gives up. */
const MAX_RETRIES = 10;

/** The links below `devices` from the names of volumes to their files, laid out as udev lays out /dev/zvol. */
interface VolumeLinks {
  /** Links a volume to the file at `path`, in place of the link that it has. */
  link(volume: DatasetName, path: string): Promise<void>;
  /** Removes the link of a volume, if there is one, and the folders that are empty without it. */
  unlink(volume: DatasetName): Promise<void>;
}

export function createVolumeLinks(devices: string): VolumeLinks {
  async function replaceLink(link: string, path: string): Promise<void> {
    const folder = dirname(link);
    await mkdir(folder, { recursive: true, mode: 0o750 });
    // No volume can be called so: "~" is outside of zfs(8)'s grammar.
    const temporary = `${link}~`;
    await rm(temporary, { force: true });
    await symlink(relative(folder, path), temporary);
    // Last and by rename: whoever opens the device finds the old file or the new one, and never nothing.
    await rename(temporary, link);
  }

  return {
    async link(volume, path) {
      for (let retries = 0; ; retries++) {
        try {
          return await replaceLink(devicePath(volume, devices), path);
        } catch (error) {
          // The unlink of a neighbour may remove the folder between two steps; the next attempt recreates it.
          if (codeOf(error) !== "ENOENT" || retries === MAX_RETRIES) throw error;
        }
      }
    },

    async unlink(volume) {
      const link = devicePath(volume, devices);
      await rm(link, { force: true });
      for (let folder = dirname(link); folder !== devices; folder = dirname(folder)) {
        const wasEmpty = await rmdir(folder).then(
          () => true,
          () => false,
        );
        if (!wasEmpty) return;
      }
    },
  };
}
