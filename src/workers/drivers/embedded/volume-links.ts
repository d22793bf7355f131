import { readlinkSync } from "node:fs";
import { mkdir, readdir, rename, rm, rmdir, symlink } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
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
  /**
   * Links these volumes, by their names, to their paths, and no others. A link that is right stays.
   * `setAside` takes the path of each file that some program put where a link should be.
   */
  settle(paths: ReadonlyMap<DatasetName, string>, setAside: (path: string) => Promise<void>): Promise<void>;
}

/** At once: a start looks at all links, and a way to another thread costs more than each look. */
function isLinkTo(link: string, path: string): boolean {
  return readlinkSync(link) === relative(dirname(link), path);
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

  async function relink(link: string, path: string): Promise<void> {
    for (let retries = 0; ; retries++) {
      try {
        return await replaceLink(link, path);
      } catch (error) {
        // The unlink of a neighbour may remove the folder between two steps; the next attempt recreates it.
        if (codeOf(error) !== "ENOENT" || retries === MAX_RETRIES) throw error;
      }
    }
  }

  async function removeLink(link: string): Promise<void> {
    await rm(link, { force: true });
    for (let folder = dirname(link); folder !== devices; folder = dirname(folder)) {
      const wasEmpty = await rmdir(folder).then(
        () => true,
        () => false,
      );
      if (!wasEmpty) return;
    }
  }

  return {
    link: (volume, path) => relink(devicePath(volume, devices), path),

    unlink: (volume) => removeLink(devicePath(volume, devices)),

    async settle(paths, setAside) {
      const missing = new Map([...paths].map(([volume, path]) => [devicePath(volume, devices), path]));
      const obsolete: string[] = [];
      for (const entry of await readdir(devices, { withFileTypes: true, recursive: true })) {
        const found = join(entry.parentPath, entry.name);
        const wanted = missing.get(found);
        if (entry.isDirectory()) {
          // Of other volumes, which were below a filesystem of this name.
          if (wanted) obsolete.push(found);
        } else if (entry.isFile()) await setAside(found);
        else if (wanted && entry.isSymbolicLink() && isLinkTo(found, wanted)) missing.delete(found);
        else await removeLink(found);
      }
      for (const folder of obsolete) await rm(folder, { recursive: true, force: true });
      for (const [link, path] of missing) await relink(link, path);
    },
  };
}
