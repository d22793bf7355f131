import type { SnapshotName } from "../../../protocol/storage/names.js";
import { type Bytes, bytes } from "../../../protocol/storage/units.js";
import type { CommandEnd } from "../../processes/run-command.js";

/**
 * A channel program (zfs-program(8)) that makes the snapshots it is given, all in one
 * transaction group, and tells what each has written. One that can't be made has no
 * answer and hides no other. Numbers go as text, for JSON's are not as long.
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

/**
 * What the program said, run with `zfs program -j`.
 * @returns what each snapshot that was made has written; undefined when it did not run to its end.
 */
export function writtenByName(
  end: CommandEnd,
  names: readonly SnapshotName[],
): Map<SnapshotName, Bytes> | undefined {
  if (end.exit.kind !== "exited" || end.exit.code !== 0) return undefined;
  const made = (JSON.parse(end.stdout) as { return: Record<string, string | undefined> }).return;
  const found = new Map<SnapshotName, Bytes>();
  for (const [index, name] of names.entries()) {
    const written = made[String(index + 1)];
    if (written !== undefined) found.set(name, bytes(BigInt(written)));
  }
  return found;
}
