import { type Outcome, succeed } from "../../../protocol/storage/failures.js";
import type { SnapshotName } from "../../../protocol/storage/names.js";
import { isBookmarkName, type SendFrom, type SendTerms } from "../../../protocol/storage/send-terms.js";
import { failureOf, onlyMissing } from "../../processes/command-failures.js";
import { succeeded } from "../../processes/run-command.js";
import type { SendBase } from "../driver.js";
import { numberOf, rowsOf } from "./list-rows.js";
import type { ZfsCommands } from "./zfs-commands.js";

type Commands = Pick<ZfsCommands, "zfs">;

/** The options of `zfs send` for a stream. */
export function sendFlags(terms: SendTerms = {}): readonly string[] {
  const { from, intermediates } = terms;
  return from === undefined ? [] : [intermediates ? "-I" : "-i", from];
}

/**
 * Looks for both ends of an incremental stream. The snapshots between them need no hold of ours: `zfs send
 * -I` holds them itself.
 */
export async function findBase(
  { zfs }: Commands,
  name: SnapshotName,
  from: SendFrom,
): Promise<Outcome<SendBase | undefined>> {
  const end = await zfs(["get", "-Hp", "-o", "name,property,value", "guid,createtxg", name, from]);
  if (!succeeded(end) && !onlyMissing(end.stderr)) return failureOf(end);
  const rows = rowsOf(end);
  const readOf = (of: SendFrom, wanted: string) =>
    rows.find(([found, property]) => found === of && property === wanted)?.[2];
  const guid = readOf(from, "guid");
  if (guid === undefined) return succeed(undefined);
  const isOlder = numberOf(readOf(from, "createtxg")) < numberOf(readOf(name, "createtxg"));
  return succeed({ guid, isOlder, needs: isBookmarkName(from) ? [] : [{ name: from, guid }] });
}

/** What `zfs send -n` says of the size. Undefined: it does not say, or fails. */
export async function estimateByDryRun(
  { zfs }: Commands,
  name: SnapshotName,
  terms: SendTerms,
): Promise<number | undefined> {
  const end = await zfs(["send", "-nP", ...sendFlags(terms), name]);
  const [, digits = ""] = succeeded(end) ? (/^size\t(\d{1,15})$/m.exec(end.stdout) ?? []) : [];
  return digits === "" ? undefined : Number(digits);
}
