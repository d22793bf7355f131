import { type FailedOutcome, failed, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import type { PoolState } from "../../../protocol/storage/txg-history.js";
import { createCoalescer } from "../../batching/coalescer.js";
import { failureOf, missingNames } from "../../processes/command-failures.js";
import { type CommandEnd, succeeded } from "../../processes/run-command.js";
import type { AnyName, DatasetInfo } from "../driver.js";
import type { LibraryWay } from "./library-way.js";
import { COLUMNS, infoOf, rowsOf } from "./list-rows.js";

/** Undefined: there is no such dataset. */
type Found = Outcome<DatasetInfo | undefined>;

interface LookUpOptions {
  readonly library: Pick<LibraryWay, "find">;
  /** Runs `zfs list` with these arguments. */
  list(args: readonly string[]): Promise<CommandEnd>;
  /** The state of the pool now; undefined if it is unknown, and then nothing may be cached. */
  poolState(): Promise<PoolState | undefined>;
  readonly namesPerCommand: number;
}

/** A look-up waits for no transaction group, but each run keeps one processor busy. */
const MAX_CONCURRENT_RUNS = 2;
/** Answers in the cache. It needs a bound because clients may ask for any number of missing names. */
const MAX_CACHED = 20_000;

/**
 * Looks up datasets by name. Look-ups that wait at the same moment share runs, and their
 * answers are cached while the pool doesn't change. Its state is read after the question came,
 * so no answer is older than its question (docs/decisions/reads.md). Failures are not cached.
 */
export function createLookUp(options: LookUpOptions): (name: AnyName) => Promise<Found> {
  const { poolState, namesPerCommand } = options;
  /** Answers that hold while the pool is in `state`; undefined: they only serve the run that found them. */
  let cache: { readonly state: PoolState | undefined; readonly answers: Map<AnyName, Found> } = {
    state: undefined,
    answers: new Map(),
  };

  /** The answers that hold in `state`. Starts a new cache if the pool changed or the cache is full. */
  function answersIn(state: PoolState | undefined): Map<AnyName, Found> {
    const isSame = state !== undefined && state === cache.state;
    if (!isSame || cache.answers.size > MAX_CACHED) cache = { state, answers: new Map() };
    return cache.answers;
  }

  async function lookUp(names: readonly AnyName[]): Promise<(name: AnyName) => Found> {
    const cached = answersIn(await poolState());
    const unknown = names.filter((name) => !cached.has(name));
    const failures = new Map<AnyName, Found>();
    const lists: Promise<void>[] = [];
    for (let at = 0; at < unknown.length; at += namesPerCommand) {
      const chunk = unknown.slice(at, at + namesPerCommand);
      lists.push(
        findNames(options, chunk).then((found) => {
          for (const [name, outcome] of found) (outcome.ok ? cached : failures).set(name, outcome);
        }),
      );
    }
    await Promise.all(lists);
    return (name) => cached.get(name) ?? failures.get(name) ?? failed.notFound;
  }

  return createCoalescer(MAX_CONCURRENT_RUNS, lookUp);
}

/** Looks up `names` in one call of the library, or in one process. @returns an answer for each. */
async function findNames(
  { library, list }: Pick<LookUpOptions, "library" | "list">,
  names: readonly AnyName[],
): Promise<ReadonlyMap<AnyName, Found>> {
  return (await library.find(names)) ?? listNames({ list }, names);
}

/** Looks up `names` in one process. @returns an answer for each: a missing dataset hides no other. */
export async function listNames(
  { list }: Pick<LookUpOptions, "list">,
  names: readonly AnyName[],
): Promise<Map<AnyName, Found>> {
  // -d 0: without it `-t all` would list a volume's snapshots too.
  const end = await list(["-t", "all", "-d", "0", "-o", COLUMNS, ...names]);
  const shown = new Map(rowsOf(end).map((row) => [row[0], infoOf(row)]));
  const missing = missingNames(end.stderr);
  const other: FailedOutcome = succeeded(end) ? failed.notFound : failureOf(end);
  return new Map(
    names.map((name): [AnyName, Found] => {
      const info = shown.get(name);
      return [name, info || missing.has(name) ? succeed(info) : other];
    }),
  );
}
