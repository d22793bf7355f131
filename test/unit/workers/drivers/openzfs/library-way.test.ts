import { describe, expect, onTestFinished, test, vi } from "vitest";
import type { DatasetName, SnapshotName } from "../../../../../src/protocol/storage/names.js";
import type { OpenZfsSettings } from "../../../../../src/protocol/storage/pool-settings.js";
import { bytes } from "../../../../../src/protocol/storage/units.js";
import type { Zfs } from "../../../../../src/workers/drivers/driver.js";
import { PRESENCE, SIZES } from "../../../../../src/workers/drivers/openzfs/look-up-program.js";
import { thickReservation } from "../../../../../src/workers/drivers/openzfs/new-volume-properties.js";
import { openOpenZfs } from "../../../../../src/workers/drivers/openzfs/openzfs-driver.js";
import type { LibraryCall, LibraryExit, Returned } from "../../../../../src/workers/libzfs/library-call.js";
import type { CommandEnd } from "../../../../../src/workers/processes/run-command.js";
import { createKeptLog } from "../../../../support/memory-actor.js";
import { OPENZFS_OPTIONS } from "../../../../support/openzfs-options.js";

const GUID = "17872479065386256563";
const SIGNED = "-574265008323295053";
const NO_COPIES = { take: () => undefined, discard: async () => {} };

const returned = (fields: Partial<Returned> = {}): Returned => ({
  ...{ kind: "returned", errno: 0, errors: {}, value: "" },
  ...fields,
});

/** The line of a volume as the look-up program returns it. */
const line = (guid = SIGNED) => ["volume", guid, "8388608", "0", "-"].join("\t");

/** What a program of the driver returns for each of its names, where all are volumes. */
function eachOf(program: string): string {
  if (program.includes("mountpoint")) return "filesystem none";
  if (program === PRESENCE.text) return "there";
  return program === SIZES.text ? "volume\t8388608" : line();
}

type Answer = (call: LibraryCall) => LibraryExit | undefined;

interface PoolOptions {
  readonly settings?: Partial<OpenZfsSettings>;
  readonly volumeProperties?: Readonly<Record<string, string>>;
  /** What `zfs create -nvP` prints for a size. */
  readonly dryRun?: (size: bigint) => string;
}

/**
 * A driver whose library answers as `answer` says, and by default that all is done and every name is a
 * volume; its commands succeed. @returns what was called and what was run, beside the start.
 */
async function openPool(answer: Answer = () => undefined, options: PoolOptions = {}) {
  const calls: LibraryCall[] = [];
  const ran: string[] = [];
  const log = createKeptLog();
  const {
    dryRun = (size) =>
      `property\tvolsize\t${size}\nproperty\trefreservation\t${thickReservation(size, 16384n)}\n`,
  } = options;
  const run = async (argv: readonly string[]): Promise<CommandEnd> => {
    const [, verb, flag] = argv;
    ran.push(argv.slice(1).join(" "));
    const size = argv[argv.indexOf("-V") + 1] ?? "0";
    const stdout =
      flag === "-nvP"
        ? dryRun(BigInt(size))
        : verb === "list" && argv[0] === "zpool"
          ? "ONLINE\t1\n"
          : `${GUID}\n`;
    return { argv, stdout, stderr: "", exit: { kind: "exited", code: 0 }, ms: 1 };
  };
  const settings: OpenZfsSettings = { ...OPENZFS_OPTIONS.settings, library: "auto", ...options.settings };
  const zfs: Zfs = openOpenZfs(
    {
      ...OPENZFS_OPTIONS,
      settings,
      volumeProperties: options.volumeProperties ?? { compression: "lz4" },
      log,
      call: async (call) => {
        calls.push(call);
        const lines = "program" in call ? call.names.map(() => eachOf(call.program)).join("\n") : "";
        return { exit: answer(call) ?? returned({ value: lines }), ms: 1 };
      },
    },
    run,
  );
  await zfs.checkPool();
  const atStart = calls.splice(0);
  ran.splice(0);
  return { zfs, calls, ran, log, atStart };
}

const volume = (name: string) => `ut/${name}` as DatasetName;
const snapshot = (name: string) => `ut/${name}` as SnapshotName;

describe("the library is called", () => {
  test("where the commands have no prefix, and the log says so", async () => {
    const { zfs, calls, ran, log } = await openPool();
    expect(await zfs.find(volume("a"))).toMatchObject({ ok: true, value: { guid: GUID, volsize: 8388608n } });
    expect(calls.map(({ name }) => name)).toEqual(["lzc_channel_program_nosync"]);
    expect(ran).toEqual([]);
    expect(log.lines.map(({ message }) => message)).toContain(
      "libzfs_core is called, without processes where it can serve",
    );
  });

  test("for look-ups of many names by short programs in turn, between which the pool can sync", async () => {
    const { zfs, calls, ran } = await openPool();
    const names = Array.from({ length: 130 }, (_, index) => volume(`v${index}`));
    const found = await Promise.all(names.map((name) => zfs.find(name)));
    expect(found.every((outcome) => outcome.ok && outcome.value?.guid === GUID)).toBe(true);
    const lengths = calls.map((call) => ("names" in call ? call.names.length : 0));
    expect(lengths.reduce((sum, length) => sum + length)).toBe(130);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(64);
    expect(ran).toEqual([]);
  });

  test.each<[string, Partial<OpenZfsSettings>, number]>([
    ["switched off", { library: "off" }, 0],
    ["in single dispatch", { dispatch: "single" }, 0],
    ["behind ssh", { zfsCommand: ["ssh", "node", "zfs"] }, 0],
    ["behind sudo", { zpoolCommand: ["sudo", "zpool"] }, 0],
    ["with another program", { zfsCommand: ["/opt/bin/my-zfs"] }, 0],
  ])("never %s", async (_what, settings, count) => {
    const { zfs, calls, ran, atStart } = await openPool(undefined, { settings });
    expect(atStart.length).toBe(count);
    await zfs.find(volume("a"));
    await zfs.snapshot(snapshot("a@s"), false, NO_COPIES);
    await zfs.createVolume(volume("b"), bytes(8388608n));
    expect(calls).toEqual([]);
    expect(ran.length).toBeGreaterThanOrEqual(3);
  });

  test.each<[string, LibraryExit, string]>([
    ["is missing", { kind: "unusable", why: "libnvpair.so.3: no such file" }, "libnvpair.so.3: no such file"],
    ["may run no program", returned({ errno: 1 }), "a channel program is refused: errno 1"],
    ["shows another pool", returned({ value: line("7") }), "it shows another pool of this name"],
    [
      "does not answer",
      { kind: "timed_out", afterMs: 5 },
      "lzc_channel_program_nosync: no end after 5 ms, killed; the change may still happen",
    ],
  ])("never where it %s", async (_what, exit, why) => {
    const { zfs, calls, ran, log } = await openPool(() => exit);
    await zfs.find(volume("a"));
    expect(calls).toEqual([]);
    expect(ran).toEqual(["list -Hp -t all -d 0 -o name,type,guid,createtxg,volsize,written,origin ut/a"]);
    expect(log.lines).toContainEqual(
      expect.objectContaining({ message: "libzfs_core is not called, commands do everything" }),
    );
    expect(JSON.stringify(log.lines)).toContain(why);
  });
});

describe("what the library refuses", () => {
  /** The start is answered well, and all that comes later as `answer` says. */
  function later(answer: Answer): Answer {
    let isStart = true;
    return (call) => {
      const wasStart = isStart;
      isStart = false;
      return wasStart ? undefined : answer(call);
    };
  }

  test("of a look-up is asked by a command, and a text that is no answer too", async () => {
    for (const exit of [returned({ errno: 44 }), returned({ value: "nonsense\nof\nthree" })]) {
      const { zfs, ran } = await openPool(later(() => exit));
      await zfs.find(volume("a"));
      expect(ran.length).toBe(1);
    }
  });

  test("of a batch of destroys is done by a command, and the others by one more call", async () => {
    const [held, cloned, free] = [snapshot("a@held"), snapshot("b@cloned"), snapshot("c@free")];
    const { zfs, calls, ran } = await openPool(
      later((call) =>
        call.name === "lzc_destroy_snaps" && call.names.length === 3
          ? returned({ errno: 16, errors: { [held]: 16, [cloned]: 17 } })
          : undefined,
      ),
    );
    const ends = await Promise.all([held, cloned, free].map((name) => zfs.destroy(name, false)));
    expect(ends.map(({ ok }) => ok)).toEqual([true, true, true]);
    expect(calls.filter(({ name }) => name === "lzc_destroy_snaps")).toEqual([
      { name: "lzc_destroy_snaps", names: [held, cloned, free] },
      { name: "lzc_destroy_snaps", names: [free] },
    ]);
    expect(ran).toEqual([`destroy ${held}`, `destroy ${cloned}`]);
  });

  test("is not called again when nothing is to blame", async () => {
    const { zfs, calls, ran } = await openPool(
      later((call) => ("holds" in call ? returned({ errno: 1 }) : undefined)),
    );
    await Promise.all([zfs.hold("imagestore:t", snapshot("a@s")), zfs.hold("imagestore:t", snapshot("b@s"))]);
    expect(calls.length).toBe(1);
    expect(ran).toEqual(["hold imagestore:t ut/a@s", "hold imagestore:t ut/b@s"]);
  });

  test("a snapshot that is missing is destroyed by a command, which calls it a failure", async () => {
    const { zfs, calls, ran } = await openPool(later((call) => ("names" in call ? returned() : undefined)));
    await zfs.destroy(snapshot("a@none"), false);
    expect(calls.map(({ name }) => name)).toEqual(["lzc_channel_program_nosync"]);
    expect(ran).toEqual(["destroy ut/a@none"]);
  });

  test("one of a hold that is gone is told by the command that releases it", async () => {
    const { zfs, ran } = await openPool(later(() => returned({ errors: { "ut/a@s#imagestore:t": 2 } })));
    await zfs.release("imagestore:t", snapshot("a@s"));
    expect(ran).toEqual(["release imagestore:t ut/a@s"]);
  });

  test.each<[string, (zfs: Zfs) => Promise<{ ok: boolean }>]>([
    ["a snapshot", (zfs) => zfs.snapshot(snapshot("a@s"), false, NO_COPIES)],
    ["a destroy", (zfs) => zfs.destroy(snapshot("a@s"), false)],
    ["a hold", (zfs) => zfs.hold("imagestore:t", snapshot("a@s"))],
    ["a release", (zfs) => zfs.release("imagestore:t", snapshot("a@s"))],
    ["a rollback", (zfs) => zfs.rollback(snapshot("a@s"), false, NO_COPIES)],
    ["a clone", (zfs) => zfs.clone(snapshot("a@s"), volume("b"), NO_COPIES)],
    ["a volume", (zfs) => zfs.createVolume(volume("b"), bytes(8388608n))],
    ["a look-up", (zfs) => zfs.find(volume("a"))],
  ])("of which nobody knows what became, %s, is tried by no command", async (what, change) => {
    const isLookUp = what === "a look-up";
    const { zfs, ran } = await openPool(
      later((call) =>
        isLookUp || call.name !== "lzc_channel_program_nosync" ? { kind: "lost" } : undefined,
      ),
    );
    expect(await change(zfs)).toMatchObject({ ok: false, failure: { code: "service.interrupted" } });
    expect(ran).toEqual([]);
  });
});

test("a call that takes too long makes commands do everything for a while, longer each time", async () => {
  vi.useFakeTimers({ toFake: ["performance"] });
  onTestFinished(() => void vi.useRealTimers());
  let hangs = false;
  const { zfs, calls, ran, log } = await openPool(() =>
    hangs ? { kind: "timed_out", afterMs: 1000 } : undefined,
  );
  /** How many calls and commands a look-up takes. */
  const way = async () => {
    const before = [calls.length, ran.length];
    await zfs.find(volume("a"));
    return [calls.length - (before[0] ?? 0), ran.length - (before[1] ?? 0)];
  };
  hangs = true;
  expect(await way()).toEqual([1, 0]);
  expect(await way()).toEqual([0, 1]);
  vi.advanceTimersByTime(5 * 60_000);
  expect(await way()).toEqual([1, 0]);
  vi.advanceTimersByTime(9 * 60_000);
  expect(await way()).toEqual([0, 1]);
  vi.advanceTimersByTime(60_000);
  hangs = false;
  expect(await way()).toEqual([1, 0]);
  expect(log.lines.filter(({ message }) => message.includes("took too long")).length).toBe(2);
});

describe("trees and names", () => {
  const tree = (...lines: readonly string[]) => returned({ value: ["whole", ...lines].join("\n") });
  /** Answers programs about trees so, and all else as usual. */
  const ofTrees =
    (exit: LibraryExit): Answer =>
    (call) =>
      "program" in call && call.program.includes("zfs.list.children") ? exit : undefined;

  test("snapshots of a tree are one call, which makes all or none", async () => {
    const { zfs, calls, ran } = await openPool(ofTrees(tree("ut/g@s", "ut/g/disk@s")));
    expect(await zfs.snapshot(snapshot("g@s"), true, NO_COPIES)).toEqual({ ok: true, value: undefined });
    expect(calls.slice(1)).toEqual([{ name: "lzc_snapshot", names: ["ut/g@s", "ut/g/disk@s"] }]);
    expect(ran).toEqual([]);
  });

  test("snapshots of a tag are listed and destroyed without a process", async () => {
    const { zfs, calls, ran } = await openPool(ofTrees(tree("ut/g/disk@s\t7", "ut/g@s\t0", "ut/g-1@s\tnil")));
    const listed = await zfs.snapshotsOfTag(snapshot("g@s"));
    expect(listed.ok && listed.value.map(({ name, size }) => [name, size])).toEqual([
      ["ut/g@s", 0n],
      ["ut/g-1@s", 0n],
      ["ut/g/disk@s", 7n],
    ]);
    expect(await zfs.destroy(snapshot("g@s"), true)).toEqual({ ok: true, value: null });
    expect(calls.at(-1)).toEqual({
      name: "lzc_destroy_snaps",
      names: ["ut/g/disk@s", "ut/g@s", "ut/g-1@s"],
    });
    expect(ran).toEqual([]);
  });

  test.each<[string, LibraryExit]>([
    ["is too large or not there", returned()],
    ["the program fails for", returned({ errno: 12 })],
    ["nobody answers about", { kind: "lost" }],
  ])("a tree that %s is left to the commands", async (what, exit) => {
    const { zfs, ran } = await openPool(ofTrees(exit));
    await zfs.snapshot(snapshot("g@s"), true, NO_COPIES);
    await zfs.destroy(snapshot("g@s"), true);
    expect(ran).toEqual(["snapshot -r ut/g@s", "destroy -r ut/g@s"]);
    if (what === "is too large or not there") await zfs.snapshotsOfTag(snapshot("g@s"));
    expect(ran.slice(2).map((each) => each.split(" ")[0])).toEqual(what.startsWith("is") ? ["list"] : []);
  });

  test("a volume is renamed, with its parents, and a clone promoted", async () => {
    const { zfs, calls, ran } = await openPool();
    await zfs.rename(volume("a"), volume("guests/b"), true);
    await zfs.rename(volume("a"), volume("b"));
    await zfs.promote(volume("c"));
    expect(calls.filter((call) => !("program" in call))).toEqual([
      { name: "lzc_rename", from: "ut/a", to: "ut/guests/b" },
      { name: "lzc_rename", from: "ut/a", to: "ut/b" },
      { name: "lzc_promote", target: "ut/c" },
    ]);
    expect(ran).toEqual([]);
  });

  test("what is no volume, has no parent or is refused is renamed and promoted by commands", async () => {
    const isSize = (call: LibraryCall) => "program" in call && call.program === SIZES.text;
    const answers: readonly Answer[] = [
      (call) => (isSize(call) ? returned({ value: "filesystem\t-" }) : undefined),
      (call) =>
        "program" in call && call.program.includes("mountpoint")
          ? returned({ value: "filesystem none\n" })
          : undefined,
      (call) =>
        call.name === "lzc_rename" || call.name === "lzc_promote" ? returned({ errno: 38 }) : undefined,
    ];
    for (const answer of answers) {
      const { zfs, ran } = await openPool(answer);
      await zfs.rename(volume("a"), volume("x/b"));
      expect(ran).toEqual(["rename ut/a ut/x/b"]);
    }
    const { zfs, ran } = await openPool(answers[2]);
    await zfs.promote(volume("a"));
    expect(ran).toEqual(["promote ut/a"]);
  });

  test.each<[string, (zfs: Zfs) => Promise<{ ok: boolean }>]>([
    ["snapshots of a tree", (zfs) => zfs.snapshot(snapshot("g@s"), true, NO_COPIES)],
    ["destroys of a tag", (zfs) => zfs.destroy(snapshot("g@s"), true)],
    ["a rename", (zfs) => zfs.rename(volume("a"), volume("b"))],
    ["a promotion", (zfs) => zfs.promote(volume("a"))],
  ])("of which nobody knows what became, %s, are tried by no command", async (_what, change) => {
    const { zfs, ran } = await openPool((call) =>
      "program" in call ? ofTrees(tree("ut/g@s\t1"))(call) : { kind: "lost" },
    );
    expect(await change(zfs)).toMatchObject({ ok: false, failure: { code: "service.interrupted" } });
    expect(ran).toEqual([]);
  });
});

describe("volumes", () => {
  const create = (zfs: Zfs) => zfs.createVolume(volume("guests/g/disk-0"), bytes(8388608n));

  test("are made with the reservation that zfs create sets", async () => {
    const { zfs, calls, ran } = await openPool();
    await create(zfs);
    const properties = { compression: 15n, volsize: 8388608n, refreservation: 10485760n };
    expect(calls.slice(1)).toEqual([
      { name: "lzc_create", type: "volume", target: "ut/guests/g/disk-0", properties },
    ]);
    expect(ran).toEqual([]);
  });

  test.each<[string, PoolOptions]>([
    [
      "zfs create reserves more",
      { dryRun: (size) => `property\tvolsize\t${size}\nproperty\trefreservation\t${size * 2n}\n` },
    ],
    [
      "zfs create sets another property",
      {
        dryRun: (size) =>
          `property\tvolsize\t${size}\nproperty\tvolblocksize\t32768\nproperty\trefreservation\t${thickReservation(size, 16384n)}\n`,
      },
    ],
    ["zfs create has no such flag", { dryRun: () => "" }],
    ["a property has a value that we don't know", { volumeProperties: { compression: "zstd-19" } }],
    ["a property is one that we don't know", { volumeProperties: { encryption: "on" } }],
  ])("are made by commands where %s", async (_what, options) => {
    const { zfs, calls, ran } = await openPool(undefined, options);
    await create(zfs);
    expect(calls).toEqual([]);
    expect(ran).toEqual([expect.stringMatching(/^create -p .*-V 8388608 ut\/guests\/g\/disk-0$/)]);
  });

  test("without a reservation need none, and have the block that is configured", async () => {
    const volumeProperties = { refreservation: "none", volblocksize: "64K", "imagestore:x": "text" };
    const { zfs, calls } = await openPool(undefined, { volumeProperties, dryRun: () => "" });
    await create(zfs);
    const properties = {
      refreservation: 0n,
      volblocksize: 65536n,
      "imagestore:x": "text",
      volsize: 8388608n,
    };
    expect(calls.slice(1)).toEqual([
      { name: "lzc_create", type: "volume", target: "ut/guests/g/disk-0", properties },
    ]);
  });

  /** A pool where ut/guests is there and nothing below it, until it is made. */
  function withoutParents(mountpoint: string): Answer {
    const there = new Set(["ut", "ut/guests"]);
    return (call) => {
      if ("program" in call && call.program.includes("mountpoint"))
        return returned({
          value: call.names.map((name) => (there.has(name) ? `filesystem ${mountpoint}` : "")).join("\n"),
        });
      if (call.name !== "lzc_create" && call.name !== "lzc_clone") return undefined;
      if (!there.has(call.target.slice(0, call.target.lastIndexOf("/")))) return returned({ errno: 2 });
      there.add(call.target);
      return undefined;
    };
  }

  test("get their parents where nothing is mounted", async () => {
    const { zfs, calls, ran } = await openPool(withoutParents("none"));
    expect(await create(zfs)).toEqual({ ok: true, value: null });
    expect(calls.flatMap((call) => ("target" in call ? [call.target] : []))).toEqual([
      "ut/guests/g",
      "ut/guests/g/disk-0",
    ]);
    expect(ran).toEqual([]);
  });

  test("below a volume are refused by the command: the kernel would make a clone there", async () => {
    const { zfs, calls, ran } = await openPool((call) =>
      "program" in call && call.program.includes("mountpoint")
        ? returned({ value: call.names.map(() => "volume").join("\n") })
        : undefined,
    );
    await zfs.clone(snapshot("a@s"), volume("b/c"), NO_COPIES);
    expect(calls.filter(({ name }) => name === "lzc_clone")).toEqual([]);
    expect(ran).toEqual(["clone -p -o compression=lz4 ut/a@s ut/b/c"]);
  });

  test("get their parents from the command where these are mounted", async () => {
    const { zfs, ran } = await openPool(withoutParents("/ut/guests"));
    await create(zfs);
    await zfs.clone(snapshot("a@s"), volume("guests/h/disk-0"), NO_COPIES);
    expect(ran).toEqual([
      "create -p -o compression=lz4 -V 8388608 ut/guests/g/disk-0",
      "clone -p -o compression=lz4 ut/a@s ut/guests/h/disk-0",
    ]);
  });
});

describe("a dataset with all below it", () => {
  const root = volume("guests/g");
  const tree = (mountpoint: string, clones = "") =>
    [
      ["ut/guests/g", "", "-", "1", "filesystem", mountpoint],
      ["ut/guests/g/sub", "", "-", "2", "filesystem", mountpoint],
      ["ut/guests/g/sub/b", "", "-", "3", "volume", "-"],
      ["ut/guests/g/a", "", "-", "4", "volume", "-"],
      ["ut/guests/g/a@s", clones, "0", "5", "snapshot", "-"],
    ]
      .map((fields) => fields.join("\t"))
      .join("\n");

  /** A pool with this tree, where nothing is in use and `refused` can't be destroyed. */
  const poolWith = (text: string, refused = "", used = "") =>
    openPool((call) => {
      if ("program" in call && call.program.includes("zfs.list.children")) return returned({ value: text });
      if ("program" in call && call.program.includes("zfs.check.destroy")) return returned({ value: used });
      return "target" in call && call.target === refused ? returned({ errno: 16 }) : undefined;
    });
  const targets = (calls: readonly LibraryCall[]) =>
    calls.flatMap((call) => ("target" in call ? [call.target] : []));

  test("is destroyed without a process: snapshots, volumes, and filesystems from below", async () => {
    const { zfs, calls, ran } = await poolWith(tree("none"));
    expect(await zfs.destroy(root, true)).toEqual({ ok: true, value: null });
    expect(calls).toContainEqual({ name: "lzc_destroy_snaps", names: ["ut/guests/g/a@s"] });
    expect(targets(calls)).toEqual(["ut/guests/g/sub/b", "ut/guests/g/a", "ut/guests/g/sub", "ut/guests/g"]);
    expect(ran).toEqual([]);
  });

  test.each<[string, string, string]>([
    ["may be mounted", tree("/ut/guests/g"), ""],
    ["has clones of its own", tree("none", "ut/guests/g/sub/b"), ""],
    ["has one that the library refuses", tree("none"), "ut/guests/g/a"],
  ])("is destroyed by a command where it %s", async (_what, text, refused) => {
    const { zfs, ran } = await poolWith(text, refused);
    await zfs.destroy(root, true);
    expect(ran).toEqual(["destroy -r ut/guests/g"]);
  });

  test("is refused, and nothing is destroyed, where another depends on it or it is in use", async () => {
    const cloned = await poolWith(tree("none", "ut/elsewhere"));
    expect(await cloned.zfs.destroy(root, true)).toMatchObject({
      failure: { code: "dataset.has_clones", message: "ut/guests/g has clones: ut/elsewhere" },
    });
    const missing = await poolWith("missing");
    expect(await missing.zfs.destroy(root, true)).toMatchObject({ failure: { code: "dataset.not_found" } });
    const used = await poolWith(tree("none"), "", "ut/guests/g/a@s");
    expect(await used.zfs.destroy(root, true)).toMatchObject({ failure: { code: "dataset.busy" } });
    for (const { calls, ran } of [cloned, missing, used]) expect([targets(calls), ran]).toEqual([[], []]);
  });
});

test("a reservation is that of zfs create, as it printed it on OpenZFS 2.3.2", () => {
  const printed: readonly (readonly [bigint, bigint, bigint])[] = [
    [1073741824n, 16384n, 1092616192n],
    [1294537326592n, 16384n, 1314786639872n],
    [3145728n, 4096n, 5242880n],
    [109951162777600n, 16384n, 111670831349760n],
    [8388608n, 16384n, 10485760n],
  ];
  for (const [size, block, reservation] of printed) expect(thickReservation(size, block)).toBe(reservation);
});
