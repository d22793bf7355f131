import { failed, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import type { DatasetName } from "../../../protocol/storage/names.js";
import type { LibraryCall } from "../../libzfs/library-call.js";
import type { LibraryWay } from "./library-way.js";
import { numberOf } from "./list-rows.js";

/** A dataset that is about to be destroyed. */
export interface Doomed {
  readonly name: string;
  readonly isHeld: boolean;
  readonly clones: readonly string[];
  readonly createtxg: bigint;
  readonly type: string;
  /** It may be mounted somewhere, which only the command can undo. */
  readonly isMountable: boolean;
}

/** Destroys a dataset with all below it by the library. @returns of each: undefined if commands have to do it. */
export interface LibraryDestroys {
  listTree(name: DatasetName): Promise<Outcome<readonly Doomed[]> | undefined>;
  /** The first of these that is in use, "" if none is. A volume among them has no snapshots. */
  findUsed(names: readonly string[]): Promise<string | undefined>;
  /** Some of them may be gone, and others not, when this leaves the rest to the command. */
  destroyAll(doomed: readonly Doomed[]): Promise<Outcome<null> | undefined>;
}

/** While a channel program runs, nothing of the pool can change. Larger trees are left to commands. */
const MOST_DATASETS = 100;

/** Returns a line for the argument and each dataset and snapshot below it; nothing if there are too many. */
const TREE_PROGRAM = `
local root = (...)["argv"][1]
local left, lines = ${MOST_DATASETS}, {}
local function add(name, clones)
  left = left - 1
  local fields = { name, clones }
  for column, property in ipairs({ "userrefs", "createtxg", "type", "mountpoint" }) do
    local value = zfs.get_prop(name, property)
    fields[column + 2] = value == nil and "-" or tostring(value)
  end
  lines[#lines + 1] = table.concat(fields, "\\t")
end
local function visit(name)
  if left < 0 then return end
  add(name, "")
  for snapshot in zfs.list.snapshots(name) do
    if left < 0 then return end
    local clones = {}
    for clone in zfs.list.clones(snapshot) do clones[#clones + 1] = clone end
    add(snapshot, table.concat(clones, ","))
  end
  for child in zfs.list.children(name) do visit(child) end
end
if not zfs.exists(root) then return "missing" end
visit(root)
return left < 0 and "" or table.concat(lines, "\\n")
`;

/** Returns the first of its arguments that is in use: 16 is EBUSY. */
const USED_PROGRAM = `
for _, name in ipairs((...)["argv"]) do
  if zfs.check.destroy(name) == 16 then return name end
end
return ""
`;

export function createLibraryDestroys(pool: string, library: LibraryWay): LibraryDestroys {
  const ask = (program: string, names: readonly string[]) =>
    library.call({ name: "lzc_channel_program_nosync", pool, program, names }, "read");

  /** @returns undefined if it is done. */
  async function refusalOf(
    call: LibraryCall,
  ): Promise<{ readonly end: Outcome<null> | undefined } | undefined> {
    const called = await library.call(call, "destroy");
    if (!called?.ok) return { end: called };
    return called.value.errno === 0 ? undefined : { end: undefined };
  }

  return {
    async listTree(name) {
      const asked = await ask(TREE_PROGRAM, [name]);
      if (!asked?.ok) return asked;
      const { errno, value } = asked.value;
      if (errno !== 0 || value === "") return undefined;
      return value === "missing" ? failed.notFound : succeed(value.split("\n").map(doomedOf));
    },

    async findUsed(names) {
      const asked = await ask(USED_PROGRAM, names);
      return asked?.ok && asked.value.errno === 0 ? asked.value.value : undefined;
    },

    async destroyAll(doomed) {
      const snapshots = doomed.filter(({ type }) => type === "snapshot");
      if (!library.isOpen) return undefined;
      if (doomed.some(({ isMountable, clones }) => isMountable || clones.length > 0)) return undefined;
      const volumes = doomed.filter(({ type }) => type === "volume");
      // What is listed first is above what is listed later.
      const filesystems = doomed.filter(({ type }) => type === "filesystem").reverse();
      const names = snapshots.map(({ name }) => name);
      const refused = names.length > 0 && (await refusalOf({ name: "lzc_destroy_snaps", names }));
      if (refused) return refused.end;
      const ends = await Promise.all(
        volumes.map(({ name }) => refusalOf({ name: "lzc_destroy", target: name })),
      );
      const left = ends.find((end) => end !== undefined);
      if (left) return left.end;
      for (const { name } of filesystems) {
        const kept = await refusalOf({ name: "lzc_destroy", target: name });
        if (kept) return kept.end;
      }
      return succeed(null);
    },
  };
}

/** Reads a line of TREE_PROGRAM. */
function doomedOf(line: string): Doomed {
  const [name = "", clones = "", userrefs, createtxg, type = "", mountpoint = ""] = line.split("\t");
  return {
    name,
    clones: clones === "" ? [] : clones.split(","),
    isHeld: numberOf(userrefs) > 0n,
    createtxg: numberOf(createtxg),
    type,
    isMountable: type === "filesystem" && mountpoint !== "none" && mountpoint !== "legacy",
  };
}
