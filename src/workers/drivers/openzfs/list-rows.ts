import type { SnapshotName } from "../../../protocol/storage/names.js";
import { bytes } from "../../../protocol/storage/units.js";
import type { CommandEnd } from "../../processes/run-command.js";
import type { AnyName, DatasetInfo } from "../driver.js";

/** What `zfs list -o` is asked for, for infoOf to read. */
export const COLUMNS = "name,type,guid,createtxg,volsize,written,origin";

/** The lines of `zfs list -H`, in their columns. */
export function rowsOf(end: CommandEnd): string[][] {
  return end.stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.split("\t"));
}

export function numberOf(field: string | undefined): bigint {
  return field !== undefined && /^\d+$/.test(field) ? BigInt(field) : 0n;
}

export function infoOf(fields: readonly string[]): DatasetInfo {
  const [name, type, guid = "", createtxg, volsize, written, origin] = fields;
  return {
    name: name as AnyName,
    type: type as DatasetInfo["type"],
    guid,
    createtxg: numberOf(createtxg),
    volsize: bytes(numberOf(volsize)),
    written: bytes(numberOf(written)),
    origin: origin === undefined || origin === "-" ? undefined : (origin as SnapshotName),
  };
}
