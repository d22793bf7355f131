import { type Outcome, succeed } from "../../../protocol/storage/failures.js";
import { bytes } from "../../../protocol/storage/units.js";
import type { Space } from "../driver.js";
import type { LibraryWay } from "./library-way.js";

/**
 * While a channel program runs, nothing of the pool can change. So one that looks at every dataset gives up
 * behind so many, and `zfs list`, which lets changes in between, has to do it.
 */
const MOST_DATASETS = 5_000;

/**
 * Returns what is available below its first argument, and by how much the thin volumes below the second
 * one may grow; nothing if there are too many datasets. A thick volume has all its space already; a
 * read-only image never grows.
 */
const SPACE_PROGRAM = `
local root, pool = (...)["argv"][1], (...)["argv"][2]
local left, promised = ${MOST_DATASETS}, 0
local function number(name, property)
  local value = zfs.get_prop(name, property)
  return value or 0
end
local function visit(name)
  left = left - 1
  if left < 0 then return end
  if zfs.get_prop(name, "type") == "volume" and number(name, "refreservation") == 0
    and zfs.get_prop(name, "readonly") ~= "on" then
    local growth = number(name, "volsize") - number(name, "usedbydataset")
    if growth > 0 then promised = promised + growth end
  end
  for child in zfs.list.children(name) do visit(child) end
end
visit(pool)
if left < 0 then return "" end
return tostring((zfs.get_prop(root, "available"))) .. " " .. tostring(promised)
`;

/** @returns undefined if the commands have to do it. Fails only if the runner ended. */
export async function spaceByLibrary(
  library: LibraryWay,
  root: string,
  pool: string,
): Promise<Outcome<Space> | undefined> {
  const names = [root, pool];
  const asked = await library.call(
    { name: "lzc_channel_program_nosync", pool, program: SPACE_PROGRAM, names },
    "read",
  );
  if (!asked?.ok) return asked;
  const [, available, promised] = /^(\d+) (\d+)$/.exec(asked.value.value) ?? [];
  if (asked.value.errno !== 0 || available === undefined || promised === undefined) return undefined;
  return succeed({ available: bytes(BigInt(available)), promised: bytes(BigInt(promised)) });
}
