import { mkdir, rename, rm, rmdir, symlink } from "node:fs/promises";
import { dirname, relative } from "node:path";
import { codeOf } from "../../../protocol/storage/caught-error.js";
import { type DatasetName, devicePath } from "../../../protocol/storage/names.js";
import type { FoundLinks } from "./pool-survey.js";

/** How often `link` recreates a folder that others keep removing before it gives up. */
const MAX_RETRIES = 10;

/** The links below `devices` from the names of volumes to their files, laid out as udev lays out /dev/zvol. */
interface VolumeLinks {
  /** Links a volume to a file of `volumes/`, in place of the link that it has. */
  link(volume: DatasetName, file: string): Promise<void>;
  /** Removes the link of a volume, if there is one, and the folders that are empty without it. */
  unlink(volume: DatasetName): Promise<void>;
  /**
   * Links these volumes to their files, and no others. `found`: what there is below `devices`. A link
   * that is right stays. `setAside` takes the path of each file that some program put where a link should be.
   */
  settle(
    found: FoundLinks,
    volumes: Iterable<{ readonly name: DatasetName; readonly file: string }>,
    setAside: (path: string) => Promise<void>,
  ): Promise<void>;
}

/** `devices` and `volumes`: absolute paths of the folders. */
export function createVolumeLinks(devices: string, volumes: string): VolumeLinks {
  const fromDevices = relative(devices, volumes);
  /** A link is as many folders below `devices` as its name has slashes. */
  function targetOf(volume: DatasetName, file: string): string {
    return `${"../".repeat(volume.split("/").length - 1)}${fromDevices}/${file}`;
  }

  async function replaceLink(link: string, target: string): Promise<void> {
    await mkdir(dirname(link), { recursive: true, mode: 0o750 });
    // No volume can be called so: "~" is outside of zfs(8)'s grammar.
    const temporary = `${link}~`;
    await rm(temporary, { force: true });
    await symlink(target, temporary);
    // Last and by rename: whoever opens the device finds the old file or the new one, and never nothing.
    await rename(temporary, link);
  }

  async function relink(link: string, target: string): Promise<void> {
    for (let retries = 0; ; retries++) {
      try {
        return await replaceLink(link, target);
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
    link: (volume, file) => relink(devicePath(volume, devices), targetOf(volume, file)),

    unlink: (volume) => removeLink(devicePath(volume, devices)),

    async settle({ targets, folders, files, others }, present, setAside) {
      const missing = new Map<string, string>();
      for (const { name, file } of present) missing.set(devicePath(name, devices), targetOf(name, file));
      // Of other volumes, which were below a filesystem of this name.
      const obsolete = folders.filter((folder) => missing.has(folder));
      for (const path of files) await setAside(path);
      for (const path of others) await removeLink(path);
      for (const [link, target] of targets) {
        if (missing.get(link) === target) missing.delete(link);
        else await removeLink(link);
      }
      for (const folder of obsolete) await rm(folder, { recursive: true, force: true });
      for (const [link, target] of missing) await relink(link, target);
    },
  };
}
