import { type Outcome, succeed } from "../../../protocol/storage/failures.js";
import {
  type DatasetName,
  datasetOf,
  type PoolName,
  type SnapshotName,
  tagOf,
} from "../../../protocol/storage/names.js";
import type { OpenZfsSettings } from "../../../protocol/storage/pool-settings.js";
import type { PoolState } from "../../../protocol/storage/txg-history.js";
import { bytes } from "../../../protocol/storage/units.js";
import { createCoalescer } from "../../batching/coalescer.js";
import { failureOf, onlyMissing } from "../../processes/command-failures.js";
import { type CommandEnd, succeeded } from "../../processes/run-command.js";
import {
  type DatasetInfo,
  type MarkedVolume,
  type PoolUsage,
  type Selection,
  type Space,
  selectFrom,
  sizeOf,
  type Zfs,
} from "../driver.js";
import { createCountKeeper } from "./dataset-counts.js";
import { createKeyedBatchers } from "./keyed-batchers.js";
import type { LibraryChanges } from "./library-changes.js";
import type { LibraryWay } from "./library-way.js";
import { COLUMNS, infoOf, numberOf, rowsOf } from "./list-rows.js";
import { createLookUps, createSingleLookUps } from "./look-ups.js";
import { LIST_OUTPUT_BYTES, NAMES_PER_COMMAND, type ZfsCommands } from "./zfs-commands.js";

type Reads = Pick<
  Zfs,
  | "find"
  | "findSize"
  | "snapshotsOfTag"
  | "listVolumes"
  | "listSnapshots"
  | "listImages"
  | "counts"
  | "poolUsage"
  | "space"
  | "listHolds"
  | "listBookmarks"
>;

type HoldOf = Readonly<{ name: SnapshotName; tag: string }>;

/**
 * Finds the snapshots with holds in a list of `userrefs,name`, without an object for each of the
 * others: a pool may have 100,000.
 */
const HELD = /^[1-9]\d*\t(.*)$/gm;

/** The marks of an image and the time of its creation, in the columns behind COLUMNS. */
const MARKS = "imagestore:type,imagestore:fetch,imagestore:trash,creation";

/**
 * What is read from an OpenZFS pool, by `zfs list`, `zfs holds` and `zpool list`, and look-ups by the library.
 * @param poolState the state of the pool now; undefined if it is unknown.
 */
export function openzfsReads(
  { name: pool, dispatch }: OpenZfsSettings,
  commands: ZfsCommands,
  library: LibraryWay,
  listTag: LibraryChanges["listTag"],
  poolState: () => Promise<PoolState | undefined>,
): Reads {
  const isShared = dispatch === "grouped";

  function list(args: readonly string[]): Promise<CommandEnd> {
    return commands.zfs(["list", "-Hp", ...args], { stdoutBytes: LIST_OUTPUT_BYTES });
  }

  async function rows(args: readonly string[]): Promise<Outcome<string[][]>> {
    const end = await list(args);
    return succeeded(end) ? succeed(rowsOf(end)) : failureOf(end);
  }

  async function infos(args: readonly string[]): Promise<Outcome<readonly DatasetInfo[]>> {
    const found = await rows(["-o", COLUMNS, ...args]);
    return found.ok ? succeed(found.value.map(infoOf)) : found;
  }

  /** Calls for the same root that wait at the same moment share one run of `read`. */
  function coalesced<Root extends string, Value>(
    read: (root: Root) => Promise<Value>,
  ): (root: Root) => Promise<Value> {
    if (!isShared) return read;
    const join = createKeyedBatchers((root: Root) =>
      createCoalescer<Root, Value>(1, async () => {
        const value = await read(root);
        return () => value;
      }),
    );
    return (root) => join(root, root);
  }

  async function readSpace(root: DatasetName): Promise<Outcome<Space>> {
    const [here, volumes] = await Promise.all([
      rows(["-o", "available", root]),
      rows(["-t", "volume", "-r", "-o", "volsize,usedbydataset,refreservation,readonly", pool]),
    ]);
    if (!here.ok) return here;
    if (!volumes.ok) return volumes;
    kept.sawVolumes(volumes.value.length);
    let promised = 0n;
    for (const [volsize, used, reservation, readonly] of volumes.value) {
      // A thick volume has all its space already; a read-only image never grows.
      if (numberOf(reservation) > 0n || readonly === "on") continue;
      const growth = numberOf(volsize) - numberOf(used);
      if (growth > 0n) promised += growth;
    }
    return succeed({ available: bytes(numberOf(here.value[0]?.[0])), promised: bytes(promised) });
  }

  async function readUsage(name: PoolName): Promise<Outcome<PoolUsage>> {
    const end = await commands.zpool(["list", "-Hp", "-o", "size,allocated,free,health,fragmentation", name]);
    if (!succeeded(end)) return failureOf(end);
    const [size, allocated, free, health = "", fragmentation = ""] = rowsOf(end)[0] ?? [];
    return succeed({
      size: bytes(numberOf(size)),
      allocated: bytes(numberOf(allocated)),
      free: bytes(numberOf(free)),
      health,
      // "-" without the feature spacemap_histogram; a per cent sign behind it before OpenZFS 2.0.
      fragmentation: /^\d+%?$/.test(fragmentation) ? Number.parseInt(fragmentation, 10) : undefined,
    });
  }

  /** `zfs holds` takes names only, and nearly all snapshots have no hold: their counts are read first. */
  async function readHolds(prefix: string): Promise<Outcome<readonly HoldOf[]>> {
    const counts = await list(["-t", "snapshot", "-r", "-o", "userrefs,name", pool]);
    if (!succeeded(counts)) return failureOf(counts);
    const held = Array.from(counts.stdout.matchAll(HELD), ([, name = ""]) => name);
    const holds: HoldOf[] = [];
    for (let at = 0; at < held.length; at += NAMES_PER_COMMAND) {
      const chunk = held.slice(at, at + NAMES_PER_COMMAND);
      const end = await commands.zfs(["holds", "-H", ...chunk], { stdoutBytes: LIST_OUTPUT_BYTES });
      if (!succeeded(end) && !onlyMissing(end.stderr)) return failureOf(end);
      for (const [name, tag] of rowsOf(end)) {
        if (tag?.startsWith(prefix)) holds.push({ name: name as SnapshotName, tag });
      }
    }
    return succeed(holds);
  }

  const kept = createCountKeeper(pool, list);
  const usageOf = coalesced(readUsage);
  // A list is read whole: zfs-list(8) can't begin after a name. Different pages of it share a run.
  const volumesBelow = coalesced((root: PoolName) => infos(["-t", "volume", "-r", root]));
  const snapshotsBelow = coalesced((root: PoolName | DatasetName) => infos(["-t", "snapshot", "-r", root]));
  const selected = (list: Outcome<readonly DatasetInfo[]>, select?: Selection) =>
    list.ok && select ? succeed(selectFrom(list.value, select)) : list;

  return {
    ...(isShared
      ? createLookUps({ library, list, poolState, namesPerCommand: NAMES_PER_COMMAND })
      : createSingleLookUps(list)),
    listVolumes: async (select) => selected(await volumesBelow(pool), select),
    listSnapshots: async (root, select) => selected(await snapshotsBelow(root), select),
    async snapshotsOfTag(name) {
      const tagged = await listTag(name);
      if (tagged) return tagged;
      const listed = await snapshotsBelow(datasetOf(name));
      if (!listed.ok) return listed;
      return succeed(listed.value.filter((each) => each.name.endsWith(`@${tagOf(name)}`)).map(sizeOf));
    },
    counts: kept.counts,
    poolUsage: () => usageOf(pool),
    space: coalesced(readSpace),

    async listImages() {
      const found = await rows(["-t", "all", "-r", "-o", `${COLUMNS},${MARKS}`, `${pool}/images`]);
      if (!found.ok) return found;
      const mark = (field: string | undefined) => (field === undefined || field === "-" ? "" : field);
      return succeed(
        found.value.map(
          (row): MarkedVolume => ({
            ...infoOf(row),
            imageType: mark(row[7]),
            fetchMark: mark(row[8]),
            trashMark: mark(row[9]),
            created: Number(numberOf(row[10])),
          }),
        ),
      );
    },

    listHolds: coalesced(readHolds),
    async listBookmarks(root) {
      const found = await rows(["-t", "bookmark", "-r", "-o", "name,guid,creation", root]);
      if (!found.ok) return found;
      return succeed(
        found.value.flatMap(([full = "", guid = "", created]) => {
          const [dataset = "", name = ""] = full.split("#");
          return [{ name: `${dataset}#${name}` as const, guid, created: Number(numberOf(created)) }];
        }),
      );
    },
  };
}
