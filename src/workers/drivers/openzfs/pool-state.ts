import { readFile } from "node:fs/promises";
import type { PoolName } from "../../../protocol/storage/names.js";
import type { ActorLog } from "../../../protocol/threads/actor-log.js";

/** Stands for a state of a pool: equal texts, the same datasets with the same properties. */
export type PoolState = string & { readonly brand: "PoolState" };

/** A transaction group (txg) in the kstat `txgs`. */
interface TxgLine {
  /** Its number, and its birth in ns since the boot: a pool that is made again begins at 1. */
  readonly id: string;
  /** Of open, quiesced, waiting for sync, syncing and committed the first letter. */
  readonly state: string;
  /** Nothing was written to the pool's disks by it. */
  readonly isEmpty: boolean;
}

/** The lines of `txgs`, oldest first; none where it is not what OpenZFS 2.1 to 2.3 write. */
function txgLines(history: string): TxgLine[] {
  const rows = history.split("\n").map((line) => line.trim().split(/\s+/));
  const heading = rows.find(([first]) => first === "txg") ?? [];
  const lines = rows.slice(rows.indexOf(heading) + 1).filter(([first]) => /^\d+$/.test(first ?? ""));
  const [txg, birth, state, nwritten] = ["txg", "birth", "state", "nwritten"].map((name) =>
    heading.indexOf(name),
  );
  if ([txg, birth, state, nwritten].some((column) => column === undefined || column < 0)) return [];
  return lines.map((line) => ({
    id: `${line[txg as number]} ${line[birth as number]}`,
    state: line[state as number] ?? "",
    isEmpty: line[nwritten as number] === "0",
  }));
}

/**
 * Tells states of a pool apart by its history of transaction groups. Each change of
 * datasets is part of a txg, which writes it to the disks, and the command that makes
 * it ends after the txg's commit. So while no txg is on its way between open and
 * committed, and all that were committed since are empty, nothing has changed.
 *
 * @returns a function that takes the text of the kstat `txgs` as it is now; its answer is
 *   undefined where it can't be said: a txg is on its way, or no history is kept.
 */
export function createStateTeller(): (history: string) => PoolState | undefined {
  let state: PoolState | undefined;
  let newest: string | undefined;

  return (history) => {
    const lines = txgLines(history);
    const open = lines.pop();
    const last = lines.at(-1);
    if (open?.state !== "O" || !last || lines.some((line) => line.state !== "C")) return undefined;
    const seen = lines.findIndex(({ id }) => id === newest);
    const isSame = seen >= 0 && lines.slice(seen + 1).every(({ isEmpty }) => isEmpty);
    if (!isSame) state = last.id as PoolState;
    newest = last.id;
    return state;
  };
}

export interface PoolStatesOptions {
  readonly pool: PoolName;
  /** argv to put before the path of a kstat, such as `["ssh", "node", "cat"]`; undefined: read it here; empty: read none. */
  readonly command: readonly string[] | undefined;
  /** Runs a command. @returns what it wrote, undefined when it failed. */
  run(argv: readonly string[]): Promise<string | undefined>;
  readonly log: ActorLog;
}

/** Tells the pool's state, once it is known whose kstats these are. */
export interface PoolStates {
  /** Takes up the kstats if they are of the pool with that guid, as `zpool` tells it. */
  open(guid: string): Promise<void>;
  /** The state now; undefined where it can't be told, and before open. */
  read(): Promise<PoolState | undefined>;
}

export function createPoolStates({ pool, command, run, log }: PoolStatesOptions): PoolStates {
  const stateOf = createStateTeller();
  let isOurs = false;

  function readKstat(name: "guid" | "txgs"): Promise<string | undefined> {
    const path = `/proc/spl/kstat/zfs/${pool}/${name}`;
    return command === undefined ? readFile(path, "utf8").catch(() => undefined) : run([...command, path]);
  }

  return {
    async open(guid) {
      if (command?.length === 0) return;
      // Behind a prefix such as ssh the pool is another machine's, and this one may have
      // a pool of the same name: its history would tell nothing about ours.
      isOurs = (await readKstat("guid"))?.trim() === guid;
      if (isOurs) log.info("look-ups are remembered while the pool does not change", { pool });
      else if (command !== undefined)
        log.warn("kstatCommand does not show this pool's kstats", { pool, command });
    },
    read: async () => (isOurs ? stateOf((await readKstat("txgs")) ?? "") : undefined),
  };
}
