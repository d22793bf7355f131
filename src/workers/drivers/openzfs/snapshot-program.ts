import { type FailedOutcome, fail, withCause } from "../../../protocol/storage/failures.js";
import type { SnapshotName } from "../../../protocol/storage/names.js";
import { type Bytes, bytes } from "../../../protocol/storage/units.js";
import { failureOf } from "../../processes/command-failures.js";
import { succeeded } from "../../processes/run-command.js";
import type { LibraryWay } from "./library-way.js";
import { programResult } from "./program-result.js";
import type { ZfsCommands } from "./zfs-commands.js";

/** Creates the snapshots in the arguments of a channel program, and keeps by index what each has written. */
const MAKE_SNAPSHOTS = `
local names = (...)["argv"]
local made = {}
for index, name in ipairs(names) do
  if zfs.sync.snapshot(name) == 0 then
    made[index] = tostring(zfs.get_prop(name, "written"))
  end
end
`;

/**
 * A channel program (zfs-program(8)) that creates the snapshots in its arguments, all in one
 * transaction group, and returns by index what each has written. A snapshot that can't be
 * created is missing in the result and stops no other. Numbers are returned as text because
 * those of JSON don't hold 64 bits.
 */
export const SNAPSHOT_PROGRAM = `${MAKE_SNAPSHOTS}
return made
`;

/** The same for a call of the library: it returns a line for each argument, which is empty instead. */
const SNAPSHOT_LINES_PROGRAM = `${MAKE_SNAPSHOTS}
local lines = {}
for index in ipairs(names) do lines[index] = made[index] or "" end
return table.concat(lines, "\\n")
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
  return createdOf(names, (index) => result[String(index + 1)]);
}

/** What came of a channel program that was to make snapshots. */
type ProgramEnd =
  | { readonly kind: "ran"; readonly written: WrittenByName }
  /** It has made none. */
  | { readonly kind: "refused"; readonly why: FailedOutcome }
  /** Nobody knows which were made, as the program was killed or lost, or its result can't be read. */
  | { readonly kind: "unknown" | "unreadable"; readonly why: FailedOutcome };

/** Makes snapshots by a channel program: in a call of the library, or else by `zfs program`. */
export async function runSnapshotProgram(
  pool: string,
  names: readonly SnapshotName[],
  library: Pick<LibraryWay, "call">,
  commands: Pick<ZfsCommands, "zfs">,
): Promise<ProgramEnd> {
  const name = "lzc_channel_program";
  const called = await library.call({ name, pool, program: SNAPSHOT_LINES_PROGRAM, names }, "change");
  if (called?.ok === false) return { kind: "unknown", why: called };
  if (called?.ok) {
    const { errno, value } = called.value;
    if (errno !== 0) return { kind: "refused", why: fail("command.failed", `${name}: errno ${errno}`) };
    const lines = value.split("\n");
    return { kind: "ran", written: createdOf(names, (index) => lines[index] || undefined) };
  }
  const end = await commands.zfs(["program", "-j", pool, "-", ...names], { stdin: SNAPSHOT_PROGRAM });
  // Killed or lost: the snapshots may exist, so `zfs snapshot` must not be tried.
  if (end.exit.kind !== "exited") return { kind: "unknown", why: failureOf(end) };
  if (!succeeded(end)) return { kind: "refused", why: failureOf(end) };
  const written = writtenByName(end.stdout, names);
  return written ? { kind: "ran", written } : { kind: "unreadable", why: unreadable(end.stdout) };
}

/** `writtenOf`: what the program returned for an index, undefined if it did not create that snapshot. */
function createdOf(names: readonly SnapshotName[], writtenOf: (index: number) => unknown): WrittenByName {
  const created = new Map<SnapshotName, Bytes | undefined>();
  for (const [index, name] of names.entries()) {
    const written = writtenOf(index);
    if (written === undefined) continue;
    // `nil` where the property could not be read.
    created.set(name, /^\d+$/.test(String(written)) ? bytes(BigInt(String(written))) : undefined);
  }
  return created;
}

/** The failure of a program that ended well, but whose result could not be read. */
function unreadable(stdout: string): FailedOutcome {
  const message = "zfs program: its result can't be read; the outcome is unknown, ask again";
  return withCause(fail("service.interrupted", message), stdout.slice(0, 200));
}
