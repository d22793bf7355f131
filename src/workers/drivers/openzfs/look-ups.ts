import { type FailedOutcome, failed, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import { failureOf, missingNames } from "../../processes/command-failures.js";
import type { CommandEnd } from "../../processes/run-command.js";
import type { AnyName, DatasetInfo } from "../driver.js";
import { createCoalescer } from "./coalescer.js";
import { COLUMNS, infoOf, rowsOf } from "./list-rows.js";
import type { PoolState } from "./pool-state.js";

export type Found = Outcome<DatasetInfo | undefined>;

export interface LookUpOptions {
  /** Runs `zfs list` with these arguments. */
  list(args: readonly string[]): Promise<CommandEnd>;
  /** The state of the pool; undefined: it can't be told, and nothing may be remembered. */
  poolState(): Promise<PoolState | undefined>;
  readonly namesPerCommand: number;
}

/** Look-ups wait for no transaction group, but zfs uses one processor for a command. */
const READS_AT_ONCE = 2;
/** Of names that do not exist there are as many as clients like to ask for. */
const MOST_REMEMBERED = 20_000;

/**
 * Looks up datasets by their names. All that wait at one moment share a process, and what
 * it told is remembered for as long as the pool does not change. The pool's state is read
 * after the question has come: so an answer is never older than its question.
 */
export function createLookUp(options: LookUpOptions): (name: AnyName) => Promise<Found> {
  const { poolState, namesPerCommand } = options;
  let remembered: { readonly state: PoolState | undefined; readonly found: Map<AnyName, Found> } = {
    state: undefined,
    found: new Map(),
  };

  /** What was found in that state. */
  function foundIn(state: PoolState | undefined): Map<AnyName, Found> {
    const isSame = state !== undefined && state === remembered.state;
    if (!isSame || remembered.found.size > MOST_REMEMBERED) remembered = { state, found: new Map() };
    return remembered.found;
  }

  async function lookUp(names: readonly AnyName[]): Promise<(name: AnyName) => Found> {
    const known = foundIn(await poolState());
    const unknown = names.filter((name) => !known.has(name));
    const unanswered = new Map<AnyName, Found>();
    const chunks: Promise<void>[] = [];
    for (let at = 0; at < unknown.length; at += namesPerCommand) {
      const chunk = unknown.slice(at, at + namesPerCommand);
      chunks.push(
        listNames(options, chunk).then((found) => {
          for (const [name, outcome] of found) (outcome.ok ? known : unanswered).set(name, outcome);
        }),
      );
    }
    await Promise.all(chunks);
    return (name) => known.get(name) ?? unanswered.get(name) ?? failed.notFound;
  }

  return createCoalescer(READS_AT_ONCE, lookUp);
}

/** One process for some names; a missing one does not hide the others. @returns an answer for each. */
export async function listNames(
  { list }: Pick<LookUpOptions, "list">,
  names: readonly AnyName[],
): Promise<Map<AnyName, Found>> {
  // -d 0: a volume's name stands for itself only, although snapshots are listed too.
  const end = await list(["-t", "all", "-d", "0", "-o", COLUMNS, ...names]);
  const shown = new Map(rowsOf(end).map((row) => [row[0], infoOf(row)]));
  const missing = missingNames(end.stderr);
  const other: FailedOutcome =
    end.exit.kind === "exited" && end.exit.code === 0 ? failed.notFound : failureOf(end);
  return new Map(
    names.map((name): [AnyName, Found] => {
      const info = shown.get(name);
      return [name, info || missing.has(name) ? succeed(info) : other];
    }),
  );
}
