import type { RecordKind } from "./record-tables.js";
import type { Parameter } from "./verb-parameters.js";

/** A command that calls one method of the daemon. */
export interface Verb {
  readonly group:
    | "image"
    | "volume"
    | "snapshot"
    | "bookmark"
    | "backup"
    | "guest"
    | "pool"
    | "job"
    | "audit";
  readonly name: string;
  readonly method: string;
  readonly summary: string;
  readonly arguments: readonly Parameter[];
  readonly options: readonly Parameter[];
  /** What the answer holds. `disks`: those of its guest. */
  readonly records: RecordKind;
  /** What is gone for good afterwards: a person is asked first. */
  readonly destroys?:
    | "dataset"
    | "image"
    | "old images"
    | "disks"
    | "newer snapshots"
    | "what its source has not";
  /** What a dry run of it tells is shown step by step, by this kind of answer. */
  readonly steps?: "restore" | "migration";
  /** It may last: a terminal is shown how far it is, and Ctrl-C there cancels it. */
  readonly lasts?: true;
  /** Its answer comes in pages. */
  readonly isList: boolean;
}

type Row = Partial<Verb> & Pick<Verb, "name" | "method" | "summary">;

/** The commands of a group. `records`: what their answers hold, where they don't say otherwise. */
export const verbsOf = (group: Verb["group"], records: RecordKind, rows: readonly Row[]): Verb[] =>
  rows.map((row) => ({ group, records, arguments: [], options: [], isList: false, ...row }));
