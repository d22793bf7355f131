import { type Outcome, succeed } from "../../../protocol/storage/failures.js";
import { type DatasetName, datasetOf, type SnapshotName, tagOf } from "../../../protocol/storage/names.js";
import type { LibraryCall } from "../../libzfs/library-call.js";
import type { CommandKind } from "../../processes/run-command.js";
import { type SizedDataset, sizeOf } from "../driver.js";
import { ensureParents } from "./library-parents.js";
import type { LibraryWay } from "./library-way.js";
import { infoOf } from "./list-rows.js";
import { SIZES } from "./look-up-program.js";

/**
 * What a call of the library changes at once, other than new volumes and deletions of trees.
 * @returns of each: undefined if the command has to do it; parents may have been made by then.
 */
export interface LibraryChanges {
  /** Of volumes only: filesystems may be mounted. */
  rename(from: DatasetName, to: DatasetName, makeParents: boolean): Promise<Outcome<null> | undefined>;
  promote(clone: DatasetName): Promise<Outcome<null> | undefined>;
  /** Makes this snapshot of everything below its dataset too, all at one moment or none. */
  snapshotTree(name: SnapshotName): Promise<Outcome<null> | undefined>;
  /** Destroys all snapshots of this tag from its dataset down, or none. */
  destroyTag(name: SnapshotName): Promise<Outcome<null> | undefined>;
  /** The snapshots of this tag from its dataset down, in the order of `zfs list`. */
  listTag(name: SnapshotName): Promise<Outcome<readonly SizedDataset[]> | undefined>;
}

/** While a channel program runs, nothing of the pool can change. Larger trees are left to commands. */
const MOST_DATASETS = 100;

/** Returns what `line` says of each dataset from the first argument down; "" if there are too many, or none. */
const treeProgram = (line: string): string => `
local root, tag = (...)["argv"][1], (...)["argv"][2]
local left, lines = ${MOST_DATASETS}, {}
local function visit(name)
  left = left - 1
  if left < 0 then return end
  ${line}
  for child in zfs.list.children(name) do visit(child) end
end
if not zfs.exists(root) then return "" end
visit(root)
return left < 0 and "" or "whole\\n" .. table.concat(lines, "\\n")
`;

/** As zfs snapshot -r, without what is being received. */
const NEW_SNAPSHOTS = treeProgram(`
  if tostring((zfs.get_prop(name, "inconsistent"))) ~= "1" then lines[#lines + 1] = name .. "@" .. tag end`);

const SNAPSHOTS = treeProgram(`
  local snapshot = name .. "@" .. tag
  if zfs.exists(snapshot) then
    lines[#lines + 1] = snapshot .. "\\t" .. tostring((zfs.get_prop(snapshot, "written")))
  end`);

export function createLibraryChanges(pool: string, library: LibraryWay): LibraryChanges {
  async function make(call: LibraryCall, kind: CommandKind): Promise<Outcome<null> | undefined> {
    const made = await library.call(call, kind);
    if (!made?.ok) return made;
    return made.value.errno === 0 ? succeed(null) : undefined;
  }

  /** The lines of a program about the tree of `name`. */
  async function ask(program: string, name: SnapshotName): Promise<Outcome<readonly string[]> | undefined> {
    const names = [datasetOf(name), tagOf(name)];
    const asked = await library.call({ name: "lzc_channel_program_nosync", pool, program, names }, "read");
    if (!asked?.ok) return asked;
    const [whole, ...lines] = asked.value.value.split("\n");
    if (asked.value.errno !== 0 || whole !== "whole") return undefined;
    return succeed(lines.filter((line) => line !== ""));
  }

  return {
    async rename(from, to, makeParents) {
      if (!library.isOpen) return undefined;
      // `zfs rename -p` makes no parents for what does not exist.
      const found = (await library.find(SIZES, [from]))?.get(from);
      if (!found?.ok || found.value?.type !== "volume") return undefined;
      if (!(await ensureParents(pool, library, to, makeParents))) return undefined;
      return make({ name: "lzc_rename", from, to }, "change");
    },

    promote: (clone) => make({ name: "lzc_promote", target: clone }, "change"),

    async snapshotTree(name) {
      const names = await ask(NEW_SNAPSHOTS, name);
      if (!names?.ok || names.value.length === 0) return undefined;
      return make({ name: "lzc_snapshot", names: names.value }, "change");
    },

    async destroyTag(name) {
      const listed = await ask(SNAPSHOTS, name);
      if (!listed?.ok || listed.value.length === 0) return undefined;
      const names = listed.value.map((line) => line.split("\t")[0] ?? "");
      return make({ name: "lzc_destroy_snaps", names }, "destroy");
    },

    async listTag(name) {
      const listed = await ask(SNAPSHOTS, name);
      if (!listed?.ok) return listed;
      const rows = listed.value.map((line) => line.split(/[@\t]/));
      rows.sort(([one = ""], [other = ""]) => (one < other ? -1 : 1));
      return succeed(
        rows.map(([dataset, tag, written = ""]) =>
          sizeOf(infoOf([`${dataset}@${tag}`, "snapshot", "", "", "", written])),
        ),
      );
    },
  };
}
