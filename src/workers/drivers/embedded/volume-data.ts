import type { DataRange } from "../../../protocol/raw-disk/data-ranges.js";
import { findData } from "../../../protocol/raw-disk/find-data.js";
import type { ChildTable } from "../../../protocol/threads/child-table.js";
import { startProcess } from "../../processes/child-process.js";

/** A process that only reads needs nobody to end it: when its reader is gone, so is its stdout. */
const unrecorded: ChildTable = { add: () => () => {}, addGroup: () => () => {} };

/** Where the file of a volume may hold data, as findData says. */
export function findVolumeData(path: string): Promise<readonly DataRange[] | undefined> {
  return findData(path, (argv) => startProcess(argv, { stdin: false, stdout: true }, unrecorded));
}
