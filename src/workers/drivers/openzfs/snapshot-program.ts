import type { SnapshotName } from "../../../protocol/storage/names.js";
import { type Bytes, bytes } from "../../../protocol/storage/units.js";
import { programResult } from "./program-result.js";

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

/** What each created snapshot has written; undefined if only a look-up can say. */
export type WrittenByName = ReadonlyMap<SnapshotName, Bytes | undefined>;

/**
 * Reads the output of the program, which ended well for `names`.
 * @returns undefined if the output has no result: then nobody knows which snapshots were created.
 */
export function writtenByName(stdout: string, names: readonly SnapshotName[]): WrittenByName | undefined {
  const result = programResult(stdout);
  if (result === undefined) return undefined;
  const created = new Map<SnapshotName, Bytes | undefined>();
  for (const [index, name] of names.entries()) {
    const written = result[String(index + 1)];
    if (written === undefined) continue;
    // `nil` where the property could not be read.
    created.set(name, /^\d+$/.test(String(written)) ? bytes(BigInt(String(written))) : undefined);
  }
  return created;
}
