import { basename } from "node:path";
import { type FailedOutcome, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import type { OpenZfsSettings } from "../../../protocol/storage/pool-settings.js";
import type { ActorLog } from "../../../protocol/threads/actor-log.js";
import { argvOf, type LibraryCall, type LibraryEnd, type Returned } from "../../libzfs/library-call.js";
import { failureOf } from "../../processes/command-failures.js";
import type { CommandKind } from "../../processes/run-command.js";
import type { CallLibrary } from "../../processes/slots.js";
import type { AnyName } from "../driver.js";
import { DATASETS, type LookUpProgram, rowsByName } from "./look-up-program.js";
import type { ZfsCommands } from "./zfs-commands.js";

/**
 * The way to a pool that needs no processes: calls of libzfs_core, made in the runner. It only ever does
 * what a command would do. Whatever it can't do, or is refused, is left to the command, which does
 * it or says in its words why not. So `undefined` means everywhere: nothing has happened, run the command.
 */
export interface LibraryWay {
  readonly isOpen: boolean;
  /** Looks whether the way can be gone. Until then it can't. */
  open(): Promise<void>;
  /** Fails only if the outcome is unknown: then no command may try the change again. */
  call(call: LibraryCall, kind: CommandKind): Promise<Outcome<Returned> | undefined>;
  /** Looks up all `names` by a program. An answer for each: undefined if there is no such dataset. */
  find<Row>(program: LookUpProgram<Row>, names: readonly AnyName[]): Promise<FoundByName<Row> | undefined>;
}

type FoundByName<Row> = ReadonlyMap<AnyName, Outcome<Row | undefined>>;

interface LibraryWayOptions {
  readonly settings: OpenZfsSettings;
  readonly timeoutMs: number;
  /** Time limit of what destroys something. */
  readonly destroyTimeoutMs: number;
  readonly log: ActorLog;
  readonly call: CallLibrary;
  readonly commands: Pick<ZfsCommands, "zfs">;
}

/**
 * Names in a look-up. While a channel program runs, the pool can sync nothing, so many names take several
 * programs in turn.
 */
const NAMES_PER_CALL = 64;

/** How long commands do everything after a call that took too long. It doubles with each one in turn. */
const SHORTEST_PAUSE_MS = 5 * 60_000;
const LONGEST_PAUSE_MS = 80 * 60_000;

export function createLibraryWay(options: LibraryWayOptions): LibraryWay {
  const { settings, timeoutMs, destroyTimeoutMs, log } = options;
  const pool = settings.name;
  /** Set by `open`. */
  let isUsable = false;
  /** Until when commands do everything, by performance.now(). */
  let pausedUntil = 0;
  /** The newest pause; none since a call was answered. */
  let pauseMs = 0;

  const isOpen = () => isUsable && performance.now() >= pausedUntil;

  /** Whoever hangs in the kernel keeps a runner's memory, killed or not, so the next try is later each time. */
  function pause(call: LibraryCall): void {
    // Others that hung beside the first one.
    if (performance.now() < pausedUntil) return;
    pauseMs = Math.min(LONGEST_PAUSE_MS, Math.max(SHORTEST_PAUSE_MS, pauseMs * 2));
    pausedUntil = performance.now() + pauseMs;
    log.warn("a call of libzfs_core took too long; commands do everything for a while", {
      pool,
      call: call.name,
      pauseMs,
    });
  }

  async function perform(call: LibraryCall, kind: CommandKind): Promise<Outcome<Returned> | string> {
    const limitMs = kind === "destroy" ? destroyTimeoutMs : timeoutMs;
    const { exit, ms } = await options.call(call, kind, limitMs);
    if (exit.kind === "returned") {
      pauseMs = 0;
      return succeed(exit);
    }
    if (exit.kind === "timed_out") pause(call);
    return exit.kind === "unusable" ? exit.why : unknownOutcome(call, exit, ms);
  }

  const lookUp = ({ text }: Pick<LookUpProgram<unknown>, "text">, names: readonly string[]) =>
    perform({ name: "lzc_channel_program_nosync", pool, program: text, names }, "read");

  /** Why the way can't be gone; undefined if it can. */
  async function obstacle(): Promise<string | undefined> {
    const { library, dispatch, zfsCommand, zpoolCommand } = settings;
    if (library === "off" || dispatch === "single") return "it is switched off";
    const isPlain = ([program = "", ...prefixed]: readonly string[], name: string) =>
      basename(program) === name && prefixed.length === 0;
    if (!isPlain(zfsCommand, "zfs") || !isPlain(zpoolCommand, "zpool")) return "the commands have a prefix";
    const shown = await lookUp(DATASETS, [pool]);
    if (typeof shown === "string") return shown;
    if (!shown.ok) return shown.failure.message;
    if (shown.value.errno !== 0) return `a channel program is refused: errno ${shown.value.errno}`;
    // The commands may be another program's, and what they show another machine's pool.
    const listed = await options.commands.zfs(["list", "-Hp", "-o", "guid", pool]);
    const guid = rowsByName(DATASETS, shown.value.value, [pool])?.get(pool)?.guid;
    return guid === listed.stdout.trim() ? undefined : "it shows another pool of this name";
  }

  return {
    get isOpen() {
      return isOpen();
    },

    async open() {
      const why = await obstacle();
      isUsable = why === undefined;
      if (isUsable) log.info("libzfs_core is called, without processes where it can serve", { pool });
      else log.info("libzfs_core is not called, commands do everything", { pool, why });
    },

    async call(call, kind) {
      if (!isOpen()) return undefined;
      const performed = await perform(call, kind);
      return typeof performed === "string" ? undefined : performed;
    },

    async find<Row>(program: LookUpProgram<Row>, names: readonly AnyName[]) {
      const found = new Map<AnyName, Outcome<Row | undefined>>();
      for (let at = 0; at < names.length; at += NAMES_PER_CALL) {
        const chunk = names.slice(at, at + NAMES_PER_CALL);
        const performed = isOpen() ? await lookUp(program, chunk) : "closed";
        if (typeof performed === "string") return undefined;
        const returned = performed.ok && performed.value.errno === 0 ? performed.value.value : undefined;
        const rows = returned === undefined ? undefined : rowsByName(program, returned, chunk);
        if (performed.ok && !rows) return undefined;
        for (const name of chunk) {
          if (!performed.ok) found.set(name, performed);
          else if (rows) found.set(name, succeed(rows.get(name)));
        }
      }
      return found;
    },
  };
}

/** The failure of a call that may or may not have done what it was to do. */
function unknownOutcome(
  call: LibraryCall,
  exit: Exclude<LibraryEnd["exit"], { kind: "returned" | "unusable" }>,
  ms: number,
): FailedOutcome {
  return failureOf({ argv: argvOf(call), stdout: "", stderr: "", exit, ms });
}
