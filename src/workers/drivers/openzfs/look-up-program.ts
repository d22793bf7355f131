import type { AnyName, DatasetInfo } from "../driver.js";
import { COLUMNS, infoOf } from "./list-rows.js";

/** The columns of a row, but for its name. */
const PROPERTIES = COLUMNS.split(",").slice(1);

/** The kernel opens the dataset anew for each property, so what a name tells is not asked. */
const OF_SNAPSHOTS: Readonly<Record<string, string>> = { type: "snapshot", origin: "-" };

/**
 * A channel program (zfs-program(8)) that only reads. It returns a line for each of its arguments, in their
 * order: the properties, separated by tabs, as `zfs list -Hp` prints them but for numbers of 64
 * bits, which Lua takes for signed. The line of what does not exist is empty.
 */
export const LOOK_UP_PROGRAM = `
local properties = { ${PROPERTIES.map((name) => `"${name}"`).join(", ")} }
local of_snapshots = { ${Object.entries(OF_SNAPSHOTS)
  .map(([name, value]) => `${name} = "${value}"`)
  .join(", ")} }
local lines = {}
for index, name in ipairs((...)["argv"]) do
  local fields = {}
  if zfs.exists(name) then
    local known = string.find(name, "@", 1, true) and of_snapshots or {}
    for column, property in ipairs(properties) do
      local value = known[property]
      if value == nil then value = zfs.get_prop(name, property) end
      fields[column] = value == nil and "-" or tostring(value)
    end
  end
  lines[index] = table.concat(fields, "\\t")
end
return table.concat(lines, "\\n")
`;

/**
 * Reads what the program returned for `names`.
 * @returns the datasets that exist; undefined if that is no answer of the program.
 */
export function rowsByName(
  text: string,
  names: readonly AnyName[],
): ReadonlyMap<AnyName, DatasetInfo> | undefined {
  const lines = text.split("\n");
  if (lines.length !== names.length) return undefined;
  const found = new Map<AnyName, DatasetInfo>();
  for (const [index, name] of names.entries()) {
    const line = lines[index] ?? "";
    if (line === "") continue;
    const fields = line.split("\t");
    if (fields.length !== PROPERTIES.length) return undefined;
    found.set(name, infoOf([name, ...fields.map(unsigned)]));
  }
  return found;
}

/** A number that Lua took for a signed one. */
function unsigned(field: string): string {
  return /^-\d+$/.test(field) ? String(BigInt.asUintN(64, BigInt(field))) : field;
}
