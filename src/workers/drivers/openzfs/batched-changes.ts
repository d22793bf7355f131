import { type FailedOutcome, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import {
  type DatasetName,
  datasetOf,
  type PoolName,
  type SnapshotName,
  tagOf,
} from "../../../protocol/storage/names.js";
import type { Bytes } from "../../../protocol/storage/units.js";
import type { ActorLog } from "../../../protocol/threads/actor-log.js";
import { createBatcher } from "../../batching/batcher.js";
import { blamedNames, failureOf } from "../../processes/command-failures.js";
import { type CommandLimits, succeeded } from "../../processes/run-command.js";
import { createKeyedBatchers } from "./keyed-batchers.js";
import { createLibraryBatches } from "./library-batches.js";
import type { LibraryWay } from "./library-way.js";
import { runSnapshotProgram, type WrittenByName } from "./snapshot-program.js";
import { NAMES_PER_COMMAND, type ZfsCommands } from "./zfs-commands.js";

/** Each command waits for a transaction group to be committed, and two commands may share one. */
const MAX_CONCURRENT_BATCHES = 2;

/** How long snapshots are made without programs after zfs has refused one that `zfs snapshot` then made. */
const PROGRAM_PAUSE_MS = 5 * 60_000;

/** The changes of a batch that failed. Those that are missing here have happened. */
type BatchFailures = ReadonlyMap<SnapshotName, FailedOutcome>;

/**
 * Creates and destroys snapshots, many with one command. What each caller may rely on:
 * - It gets the outcome of its own change. A change that fails neither fails nor hides another,
 *   and its message comes from a command that ran for it alone.
 * - A change is retried only when it surely did not happen. If the command was killed or lost,
 *   every change in it gets that failure, and nobody knows which of them happened.
 * - A batch is no transaction: callers that share one succeed or fail independently.
 * - The order of two changes that are pending together is open. Await the first if it matters.
 */
interface BatchedChanges {
  /** @returns what the snapshot has written; undefined if only a look-up can say. */
  snapshot(name: SnapshotName): Promise<Outcome<Bytes | undefined>>;
  destroy(name: SnapshotName): Promise<Outcome<null>>;
}

interface Destroying {
  readonly limits: Partial<CommandLimits>;
  /** What is in the way of destroying a snapshot that zfs calls busy. */
  findObstacle(name: SnapshotName): Promise<FailedOutcome | undefined>;
}

export function createBatchedChanges(
  pool: PoolName,
  commands: ZfsCommands,
  library: LibraryWay,
  destroying: Destroying,
  log: ActorLog,
): BatchedChanges {
  /** When `zfs program` is tried again after it was refused, by performance.now(). */
  let programsFrom = 0;
  /** Whether the newest program was refused. Only a change of this is logged. */
  let isRefused = false;

  function pausePrograms(why: FailedOutcome): void {
    programsFrom = performance.now() + PROGRAM_PAUSE_MS;
    if (!isRefused) {
      log.warn("channel programs fail; snapshots are made by zfs snapshot, programs are tried again later", {
        pool,
        pauseMs: PROGRAM_PAUSE_MS,
        ...why.failure,
      });
    }
    isRefused = true;
  }

  function resumePrograms(): void {
    if (isRefused) log.info("channel programs work again", { pool });
    isRefused = false;
  }

  /** Creates snapshots of different datasets. What the program doesn't create, `zfs snapshot` explains. */
  async function snapshotBatch(
    names: readonly SnapshotName[],
  ): Promise<readonly Outcome<Bytes | undefined>[]> {
    let written: WrittenByName | undefined;
    let refused: FailedOutcome | undefined;
    if (performance.now() >= programsFrom) {
      const end = await runSnapshotProgram(pool, names, library, commands);
      if (end.kind === "unreadable") pausePrograms(end.why);
      if (end.kind === "ran") {
        written = end.written;
        resumePrograms();
      } else if (end.kind === "refused") refused = end.why;
      // The snapshots may exist, so `zfs snapshot` must not be tried.
      else return names.map(() => end.why);
    }
    const others = names.filter((name) => !written?.has(name));
    const failures = await changeBatch(commands, (batch) => ["snapshot", ...batch], others);
    // `zfs snapshot` works where the program failed, so zfs refuses programs as such.
    if (refused && failures.size < others.length) pausePrograms(refused);
    return names.map((name) => failures.get(name) ?? succeed(written?.get(name)));
  }

  return {
    // One snapshot of a dataset in a batch: zfs refuses two in one transaction group.
    snapshot: createBatcher<SnapshotName, Outcome<Bytes | undefined>>({
      maxBatches: MAX_CONCURRENT_BATCHES,
      maxItems: NAMES_PER_COMMAND,
      keyOf: datasetOf,
      runBatch: snapshotBatch,
    }),
    destroy: createLibraryBatches({
      library,
      kind: "destroy",
      nameOf: (name) => name,
      mustExist: true,
      callOf: (names) => ({ name: "lzc_destroy_snaps", names }),
      byCommand: batchedDestroys(commands, destroying),
    }),
  };
}

/** A batcher for each dataset, for `zfs destroy DATASET@a,b` takes snapshots of one dataset only. */
function batchedDestroys(commands: ZfsCommands, destroying: Destroying): BatchedChanges["destroy"] {
  const destroyOf = createKeyedBatchers((dataset: DatasetName) =>
    createBatcher<SnapshotName, Outcome<null>>({
      maxBatches: MAX_CONCURRENT_BATCHES,
      maxItems: NAMES_PER_COMMAND,
      // Two calls for one snapshot share no command: the second must find it destroyed.
      keyOf: (name) => name,
      async runBatch(names) {
        const argsFor = (batch: readonly SnapshotName[]) => [
          "destroy",
          `${dataset}@${batch.map(tagOf).join(",")}`,
        ];
        const failures = await changeBatch(commands, argsFor, names, destroying);
        return names.map((name) => failures.get(name) ?? succeed(null));
      },
    }),
  );
  return (name) => destroyOf(datasetOf(name), name);
}

/**
 * Runs one command for all `names`, which zfs applies to all of them or to none. If it fails,
 * those that stderr blames run alone, so that each gets its own message, and the others run
 * together again. If stderr blames none of them, each runs alone.
 */
async function changeBatch(
  commands: ZfsCommands,
  argsFor: (names: readonly SnapshotName[]) => readonly string[],
  names: readonly SnapshotName[],
  destroying: Partial<Destroying> = {},
): Promise<BatchFailures> {
  const { limits, findObstacle } = destroying;
  if (names.length <= 1) return changeEach(names);
  const end = await commands.zfs(argsFor(names), limits);
  if (succeeded(end)) return new Map();
  // Killed or lost: the changes may have happened, so a second attempt could fail for that alone.
  if (end.exit.kind !== "exited") {
    const unknown = failureOf(end);
    return new Map(names.map((name) => [name, unknown]));
  }
  const inStderr = blamedNames(end.stderr);
  const isBlamed = (name: SnapshotName) => inStderr.has(name) || inStderr.has(datasetOf(name));
  const blamed = names.filter(isBlamed);
  if (blamed.length === 0) return changeEach(names);
  const others = names.filter((name) => !isBlamed(name));
  const parts = await Promise.all([changeBatch(commands, argsFor, others, destroying), changeEach(blamed)]);
  return new Map(parts.flatMap((failures) => [...failures]));

  async function changeEach(each: readonly SnapshotName[]): Promise<BatchFailures> {
    const failures = new Map<SnapshotName, FailedOutcome>();
    const change = async (name: SnapshotName) => {
      const outcome = await commands.change(
        argsFor([name]),
        limits,
        findObstacle && (() => findObstacle(name)),
      );
      if (!outcome.ok) failures.set(name, outcome);
    };
    await Promise.all(each.map(change));
    return failures;
  }
}
