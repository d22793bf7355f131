import { type FailedOutcome, failed, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import type { PoolState } from "../../../protocol/storage/txg-history.js";
import { createCoalescer } from "../../batching/coalescer.js";
import { failureOf, missingNames } from "../../processes/command-failures.js";
import { type CommandEnd, succeeded } from "../../processes/run-command.js";
import { type AnyName, type FoundDataset, sizeOf, type Zfs } from "../driver.js";
import type { LibraryWay } from "./library-way.js";
import { COLUMNS, infoOf, rowsOf } from "./list-rows.js";
import { DATASETS, type LookUpProgram, SIZES } from "./look-up-program.js";

/** Undefined: there is no such dataset. */
type Found<Row> = Outcome<Row | undefined>;

type LookUps = Pick<Zfs, "find" | "findSize">;

/** Runs `zfs list` with these arguments. */
type List = (args: readonly string[]) => Promise<CommandEnd>;

interface LookUpOptions {
  readonly library: Pick<LibraryWay, "isOpen" | "find">;
  readonly list: List;
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
 * Where the library can be called, sizes are looked up apart: a command finds all of a dataset anyway.
 */
export function createLookUps(options: LookUpOptions): LookUps {
  const { library } = options;
  const find = createLookUp(options, DATASETS, (found) => found);
  const findAlone = createLookUp(options, SIZES, sizeOf);
  return { find, findSize: (name) => (library.isOpen ? findAlone(name) : sizeBy(find, name)) };
}

/** `rowOf`: what of a dataset that a command listed is wanted. */
function createLookUp<Row>(
  { library, list, poolState, namesPerCommand }: LookUpOptions,
  program: LookUpProgram<Row>,
  rowOf: (found: FoundDataset) => Row,
): (name: AnyName) => Promise<Found<Row>> {
  /** Answers that hold while the pool is in `state`; undefined: they only serve the run that found them. */
  let cache: { readonly state: PoolState | undefined; readonly answers: Map<AnyName, Found<Row>> } = {
    state: undefined,
    answers: new Map(),
  };

  /** The answers that hold in `state`. Starts a new cache if the pool changed or the cache is full. */
  function answersIn(state: PoolState | undefined): Map<AnyName, Found<Row>> {
    const isSame = state !== undefined && state === cache.state;
    if (!isSame || cache.answers.size > MAX_CACHED) cache = { state, answers: new Map() };
    return cache.answers;
  }

  /** Looks up `names` in one call of the library, or in one process. @returns an answer for each. */
  async function findNames(names: readonly AnyName[]): Promise<ReadonlyMap<AnyName, Found<Row>>> {
    const found = await library.find(program, names);
    if (found) return found;
    const listed = await listNames(list, names);
    return new Map(
      Array.from(listed, ([name, outcome]) => [
        name,
        outcome.ok ? succeed(outcome.value && rowOf(outcome.value)) : outcome,
      ]),
    );
  }

  return createCoalescer(MAX_CONCURRENT_RUNS, async (names: readonly AnyName[]) => {
    const cached = answersIn(await poolState());
    const unknown = names.filter((name) => !cached.has(name));
    const failures = new Map<AnyName, Found<Row>>();
    const lists: Promise<void>[] = [];
    for (let at = 0; at < unknown.length; at += namesPerCommand) {
      const chunk = unknown.slice(at, at + namesPerCommand);
      lists.push(
        findNames(chunk).then((found) => {
          for (const [name, outcome] of found) (outcome.ok ? cached : failures).set(name, outcome);
        }),
      );
    }
    await Promise.all(lists);
    return (name) => cached.get(name) ?? failures.get(name) ?? failed.notFound;
  });
}

/** Look-ups that share nothing: each has a process of its own. */
export function createSingleLookUps(list: List): LookUps {
  const find = async (name: AnyName) => (await listNames(list, [name])).get(name) ?? failed.notFound;
  return { find, findSize: (name) => sizeBy(find, name) };
}

async function sizeBy(find: LookUps["find"], name: AnyName): ReturnType<LookUps["findSize"]> {
  const found = await find(name);
  return found.ok ? succeed(found.value && sizeOf(found.value)) : found;
}

/** Looks up `names` in one process. @returns an answer for each: a missing dataset hides no other. */
async function listNames(list: List, names: readonly AnyName[]): Promise<Map<AnyName, Found<FoundDataset>>> {
  // -d 0: without it `-t all` would list a volume's snapshots too.
  const end = await list(["-t", "all", "-d", "0", "-o", COLUMNS, ...names]);
  const shown = new Map(rowsOf(end).map((row) => [row[0], foundOf(row)]));
  const missing = missingNames(end.stderr);
  const other: FailedOutcome = succeeded(end) ? failed.notFound : failureOf(end);
  return new Map(
    names.map((name) => {
      const found = shown.get(name);
      return [name, found || missing.has(name) ? succeed(found) : other];
    }),
  );
}

function foundOf(row: readonly string[]): FoundDataset {
  const { createtxg: _, ...found } = infoOf(row);
  return found;
}
