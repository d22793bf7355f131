import type { DatasetName } from "../../../protocol/storage/names.js";
import type { LibraryWay } from "./library-way.js";

const EEXIST = 17;
/** More slashes than a name may have. The command says so. */
const MOST_PARENTS = 49;

/**
 * Returns a line for each name, "" if it does not exist. That of the last one that does is its type and its
 * mountpoint, which only filesystems have.
 */
const MOUNTPOINTS_PROGRAM = `
local lines, nearest = {}, 0
local names = (...)["argv"]
for index, name in ipairs(names) do
  lines[index] = zfs.exists(name) and "there" or ""
  if lines[index] ~= "" then nearest = index end
end
if nearest > 0 then
  local mountpoint = zfs.get_prop(names[nearest], "mountpoint")
  lines[nearest] = mountpoint == nil and "volume" or "filesystem " .. mountpoint
end
return table.concat(lines, "\\n")
`;

/**
 * Sees to it that the parent of `target` is a filesystem: the kernel would take a volume for a clone's
 * parent. With `makeMissing` makes missing ones where nothing has to be mounted. @returns whether `target` may be made.
 */
export async function ensureParents(
  pool: string,
  library: Pick<LibraryWay, "call">,
  target: DatasetName,
  makeMissing = true,
): Promise<boolean> {
  const parts = target.split("/").slice(0, -1);
  if (parts.length > MOST_PARENTS) return false;
  const names = parts.map((_, index) => parts.slice(0, index + 1).join("/"));
  const program = {
    name: "lzc_channel_program_nosync",
    pool,
    program: MOUNTPOINTS_PROGRAM,
    names,
  } as const;
  const asked = await library.call(program, "read");
  if (!asked?.ok || asked.value.errno !== 0) return false;
  const lines = asked.value.value.split("\n");
  const missing = names.filter((_, index) => !lines[index]);
  const nearest = lines.filter((line) => line !== "").at(-1) ?? "";
  if (missing.length === 0) return nearest.startsWith("filesystem ");
  if (!makeMissing) return false;
  if (!/^filesystem (?:none|legacy)$/.test(nearest)) return false;
  for (const parent of missing) {
    const call = { name: "lzc_create", type: "filesystem", target: parent, properties: {} } as const;
    const made = await library.call(call, "change");
    if (!made?.ok || (made.value.errno !== 0 && made.value.errno !== EEXIST)) return false;
  }
  return true;
}
