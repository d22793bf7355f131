import { setTimeout as sleep } from "node:timers/promises";
import { type FailedOutcome, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import type { OpenZfsSettings } from "../../../protocol/storage/pool-settings.js";
import { failureOf } from "../../processes/command-failures.js";
import {
  type CommandEnd,
  type CommandKind,
  type CommandLimits,
  type RunCommand,
  succeeded,
} from "../../processes/run-command.js";
import type { Properties } from "../driver.js";

/** Looks for what keeps a dataset busy. @returns undefined if it finds nothing that lasts. */
type FindObstacle = () => Promise<FailedOutcome | undefined>;

/**
 * Most names in one argv. 300 names of 255 bytes stay below 128 KiB, the least that Linux
 * allows for all arguments of a command.
 */
export const NAMES_PER_COMMAND = 300;

/** Enough for 100,000 snapshots whose names and numbers have full length. */
export const LIST_OUTPUT_BYTES = 64 * 1024 * 1024;

/** Enough for the output of every command that lists nothing. */
const SHORT_OUTPUT_BYTES = 1024 * 1024;

/**
 * Pauses between the attempts of a change that is refused as busy. Mostly udev or a disk
 * scan has the volume open, and closes it soon.
 */
const BUSY_PAUSES_MS: readonly number[] = [50, 100, 200, 400, 800];

/** Runs the commands of one pool: puts the configured argv in front and applies the default limits. */
export interface ZfsCommands {
  /** Commands started so far, of all kinds. */
  readonly commandsRun: number;
  /** Runs `zfs` with `args`. Never rejects. */
  zfs(args: readonly string[], limits?: Partial<CommandLimits>): Promise<CommandEnd>;
  /** Runs `zpool` with `args`, which only read. Never rejects. */
  zpool(args: readonly string[]): Promise<CommandEnd>;
  /** Runs `argv`, which only reads, as it is: without the configured prefix. Never rejects. */
  read(argv: readonly string[]): Promise<CommandEnd>;
  /**
   * Runs a `zfs` command that changes the pool. While the dataset is busy it is retried, five
   * times within about 1.5 s, unless `findObstacle` finds why; every other failure is final.
   */
  change(
    args: readonly string[],
    limits?: Partial<CommandLimits>,
    findObstacle?: FindObstacle,
  ): Promise<Outcome<null>>;
}

/** The kinds of zfs's verbs; all others change something. A rollback may destroy snapshots. */
const KINDS: Readonly<Record<string, CommandKind>> = {
  list: "read",
  get: "read",
  holds: "read",
  version: "read",
  // Those that are run here send nothing (-n).
  send: "read",
  hold: "hold",
  release: "hold",
  destroy: "destroy",
  rollback: "destroy",
};

/** Commands without limits of their own may take `timeoutMs` and write 1 MiB. */
export function createZfsCommands(
  { zfsCommand, zpoolCommand }: Pick<OpenZfsSettings, "zfsCommand" | "zpoolCommand">,
  timeoutMs: number,
  run: RunCommand,
): ZfsCommands {
  let commandsRun = 0;

  function execute(
    argv: readonly string[],
    kind: CommandKind,
    limits?: Partial<CommandLimits>,
  ): Promise<CommandEnd> {
    commandsRun++;
    return run(argv, { timeoutMs, stdoutBytes: SHORT_OUTPUT_BYTES, ...limits }, kind);
  }

  function zfs(args: readonly string[], limits?: Partial<CommandLimits>): Promise<CommandEnd> {
    return execute([...zfsCommand, ...args], KINDS[args[0] ?? ""] ?? "change", limits);
  }

  return {
    get commandsRun() {
      return commandsRun;
    },
    zfs,
    zpool: (args) => execute([...zpoolCommand, ...args], "read"),
    read: (argv) => execute(argv, "read"),
    async change(args, limits, findObstacle) {
      return retryWhileBusy(async () => {
        const end = await zfs(args, limits);
        return succeeded(end) ? succeed(null) : failureOf(end);
      }, findObstacle);
    },
  };
}

/**
 * Tries again while the outcome is dataset.busy, five times within about 1.5 s.
 * @param findObstacle - is asked once, after the first busy outcome. What it finds will not go away
 *   by itself, so it is the outcome, and nothing is tried again.
 */
export async function retryWhileBusy<T>(
  attempt: () => Promise<Outcome<T>>,
  findObstacle?: FindObstacle,
): Promise<Outcome<T>> {
  for (const [index, pauseMs] of BUSY_PAUSES_MS.entries()) {
    const outcome = await attempt();
    if (outcome.ok || outcome.failure.code !== "dataset.busy") return outcome;
    const obstacle = index === 0 ? await findObstacle?.() : undefined;
    if (obstacle) return obstacle;
    await sleep(pauseMs);
  }
  return attempt();
}

/** The arguments that set `properties` on a new dataset. */
export function propertyFlags(properties: Properties): string[] {
  return Object.entries(properties).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
}
