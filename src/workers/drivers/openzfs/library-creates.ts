import { type Outcome, succeed } from "../../../protocol/storage/failures.js";
import { type DatasetName, parentOf, type SnapshotName } from "../../../protocol/storage/names.js";
import type { Bytes } from "../../../protocol/storage/units.js";
import type { LibraryCall } from "../../libzfs/library-call.js";
import { succeeded } from "../../processes/run-command.js";
import { ensureParents } from "./library-parents.js";
import type { LibraryWay } from "./library-way.js";
import { rowsOf } from "./list-rows.js";
import { PRESENCE } from "./look-up-program.js";
import { nativeProperties, thickReservation, type VolumeProperties } from "./new-volume-properties.js";
import { propertyFlags, type ZfsCommands } from "./zfs-commands.js";

/**
 * Makes volumes and clones by the library, with the properties and the parents that `zfs create -p -V`
 * and `zfs clone -p` give them. @returns of each: undefined if the command has to do it; parents
 * may have been made by then.
 */
export interface LibraryCreates {
  /** Asks `zfs create` what it would set. Until then, and where we would set anything else, it does all. */
  open(): Promise<void>;
  createVolume(name: DatasetName, size: Bytes): Promise<Outcome<null> | undefined>;
  clone(origin: SnapshotName, target: DatasetName): Promise<Outcome<null> | undefined>;
}

interface LibraryCreatesOptions {
  readonly pool: string;
  readonly volumeProperties: Pick<VolumeProperties, "ofNew" | "ofClones" | "blockBytes">;
  readonly library: LibraryWay;
  readonly commands: Pick<ZfsCommands, "zfs">;
}

/** Sizes that `zfs create` is asked about. What it reserves grows with the size in steps. */
const ASKED_BYTES: readonly bigint[] = [2n ** 30n, 1_234_567n * 2n ** 20n];

/** The default block since OpenZFS 2.2, and the one before. */
const DEFAULT_BLOCKS: readonly bigint[] = [16_384n, 8_192n];

export function createLibraryCreates(options: LibraryCreatesOptions): LibraryCreates {
  const { pool, library, commands } = options;
  const { ofNew, ofClones, blockBytes } = options.volumeProperties;
  const propertiesOfNew = nativeProperties(ofNew);
  const propertiesOfClones = nativeProperties(ofClones);
  const isThin = propertiesOfNew?.refreservation !== undefined;
  /** The block size by which `zfs create` reserves space on this pool; undefined: it reckons in another way. */
  let reservedBlock: bigint | undefined;
  /** Parents that are looked for or made just now. */
  const parentsAsked = new Map<string, Promise<boolean>>();

  /** What `zfs create` would reserve for a volume; undefined if it would set anything that we don't know of. */
  async function askReservation(size: bigint): Promise<string | undefined> {
    const name = `${pool}/.imagestore-asked`;
    const args = ["create", "-nvP", ...propertyFlags(ofNew), "-V", String(size), name];
    const end = await commands.zfs(args);
    if (!succeeded(end)) return undefined;
    const set = new Map(
      rowsOf(end).flatMap(([what, key = "", value = ""]) => (what === "property" ? [[key, value]] : [])),
    );
    const reserved = set.get("refreservation");
    for (const key of [...Object.keys(ofNew), "volsize", "refreservation"]) set.delete(key);
    return set.size === 0 ? reserved : undefined;
  }

  /** Whether `target` may be made below its parent. Of all that want one parent at a time, one sees to it. */
  function parentIsThere(target: DatasetName): Promise<boolean> {
    const parent = parentOf(target);
    const asked = parentsAsked.get(parent);
    if (asked) return asked;
    const asking = ensureParents(pool, library, target).finally(() => parentsAsked.delete(parent));
    parentsAsked.set(parent, asking);
    return asking;
  }

  async function create(call: LibraryCall, target: DatasetName): Promise<Outcome<null> | undefined> {
    if (!(await parentIsThere(target))) return undefined;
    const made = await library.call(call, "change");
    if (!made?.ok) return made;
    return made.value.errno === 0 ? succeed(null) : undefined;
  }

  return {
    async open() {
      if (!library.isOpen || propertiesOfNew === undefined || isThin) return;
      const asked = await Promise.all(ASKED_BYTES.map(askReservation));
      const blocks = blockBytes === undefined ? DEFAULT_BLOCKS : [blockBytes];
      reservedBlock = blocks.find((block) =>
        ASKED_BYTES.every((size, index) => asked[index] === String(thickReservation(size, block))),
      );
    },

    async createVolume(target, size) {
      if (!library.isOpen || propertiesOfNew === undefined) return undefined;
      if (!isThin && reservedBlock === undefined) return undefined;
      const reservation =
        reservedBlock === undefined ? {} : { refreservation: thickReservation(size, reservedBlock) };
      const properties = { ...propertiesOfNew, volsize: BigInt(size), ...reservation };
      const call = { name: "lzc_create", type: "volume", target, properties } as const;
      return create(call, target);
    },

    async clone(origin, target) {
      if (!library.isOpen || propertiesOfClones === undefined) return undefined;
      const call = { name: "lzc_clone", origin, target, properties: propertiesOfClones } as const;
      // `zfs clone -p` makes no parents for a clone of nothing.
      const found = (await library.find(PRESENCE, [origin]))?.get(origin);
      return found?.ok && found.value !== undefined ? create(call, target) : undefined;
    },
  };
}
