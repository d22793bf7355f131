import { bytes } from "../../../protocol/storage/units.js";
import type { AnyName, FoundDataset, SizedDataset } from "../driver.js";
import { numberOf, originOf } from "./list-rows.js";

/**
 * A channel program (zfs-program(8)) that only reads, about the names in its arguments. The kernel
 * opens a dataset anew for each property that a program reads, and that is nearly all that a look-up
 * costs. So a program reads no more than its question needs, and nothing that the name tells.
 */
export interface LookUpProgram<Row> {
  readonly text: string;
  /** @returns undefined if these are no fields of the program. */
  rowOf(name: AnyName, fields: readonly string[]): Row | undefined;
}

/**
 * A program that returns a line for each of its arguments, in their order: the fields that `lua` returns
 * for `name`, separated by tabs. The line of what does not exist is empty. `read` throws for what does
 * not exist, and a coroutine catches that: so nothing is opened only to see whether it is there.
 */
export const programOf = (lua: string): string => `
local names, lines, at = (...)["argv"], {}, 1
local function read(name, property)
  local value = zfs.get_prop(name, property)
  return value == nil and "-" or tostring(value)
end
local function fields(name)
  local is_snapshot = string.find(name, "@", 1, true)
  ${lua}
end
local function run()
  while at <= #names do
    lines[at] = table.concat(fields(names[at]), "\\t")
    at = at + 1
  end
end
while at <= #names do
  local is_done, why = coroutine.resume(coroutine.create(run))
  if not is_done then
    if not string.find(tostring(why), "no such dataset", 1, true) then error(why) end
    lines[at] = ""
    at = at + 1
  end
end
return table.concat(lines, "\\n")
`;

/** All of a dataset. Filesystems have no volsize. */
export const DATASETS: LookUpProgram<FoundDataset> = {
  text: programOf(`
  local volsize = read(name, "volsize")
  local kind = is_snapshot and "snapshot" or volsize == "-" and "filesystem" or "volume"
  local origin = is_snapshot and "-" or read(name, "origin")
  return { kind, read(name, "guid"), volsize, read(name, "written"), origin }`),
  rowOf(name, [type = "", guid = "", volsize, written, origin, ...others]) {
    if (!isType(type) || origin === undefined || others.length > 0) return undefined;
    return {
      ...{ name, type, guid: unsigned(guid) },
      ...{ volsize: bytes(numberOf(volsize)), written: bytes(numberOf(written)), origin: originOf(origin) },
    };
  },
};

/** What a dataset is, and its size: what a snapshot has written. */
export const SIZES: LookUpProgram<SizedDataset> = {
  text: programOf(`
  if is_snapshot then return { "snapshot", read(name, "written") } end
  local volsize = read(name, "volsize")
  return { volsize == "-" and "filesystem" or "volume", volsize }`),
  rowOf(name, [type = "", size, ...others]) {
    if (!isType(type) || size === undefined || others.length > 0) return undefined;
    return { name, type, size: bytes(numberOf(size)) };
  },
};

/** Whether a dataset exists: for that the kernel opens less of it than for a property. */
export const PRESENCE: LookUpProgram<true> = {
  text: `
local lines = {}
for index, name in ipairs((...)["argv"]) do lines[index] = zfs.exists(name) and "there" or "" end
return table.concat(lines, "\\n")
`,
  rowOf: (_, fields) => (fields.length === 1 && fields[0] === "there" ? true : undefined),
};

/**
 * Reads what a program returned for `names`.
 * @returns the rows of what exists; undefined if that is no answer of the program.
 */
export function rowsByName<Row>(
  { rowOf }: Pick<LookUpProgram<Row>, "rowOf">,
  text: string,
  names: readonly AnyName[],
): ReadonlyMap<AnyName, Row> | undefined {
  const lines = text.split("\n");
  if (lines.length !== names.length) return undefined;
  const found = new Map<AnyName, Row>();
  for (const [index, name] of names.entries()) {
    const line = lines[index] ?? "";
    if (line === "") continue;
    const row = rowOf(name, line.split("\t"));
    if (row === undefined) return undefined;
    found.set(name, row);
  }
  return found;
}

function isType(text: string): text is FoundDataset["type"] {
  return text === "filesystem" || text === "volume" || text === "snapshot";
}

/** A number of 64 bits, which Lua takes for a signed one. */
export function unsigned(field: string): string {
  return /^-\d+$/.test(field) ? String(BigInt.asUintN(64, BigInt(field))) : field;
}
