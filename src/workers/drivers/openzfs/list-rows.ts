import type { SnapshotName } from "../../../protocol/storage/names.js";
import { bytes } from "../../../protocol/storage/units.js";
import type { CommandEnd } from "../../processes/run-command.js";
import type { AnyName, DatasetInfo } from "../driver.js";

/** The columns (`zfs list -o`) that `infoOf` reads, in its order. More may follow. */
export const COLUMNS = "name,type,guid,createtxg,volsize,written,origin";

/** The rows of a command run with `-H`: one a line, fields separated by tabs. */
export function rowsOf({ stdout }: CommandEnd): string[][] {
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.split("\t"));
}

/** A field that `-p` prints in full digits. Zero where zfs prints `-`: the dataset lacks the property. */
export function numberOf(field: string | undefined): bigint {
  return field !== undefined && /^\d+$/.test(field) ? BigInt(field) : 0n;
}

/** The field of an origin, "-" where there is none. */
export function originOf(field: string | undefined): SnapshotName | undefined {
  return field === undefined || field === "-" ? undefined : (field as SnapshotName);
}

/** Reads a row of COLUMNS. zfs is trusted to print names and types as it defines them. */
export function infoOf(fields: readonly string[]): DatasetInfo {
  const [name, type, guid = "", createtxg, volsize, written, origin] = fields;
  return {
    name: name as AnyName,
    type: type as DatasetInfo["type"],
    guid,
    createtxg: numberOf(createtxg),
    volsize: bytes(numberOf(volsize)),
    written: bytes(numberOf(written)),
    origin: originOf(origin),
  };
}
