import type { PoolName } from "./names.js";

/** The path of a kstat of a pool, as Linux shows it. */
export function kstatFile(pool: PoolName, name: "guid" | "txgs"): string {
  return `/proc/spl/kstat/zfs/${pool}/${name}`;
}

/** Identifies a state of a pool: while it stays equal, datasets and their properties are the same. */
export type PoolState = string;

/** A transaction group (txg) in the kstat `txgs`. */
export interface TxgLine {
  /** Number and birth, in ns since the boot. The number alone is not enough: a recreated pool begins at 1. */
  readonly id: string;
  /** The first letter of open, quiesced, waiting for sync, syncing or committed. */
  readonly state: string;
  /** The group wrote nothing to the pool's disks. */
  readonly isEmpty: boolean;
}

/** The lines of `txgs`, oldest first. None if the text is not in the format of OpenZFS 2.1 to 2.4. */
export function txgLines(history: string): TxgLine[] {
  const rows = history.split("\n").map((line) => line.trim().split(/\s+/));
  const heading = rows.find(([first]) => first === "txg") ?? [];
  const lines = rows.slice(rows.indexOf(heading) + 1).filter(([first]) => /^\d+$/.test(first ?? ""));
  const columns = {
    txg: heading.indexOf("txg"),
    birth: heading.indexOf("birth"),
    state: heading.indexOf("state"),
    nwritten: heading.indexOf("nwritten"),
  };
  if (Object.values(columns).includes(-1)) return [];
  return lines.map((line) => ({
    id: `${line[columns.txg]} ${line[columns.birth]}`,
    state: line[columns.state] ?? "",
    isEmpty: line[columns.nwritten] === "0",
  }));
}

/**
 * Derives states of a pool from its history of transaction groups. Each change of datasets
 * belongs to a txg that writes it to the disks, and the command that makes the change ends
 * after that txg is committed. So nothing has changed if no txg is between open and committed
 * and all that were committed since the last look are empty.
 * @returns a function that takes the kstat `txgs` as it is now and gives the pool's state, or
 *   undefined if it is unknown: a txg is being written, or no history is kept.
 */
export function createPoolStateTracker(): (history: string) => PoolState | undefined {
  /** The state at the last look. It is named after the txg that was the newest when it was first seen. */
  let state: PoolState | undefined;
  /** The id of the newest committed txg at the last look. */
  let newest: string | undefined;

  return (history) => {
    const lines = txgLines(history);
    const open = lines.pop();
    const last = lines.at(-1);
    if (open?.state !== "O" || !last || lines.some((line) => line.state !== "C")) return undefined;
    const seen = lines.findIndex(({ id }) => id === newest);
    const isSame = seen >= 0 && lines.slice(seen + 1).every(({ isEmpty }) => isEmpty);
    if (!isSame) state = last.id;
    newest = last.id;
    return state;
  };
}
