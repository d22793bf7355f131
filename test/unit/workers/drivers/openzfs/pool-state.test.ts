import { describe, expect, onTestFinished, test, vi } from "vitest";
import type { PoolName } from "../../../../../src/protocol/storage/names.js";
import { createPoolStateTracker } from "../../../../../src/protocol/storage/txg-history.js";
import { createActorLog } from "../../../../../src/protocol/threads/actor-log.js";
import { createPoolStateReader } from "../../../../../src/workers/drivers/openzfs/pool-state.js";

const HEADING = `5 0 0x01 100 11200 22044811 4503599627370496
txg      birth            state ndirty       nread        nwritten     reads    writes   otime        qtime        wtime        stime       \n`;

interface Txg {
  readonly txg: number;
  readonly state?: string;
  readonly nwritten?: number;
  readonly birth?: number;
}

/** A history as the kstat `txgs` of OpenZFS 2.3.2 shows it: these groups, and an open one behind them. */
function history(...groups: readonly Txg[]): string {
  const line = ({ txg, state = "C", nwritten = 0, birth = txg * 1_000 }: Txg) =>
    `${txg}      ${birth}    ${state}     0            0            ${nwritten}          0        0        5119960000   4000         10000        1300000     \n`;
  const open = { txg: (groups.at(-1)?.txg ?? 0) + 1, state: "O" };
  return HEADING + [...groups, open].map(line).join("");
}

/** The committed groups that a pool has in its history after `last` of them. */
function groupsUpTo(last: number): Txg[] {
  return Array.from({ length: last }, (_, index) => ({ txg: index + 1 })).slice(-100);
}

describe("the state of a pool", () => {
  test("is the same while nothing is written, however many empty groups are committed", () => {
    const stateOf = createPoolStateTracker();
    const first = stateOf(history({ txg: 7, nwritten: 512 }));
    expect(first).toEqual(expect.any(String));
    expect(stateOf(history({ txg: 7, nwritten: 512 }))).toBe(first);
    expect(stateOf(history({ txg: 7, nwritten: 512 }, { txg: 8 }, { txg: 9 }))).toBe(first);
    // The oldest lines go: 7 need not be there any more, 9 must.
    expect(stateOf(history({ txg: 9 }, { txg: 10 }))).toBe(first);
  });

  test("is another one after a group that wrote, be it followed by empty ones", () => {
    const stateOf = createPoolStateTracker();
    const seen = [
      stateOf(history({ txg: 7 })),
      stateOf(history({ txg: 7 }, { txg: 8, nwritten: 512 })),
      stateOf(history({ txg: 8, nwritten: 512 }, { txg: 9, nwritten: 512 }, { txg: 10 })),
    ];
    expect(seen).not.toContain(undefined);
    expect(new Set(seen).size).toBe(3);
  });

  test.each(["Q", "W", "S"])("can't be told while a group is on its way (%s)", (state) => {
    const stateOf = createPoolStateTracker();
    const before = stateOf(history({ txg: 7 }));
    expect(stateOf(history({ txg: 7 }, { txg: 8, state }))).toBeUndefined();
    expect(stateOf(history({ txg: 7 }, { txg: 8 }))).toBe(before);
  });

  test("is a new one where the group that was last seen is gone from the history", () => {
    const stateOf = createPoolStateTracker();
    const before = stateOf(history({ txg: 7 }));
    expect(stateOf(history({ txg: 200 }))).not.toBe(before);
  });

  test("is a new one where the pool was made again and has come to the same number", () => {
    const stateOf = createPoolStateTracker();
    const before = stateOf(history({ txg: 7, birth: 1 }));
    expect(stateOf(history({ txg: 7, birth: 2 }))).not.toBe(before);
  });

  test("that is told by an older reading than the last one is no state seen before", () => {
    const stateOf = createPoolStateTracker();
    const newer = stateOf(history({ txg: 7 }, { txg: 8, nwritten: 512 }, { txg: 9 }));
    const older = stateOf(history({ txg: 7 }));
    expect(older).not.toBe(newer);
    expect(stateOf(history({ txg: 7 }, { txg: 8, nwritten: 512 }, { txg: 9 }))).not.toBe(older);
  });

  test.each([
    ["nothing", ""],
    ["no history (zfs_txg_history=0)", HEADING],
    ["only the open group", history()],
    ["no line of an open group", history({ txg: 7 }).split("\n").slice(0, -2).join("\n")],
    ["another heading", history({ txg: 7 }).replace("nwritten", "written")],
    ["no heading", history({ txg: 7 }).slice(HEADING.length)],
    ["a line cut off", history({ txg: 7 }).slice(0, -130)],
    ["another kstat", "name                            type data\nguid                            4    42\n"],
  ])("can't be told from %s", (_what, text) => {
    expect(createPoolStateTracker()(text)).toBeUndefined();
  });
});

describe("the states of a pool whose kstats a command shows", () => {
  const GUID = "16237041217466154402";
  const command = ["ssh", "node", "cat"];
  const quiet = history({ txg: 7 });

  function states(
    answers: Record<string, string | undefined | (() => string)>,
    argv: readonly string[] | undefined = command,
    sync: () => boolean = () => false,
  ) {
    const ran: string[] = [];
    const warnings: string[] = [];
    const log = createActorLog((level, message) => {
      if (level === "warn") warnings.push(message);
    }, false);
    const poolStates = createPoolStateReader({
      pool: "tank" as PoolName,
      command: argv,
      run: async (words) => {
        ran.push(words.join(" "));
        const answer = answers[words.at(-1)?.split("/").at(-1) ?? ""];
        return typeof answer === "function" ? answer() : answer;
      },
      sync: async () => sync(),
      log,
    });
    return { ...poolStates, ran, warnings };
  }

  test("are told once the kstats are known to be that pool's", async () => {
    const { open, read, ran, warnings } = states({ guid: `${GUID}\n`, txgs: quiet });
    expect(await read()).toBeUndefined();
    expect(ran).toEqual([]);
    await open(GUID);
    expect(await read()).toEqual(expect.any(String));
    expect(await read()).toBe(await read());
    expect(ran.slice(0, 2)).toEqual([
      "ssh node cat /proc/spl/kstat/zfs/tank/guid",
      "ssh node cat /proc/spl/kstat/zfs/tank/txgs",
    ]);
    expect(warnings).toEqual([]);
  });

  test.each([
    ["another pool of that name", { guid: "1\n", txgs: quiet }],
    ["no such pool", { guid: undefined, txgs: undefined }],
  ])("are never told where they are of %s, and the log says so", async (_what, answers) => {
    const { open, read, ran, warnings } = states(answers);
    await open(GUID);
    expect(await read()).toBeUndefined();
    expect(ran.filter((each) => each.endsWith("/guid"))).toHaveLength(1);
    expect(warnings).toEqual(["kstatCommand does not show this pool's kstats"]);
  });

  /** OpenZFS before 2.2 has no kstat `guid`. */
  test("are told without a guid of a pool whose history follows its syncs", async () => {
    let txg = 7;
    let syncs = 0;
    const sync = () => {
      syncs++;
      txg += 3 + (syncs % 2);
      return true;
    };
    const { open, read, warnings } = states({ txgs: () => history(...groupsUpTo(txg)) }, command, sync);
    await open(GUID);
    expect(await read()).toEqual(expect.any(String));
    expect(syncs).toBe(5);
    expect(warnings).toEqual([]);
  });

  test.each([
    ["of a pool at rest", () => 0, true],
    ["of a pool that takes turns with ours at first", (syncs: number) => (syncs < 4 ? 3 : 0), true],
    ["of a pool that commits one or two while ours is synced", (syncs: number) => 1 + (syncs % 2), true],
    ["of a busy pool", () => 20, true],
    ["of ours, if it can't be synced", () => 3, false],
  ])("are not told without a guid where the history is %s", async (_which, commits, synced) => {
    let txg = 7;
    let syncs = 0;
    const sync = () => {
      txg += commits(syncs++);
      return synced;
    };
    const { open, read, warnings } = states({ txgs: () => history(...groupsUpTo(txg)) }, command, sync);
    await open(GUID);
    expect(await read()).toBeUndefined();
    expect(warnings).toEqual(["kstatCommand does not show this pool's kstats"]);
  });

  test.each([
    [900, true],
    [5_100, false],
  ])("without a guid, after syncs of %i ms each, are told: %s", async (syncMs, isTold) => {
    vi.useFakeTimers({ toFake: ["performance"] });
    onTestFinished(() => void vi.useRealTimers());
    let txg = 7;
    const sync = () => {
      txg += 3;
      vi.advanceTimersByTime(syncMs);
      return true;
    };
    const { open, read } = states({ txgs: () => history(...groupsUpTo(txg)) }, command, sync);
    await open(GUID);
    expect((await read()) !== undefined).toBe(isTold);
  });

  test("can't be told where the command fails", async () => {
    const { open, read } = states({ guid: GUID });
    await open(GUID);
    expect(await read()).toBeUndefined();
  });

  test("are not asked for where the command is empty", async () => {
    const { open, read, ran, warnings } = states({ guid: GUID, txgs: quiet }, []);
    await open(GUID);
    expect(await read()).toBeUndefined();
    expect([...ran, ...warnings]).toEqual([]);
  });

  test("are read from this machine without a command, where a pool that isn't here is no reason to warn", async () => {
    const ran: unknown[] = [];
    const log = createActorLog((level, message) => ran.push(level, message), true);
    const pool = "no-such-pool" as PoolName;
    const run = async (argv: readonly string[]) => void ran.push(argv);
    const sync = async () => false;
    const { open, read } = createPoolStateReader({ pool, command: undefined, run, sync, log });
    await open(GUID);
    expect(await read()).toBeUndefined();
    expect(ran).toEqual([]);
  });
});
