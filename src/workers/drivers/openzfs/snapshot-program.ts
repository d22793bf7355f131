import type { SnapshotName } from "../../../protocol/storage/names.js";
import { type Bytes, bytes } from "../../../protocol/storage/units.js";
import { type CommandEnd, succeeded } from "../../processes/run-command.js";

/**
 * A channel program (zfs-program(8)) that creates the snapshots in its arguments, all in one
 * transaction group, and returns by index what each has written. A snapshot that can't be
 * created is missing in the result and stops no other. Numbers are returned as text because
 * those of JSON don't hold 64 bits.
 */
export const SNAPSHOT_PROGRAM = `
local made = {}
for index, name in ipairs((...)["argv"]) do
  if zfs.sync.snapshot(name) == 0 then
    made[index] = tostring(zfs.get_prop(name, "written"))
  end
end
return made
`;

/** What `zfs program -j` prints: the program's table, by Lua's indexes, which begin at 1. */
interface ProgramOutput {
  readonly return: Readonly<Record<string, string | undefined>>;
}

/**
 * Reads the output of the program, which was run for `names`.
 * @returns what each created snapshot has written; undefined if the program failed as a whole.
 */
export function writtenByName(
  end: CommandEnd,
  names: readonly SnapshotName[],
): Map<SnapshotName, Bytes> | undefined {
  if (!succeeded(end)) return undefined;
  const output: ProgramOutput = JSON.parse(end.stdout);
  const created = new Map<SnapshotName, Bytes>();
  for (const [index, name] of names.entries()) {
    const written = output.return[String(index + 1)];
    if (written !== undefined) created.set(name, bytes(BigInt(written)));
  }
  return created;
}
