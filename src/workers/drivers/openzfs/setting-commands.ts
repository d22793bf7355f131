import { failed, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import type { DatasetName, PoolName } from "../../../protocol/storage/names.js";
import { bytes } from "../../../protocol/storage/units.js";
import {
  type NewVolumeSettings,
  type SettingChanges,
  TAG_PREFIX,
  tagsOf,
  type VolumeSettings,
} from "../../../protocol/storage/volume-settings.js";
import { failureOf } from "../../processes/command-failures.js";
import { succeeded } from "../../processes/run-command.js";
import type { Properties, Zfs } from "../driver.js";
import { numberOf, rowsOf } from "./list-rows.js";
import { LIST_OUTPUT_BYTES, propertyFlags, type ZfsCommands } from "./zfs-commands.js";

/** Where a property is the dataset's own, and not one of a dataset above it. */
const OWN: readonly (string | undefined)[] = ["local", "received"];

function tagProperties(tags: Readonly<Record<string, string>> = {}): Properties {
  return Object.fromEntries(Object.entries(tags).map(([name, value]) => [TAG_PREFIX + name, value]));
}

/** The arguments of `zfs create` for a volume with `settings`; `ofNew`: what is configured for all. */
export function createFlags(ofNew: Properties, { volblocksize, isThick, tags }: NewVolumeSettings): string[] {
  const { refreservation, ...others } = ofNew;
  const kept = isThick === undefined && refreservation !== undefined ? { refreservation } : {};
  const block = volblocksize === undefined ? {} : { volblocksize: String(volblocksize) };
  const present = Object.fromEntries(Object.entries(tagProperties(tags)).filter(([, value]) => value !== ""));
  const flags = propertyFlags({ ...others, ...kept, ...block, ...present });
  return isThick === false ? ["-s", ...flags] : flags;
}

/** Settings of volumes, by `zfs set`, `inherit` and `get`. */
export function volumeSettings(
  pool: PoolName,
  { zfs, change }: Pick<ZfsCommands, "zfs" | "change">,
): Pick<Zfs, "setProperties" | "settingsOf" | "volumesWithTag" | "quotaOf" | "setQuota"> {
  async function readRows(args: readonly string[]): Promise<Outcome<string[][]>> {
    const end = await zfs(["get", "-Hp", ...args], { stdoutBytes: LIST_OUTPUT_BYTES });
    return succeeded(end) ? succeed(rowsOf(end)) : failureOf(end);
  }

  return {
    async setProperties(volume, { compression, sync, readonly, isThick, tags }: SettingChanges) {
      const all = Object.entries(tagProperties(tags));
      const properties = {
        ...(compression !== undefined && { compression }),
        ...(sync !== undefined && { sync }),
        ...(readonly !== undefined && { readonly: readonly ? "on" : "off" }),
        ...(isThick !== undefined && { refreservation: isThick ? "auto" : "none" }),
        ...Object.fromEntries(all.filter(([, value]) => value !== "")),
      };
      const words = Object.entries(properties).map(([name, value]) => `${name}=${value}`);
      const set = words.length === 0 ? succeed(null) : await change(["set", ...words, volume]);
      if (!set.ok) return set;
      for (const [name, value] of all) {
        const gone = value === "" ? await change(["inherit", name, volume]) : succeed(null);
        if (!gone.ok) return gone;
      }
      return succeed(null);
    },

    async settingsOf(volume: DatasetName): Promise<Outcome<VolumeSettings>> {
      const read = await readRows(["-o", "property,value,source", "all", volume]);
      if (!read.ok) return read;
      const values = new Map(read.value.map(([name = "", value = ""]) => [name, value]));
      if (values.get("type") !== "volume") return failed.notVolume;
      const own = read.value.filter(([, , source]) => OWN.includes(source));
      return succeed({
        compression: values.get("compression") ?? "",
        sync: values.get("sync") ?? "",
        readonly: values.get("readonly") === "on",
        isThick: numberOf(values.get("refreservation")) >= numberOf(values.get("volsize")),
        volblocksize: Number(numberOf(values.get("volblocksize"))),
        tags: tagsOf(own.map(([name = "", value = ""]) => [name, value])),
      });
    },

    setQuota: (name, quota) => change(["set", `quota=${quota === 0n ? "none" : quota}`, name]),

    async quotaOf(name) {
      const read = await readRows(["-o", "property,value", "quota,used", name]);
      if (!read.ok) return read;
      const values = new Map(read.value.map(([property = "", value = ""]) => [property, value]));
      const [quota, used] = [values.get("quota"), values.get("used")].map(numberOf);
      return succeed({ quota: bytes(quota ?? 0n), used: bytes(used ?? 0n) });
    },

    async volumesWithTag(tag) {
      const found = ["-s", OWN.join(","), "-t", "volume", "-r", "-o", "name,value", TAG_PREFIX + tag, pool];
      const read = await readRows(found);
      return read.ok ? succeed(new Map(read.value.map(([name = "", value = ""]) => [name, value]))) : read;
    },
  };
}
