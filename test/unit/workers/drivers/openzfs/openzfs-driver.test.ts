import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import type { DatasetName, PoolName, SnapshotName } from "../../../../../src/protocol/storage/names.js";
import type { OpenZfsSettings } from "../../../../../src/protocol/storage/pool-settings.js";
import { bytes } from "../../../../../src/protocol/storage/units.js";
import type { NewVolumeSettings } from "../../../../../src/protocol/storage/volume-settings.js";
import { type ActorLog, createActorLog } from "../../../../../src/protocol/threads/actor-log.js";
import type { Zfs } from "../../../../../src/workers/drivers/driver.js";
import { openOpenZfs } from "../../../../../src/workers/drivers/openzfs/openzfs-driver.js";
import type { CommandEnd } from "../../../../../src/workers/processes/run-command.js";
import { createKeptLog } from "../../../../support/memory-actor.js";
import { OPENZFS_OPTIONS } from "../../../../support/openzfs-options.js";
import { turn, until } from "../../../../support/until.js";

const FOLDER = fileURLToPath(new URL("../../../../fixtures/zfs-2.3.2", import.meta.url));

interface Answer {
  readonly stdout?: string;
  readonly stderr?: string;
  readonly code?: number;
}

/** What OpenZFS wrote when a command failed. */
function captured(name: string): Answer {
  const text = readFileSync(`${FOLDER}/${name}.txt`, "utf8");
  return { stderr: text.slice(text.indexOf("\n") + 1), code: 1 };
}

const SUCCESS: Answer = {};

const SETTINGS: OpenZfsSettings = {
  name: "ut" as PoolName,
  driver: "openzfs",
  zfsCommand: ["sudo", "zfs"],
  zpoolCommand: ["sudo", "zpool"],
  kstatCommand: [],
  library: "off",
  outsideEvents: "off",
  dispatch: "grouped",
  deviceWaitMs: 0,
};

const DRIVER_OPTIONS = {
  ...OPENZFS_OPTIONS,
  settings: SETTINGS,
  volumeProperties: { compression: "lz4" },
  timeoutMs: 1,
  log: createActorLog(() => {}, false),
};

/** A driver whose commands are answered by `answer`, and what it ran. */
function driver(
  answer: (argv: readonly string[], run: number) => Answer,
  log: ActorLog = DRIVER_OPTIONS.log,
): {
  zfs: Zfs;
  ran: (readonly string[])[];
} {
  const ran: (readonly string[])[] = [];
  const run = async (argv: readonly string[]): Promise<CommandEnd> => {
    ran.push(argv);
    const { stdout = "", stderr = "", code = 0 } = answer(argv, ran.length);
    return { argv, stdout, stderr, exit: { kind: "exited", code }, ms: 1 };
  };
  return { zfs: openOpenZfs({ ...DRIVER_OPTIONS, log }, run), ran };
}

const volume = (name: string) => name as DatasetName;
const row = (name: string, volsize = "-") => `${name}\tvolume\t1\t2\t${volsize}\t0\t-\n`;

describe("releasing a hold", () => {
  test.each(["release-missing-tag", "release-missing-snapshot", "release-missing-dataset"])(
    "that is not there says so: %s",
    async (name) => {
      const { zfs } = driver(() => captured(name));
      expect(await zfs.release("tag", "ut/none@none" as SnapshotName)).toEqual({ ok: true, value: false });
    },
  );

  test("that is there says so", async () => {
    const { zfs } = driver(() => SUCCESS);
    expect(await zfs.release("tag", "ut/v@s" as SnapshotName)).toEqual({ ok: true, value: true });
  });

  test.each([
    ["readonly-release", "pool.read_only"],
    ["suspended-release", "pool.unavailable"],
    ["perm-release", "command.not_permitted"],
  ])("is refused when it could not be tried: %s", async (name, code) => {
    const { zfs } = driver(() => captured(name));
    expect(await zfs.release("tag", "ut/v@s" as SnapshotName)).toMatchObject({ failure: { code } });
  });
});

describe("finding datasets", () => {
  test("many that are asked for at one moment share a process, and a missing one hides no other", async () => {
    const { zfs, ran } = driver(() => ({
      stdout: row("ut/vol", "9223372036854775807"),
      ...captured("open-missing-many"),
    }));
    const names = ["ut/none", "ut/vol", "ut/vol@none", "ut/vol"] as (DatasetName | SnapshotName)[];
    const found = await Promise.all(names.map((name) => zfs.find(name)));
    const info = { ok: true, value: expect.objectContaining({ name: "ut/vol", volsize: 2n ** 63n - 1n }) };
    const absent = { ok: true, value: undefined };
    expect(found).toEqual([absent, info, absent, info]);
    expect(ran.length).toBe(1);
    expect(ran[0]?.slice(-3)).toEqual(["ut/none", "ut/vol", "ut/vol@none"]);
  });

  test("a suspended pool is no missing dataset", async () => {
    const { zfs } = driver(() => captured("suspended-list-missing"));
    expect(await zfs.find(volume("sp/none"))).toMatchObject({ failure: { code: "pool.unavailable" } });
  });

  test("a thousand names are asked for in processes of at most 300", async () => {
    const { zfs, ran } = driver((argv) => ({
      stdout: argv
        .filter((word) => word.startsWith("ut/"))
        .map((name) => row(name))
        .join(""),
    }));
    const names = Array.from({ length: 1_000 }, (_, index) => volume(`ut/v${index}`));
    const found = await Promise.all(names.map((name) => zfs.find(name)));
    expect(found).toEqual(
      names.map((name) => ({ ok: true, value: expect.objectContaining({ name, volsize: 0n }) })),
    );
    expect(ran.length).toBe(4);
    expect(zfs.commandsRun).toBe(4);
  });
});

describe("the properties of volumes", () => {
  const volumeProperties = { compression: "zstd", volblocksize: "2M", encryption: "on", keyformat: "raw" };

  test("go where they belong: the block size to new volumes, none of encryption to clones", async () => {
    const ran: string[] = [];
    const zfs = openOpenZfs({ ...DRIVER_OPTIONS, volumeProperties }, async (argv) => {
      ran.push(argv.slice(2).join(" "));
      return { argv, stdout: "", stderr: "", exit: { kind: "exited", code: 0 }, ms: 1 };
    });
    await zfs.createVolume(volume("ut/v"), bytes(4n << 20n));
    await zfs.clone("ut/v@s" as SnapshotName, volume("ut/c"));
    ran.push(zfs.receiveCommand(volume("ut/r"), {}).slice(2).join(" "));
    const layered = zfs.receiveCommand(volume("ut/l"), {}, { origin: "ut/v@s" as SnapshotName });
    expect(layered.join(" ")).toContain("receive -u ");
    expect(layered.slice(-3)).toEqual(["-o", "origin=ut/v@s", "ut/l"]);
    expect(layered.join(" ")).toContain("-o readonly=on");
    expect(ran[0]).toContain("-o volblocksize=2M");
    expect(ran[0]).toContain("-o encryption=on");
    expect(ran[1]).toContain("-o compression=zstd");
    expect(ran[1]).not.toMatch(/volblocksize|encryption|keyformat/);
    expect(ran[2]).toContain("-o compression=zstd");
    expect(ran[2]).not.toContain("volblocksize");
  });

  test("a send is checked by the state of its key, asked for each time", async () => {
    const keys = ["available", "-", "", "unavailable"];
    const { zfs, ran } = driver((_, run) => ({ stdout: `${keys[run - 1]}\n` }));
    const name = "ut/v@s" as SnapshotName;
    for (const _ of keys.slice(1)) expect((await zfs.checkSend(name)).ok).toBe(true);
    expect(await zfs.checkSend(name)).toMatchObject({
      failure: { code: "dataset.key_not_loaded", message: expect.stringContaining("(zfs load-key)") },
    });
    expect(ran.map((argv) => argv.join(" "))).toEqual(
      keys.map(() => "sudo zfs get -Hp -o value keystatus ut/v"),
    );
    const { zfs: locked } = driver(() => captured("perm-device-list"));
    expect((await locked.checkSend(name)).ok).toBe(false);
  });

  test("a send is estimated by what its blocks have without compression, and a pool that does not tell is no failure", async () => {
    const told = ["67108864", "-", ""];
    const { zfs, ran } = driver((_, run) => ({ stdout: `${told[run - 1]}\n` }));
    const name = "ut/v@s" as SnapshotName;
    for (const bytes of [67_108_864, undefined, undefined]) expect(await zfs.estimateSend(name)).toBe(bytes);
    expect(ran[0]?.join(" ")).toBe("sudo zfs get -Hp -o value logicalreferenced ut/v@s");
    const { zfs: locked } = driver(() => captured("perm-device-list"));
    expect(await locked.estimateSend(name)).toBeUndefined();
  });

  test.each([
    ["2M", 3, 4],
    ["2m", 4, 4],
    ["4MiB", 1, 4],
    ["16777216", 17, 32],
    ["128K", 3, 3],
    ["no size", 3, 3],
  ])("with a block of %s make %i MiB a volume of %i MiB", (volblocksize, wanted, given) => {
    const zfs = openOpenZfs({ ...DRIVER_OPTIONS, volumeProperties: { volblocksize } }, async (argv) => {
      throw new Error(`nothing is run: ${argv.join(" ")}`);
    });
    expect(zfs.volumeSize(bytes(BigInt(wanted) << 20n))).toBe(BigInt(given) << 20n);
  });

  test("without a block size leave sizes as they are", () => {
    const { zfs } = driver(() => SUCCESS);
    expect(zfs.volumeSize(bytes(3n << 20n))).toBe(3n << 20n);
  });
});

describe("changes", () => {
  test("a busy dataset is tried again, a bounded number of times", async () => {
    const freed = driver((_argv, run) => (run < 3 ? captured("destroy-busy") : SUCCESS));
    expect((await freed.zfs.destroy(volume("ut/v"), false)).ok).toBe(true);
    expect(freed.ran).toEqual(Array(3).fill(["sudo", "zfs", "destroy", "ut/v"]));
    const stuck = driver(() => captured("destroy-busy"));
    expect(await stuck.zfs.destroy(volume("ut/v"), false)).toMatchObject({
      failure: { code: "dataset.busy" },
    });
    expect(stuck.ran.length).toBe(6);
  });

  test("what else is refused is tried once", async () => {
    const { zfs, ran } = driver(() => captured("destroy-held-snapshot"));
    expect(await zfs.destroy("ut/vol@s1" as SnapshotName, false)).toMatchObject({
      failure: { code: "snapshot.held" },
    });
    expect(ran.map((argv) => argv[2])).toEqual(["destroy", "holds"]);
  });

  test("a volume whose parent another command made first is tried again", async () => {
    let creations = 0;
    const { zfs } = driver(({ 2: verb }) => {
      if (verb === "list") return captured("open-missing-dataset");
      return ++creations < 3 ? captured("create-volume-exists") : SUCCESS;
    });
    expect((await zfs.createVolume(volume("ut/none"), bytes(1024))).ok).toBe(true);
    expect(creations).toBe(3);
  });

  test("the disks of 200 guests take one command each, also where their parents are missing", async () => {
    const parents = new Set(["ut"]);
    const making = new Set<string>();
    const run = async (argv: readonly string[]): Promise<CommandEnd> => {
      const target = argv.at(-1) ?? "";
      const parent = target.slice(0, target.lastIndexOf("/"));
      const isSlower = !parents.has(parent) && making.has(parent);
      making.add(parent);
      await turn();
      parents.add(parent);
      const { stderr = "", code = 0 } = isSlower ? captured("create-volume-exists") : SUCCESS;
      return { argv, stdout: "", stderr, exit: { kind: "exited", code }, ms: 1 };
    };
    const zfs = openOpenZfs(DRIVER_OPTIONS, run);
    const disks = Array.from({ length: 400 }, (_, index) => volume(`ut/g${index >> 1}/disk-${index & 1}`));
    const ends = await Promise.all(
      disks.map((disk, index) =>
        index % 4 < 2 ? zfs.createVolume(disk, bytes(1024)) : zfs.clone("ut/i@s" as SnapshotName, disk),
      ),
    );
    expect(ends.filter(({ ok }) => !ok)).toEqual([]);
    expect(zfs.commandsRun).toBe(400);
  });

  test("a clone whose target is there is refused at once", async () => {
    const { zfs, ran } = driver(({ 2: verb }) =>
      verb === "list" ? { stdout: row("ut/images/img") } : captured("clone-exists"),
    );
    expect(await zfs.clone("ut/vol@s1" as SnapshotName, volume("ut/images/img"))).toMatchObject({
      failure: { code: "dataset.exists" },
    });
    expect(ran.map(({ 2: verb }) => verb)).toEqual(["clone", "list"]);
  });

  test.each([
    ["16384", 10n, "10485760"],
    ["4194304", 10n, "12582912"],
  ])("a volume with blocks of %s B grows to whole blocks", async (block, mib, wanted) => {
    const { zfs, ran } = driver(({ 2: verb }) => (verb === "list" ? { stdout: `${block}\n` } : SUCCESS));
    expect((await zfs.resize(volume("ut/v"), bytes(mib * 1_048_576n))).ok).toBe(true);
    expect(ran.at(-1)).toEqual(["sudo", "zfs", "set", `volsize=${wanted}`, "ut/v"]);
  });

  test("settings are set by one command, and tags that go by one each", async () => {
    const { zfs, ran } = driver(() => SUCCESS);
    const tags = { owner: "a b", old: "", older: "" };
    const changes = { compression: "off", sync: "always", readonly: true, isThick: false, tags };
    expect((await zfs.setProperties(volume("ut/v"), changes)).ok).toBe(true);
    const set = ["compression=off", "sync=always", "readonly=on", "refreservation=none", "tag:owner=a b"];
    expect(ran).toEqual([
      ["sudo", "zfs", "set", ...set, "ut/v"],
      ["sudo", "zfs", "inherit", "tag:old", "ut/v"],
      ["sudo", "zfs", "inherit", "tag:older", "ut/v"],
    ]);
  });

  test("a new volume has the settings that are asked for, and the others that are configured", async () => {
    const { zfs, ran } = driver(() => SUCCESS);
    const create = (settings: NewVolumeSettings) => zfs.createVolume(volume("ut/v"), bytes(8192), settings);
    await create({ volblocksize: 8192, isThick: false, tags: { a: "b", none: "" } });
    await create({ isThick: true });
    expect(ran.map((argv) => argv.slice(4).join(" "))).toEqual([
      "-s -o compression=lz4 -o volblocksize=8192 -o tag:a=b -V 8192 ut/v",
      "-o compression=lz4 -V 8192 ut/v",
    ]);
  });

  test("the tags of a volume are those that it has itself", async () => {
    const rows = [
      ["type", "volume", "-"],
      ["volsize", "8388608", "local"],
      ["volblocksize", "16384", "default"],
      ["refreservation", "8650752", "local"],
      ["compression", "lz4", "inherited from ut"],
      ["sync", "standard", "default"],
      ["readonly", "off", "default"],
      ["tag:z", "1", "local"],
      ["tag:a", "2", "received"],
      ["tag:theirs", "3", "inherited from ut"],
      ["imagestore:type", "kvm", "local"],
    ];
    const { zfs } = driver(() => ({ stdout: rows.map((each) => `${each.join("\t")}\n`).join("") }));
    expect(await zfs.settingsOf(volume("ut/v"))).toEqual({
      ok: true,
      value: {
        ...{ compression: "lz4", sync: "standard", readonly: false, isThick: true, volblocksize: 16_384 },
        tags: { a: "2", z: "1" },
      },
    });
  });

  test("a rename that makes parents is tried again when another command made one first", async () => {
    let renames = 0;
    const { zfs, ran } = driver(({ 2: verb }) => {
      if (verb === "list") return captured("open-missing-dataset");
      return ++renames < 3 ? captured("rename-exists") : SUCCESS;
    });
    expect((await zfs.rename(volume("ut/v"), volume("ut/none"), true)).ok).toBe(true);
    expect(ran.at(-1)).toEqual(["sudo", "zfs", "rename", "-p", "ut/v", "ut/none"]);
    expect(renames).toBe(3);
  });

  test("a volume of the largest size is asked for digit for digit", async () => {
    const { zfs, ran } = driver(() => SUCCESS);
    await zfs.createVolume(volume("ut/v"), bytes(2n ** 63n - 2n ** 20n));
    expect(ran).toEqual([
      ["sudo", "zfs", "create", "-p", "-o", "compression=lz4", "-V", "9223372036853727232", "ut/v"],
    ]);
  });
});

/** What `zfs program` prints where it makes these, each with 512 B written, and not those that are missing here. */
function programMade(argv: readonly string[], makes: (name: string) => boolean): Answer {
  const names = namesOf(argv);
  const made = names.flatMap((name, index) => (makes(name) ? [[String(index + 1), "512"]] : []));
  return { stdout: `${JSON.stringify({ return: Object.fromEntries(made) })}\n` };
}

const namesOf = (argv: readonly string[]) => argv.filter((word) => word.includes("@"));
const isProgram = (argv: readonly string[]) => argv[2] === "program";

describe("snapshots in groups", () => {
  const snap = (name: string) => name as SnapshotName;
  const made = { ok: true, value: 512n };
  const programs = (argv: readonly string[]) => programMade(argv, () => true);

  test("of different datasets that are ready together go out in one program, which tells what they have written", async () => {
    const { zfs, ran } = driver(programs);
    const names = Array.from({ length: 16 }, (_, index) => snap(`ut/v${index}@s`));
    expect(await Promise.all(names.map((name) => zfs.snapshot(name, false)))).toEqual(names.map(() => made));
    expect(ran).toEqual([["sudo", "zfs", "program", "-j", "ut", "-", ...names]]);
  });

  test("that are many are shared among the groups that may run at once", async () => {
    const { zfs, ran } = driver(programs);
    const names = Array.from({ length: 65 }, (_, index) => snap(`ut/v${index}@s`));
    expect(await Promise.all(names.map((name) => zfs.snapshot(name, false)))).toEqual(names.map(() => made));
    expect(ran.map((argv) => namesOf(argv).length)).toEqual([33, 32]);
    expect(ran.flatMap(namesOf)).toEqual(names);
  });

  test("of one dataset never stand in one command", async () => {
    const { zfs, ran } = driver(programs);
    const names = ["ut/a@1", "ut/a@2", "ut/b@1", "ut/a@3"].map(snap);
    await Promise.all(names.map((name) => zfs.snapshot(name, false)));
    const commands = ran.map(namesOf);
    expect(commands.flat().sort()).toEqual([...names].sort());
    for (const command of commands) {
      expect(new Set(command.map((name) => name.split("@")[0])).size).toBe(command.length);
    }
  });

  test("what comes while groups are under way waits for one of them and goes out together", async () => {
    const ends: (() => void)[] = [];
    const ran: (readonly string[])[] = [];
    const zfs = openOpenZfs(DRIVER_OPTIONS, async (argv) => {
      ran.push(namesOf(argv));
      await new Promise<void>((end) => ends.push(end));
      return { argv, stdout: "", stderr: "", ...programs(argv), exit: { kind: "exited", code: 0 }, ms: 1 };
    });
    const settled: Promise<unknown>[] = [];
    for (let index = 0; index < 6; index++) {
      settled.push(zfs.snapshot(snap(`ut/v${index}@s`), false));
      await turn();
      await turn();
    }
    expect(ran).toEqual([["ut/v0@s"], ["ut/v1@s"]]);
    ends.shift()?.();
    await until("the others went out", () => ran.length === 3);
    expect(ran[2]).toEqual(["ut/v2@s", "ut/v3@s", "ut/v4@s", "ut/v5@s"]);
    for (const end of ends) end();
    await Promise.all(settled);
  });

  test("that come in a crowd go out in equal groups, though one alone went first", async () => {
    const ran: string[][] = [];
    const ends: (() => void)[] = [];
    const zfs = openOpenZfs(DRIVER_OPTIONS, async (argv) => {
      ran.push(namesOf(argv));
      await new Promise<void>((end) => ends.push(end));
      return { argv, stdout: "", stderr: "", ...programs(argv), exit: { kind: "exited", code: 0 }, ms: 1 };
    });
    const lone = zfs.snapshot(snap("ut/v@s"), false);
    await until("the first went out", () => ran.length === 1);
    const crowd = Array.from({ length: 63 }, (_, index) => zfs.snapshot(snap(`ut/v${index}@s`), false));
    await until("some of the others went out", () => ran.length === 2);
    ends.shift()?.();
    await lone;
    await until("the rest went out", () => ran.length === 3);
    expect(ran.map((names) => names.length)).toEqual([1, 32, 31]);
    for (const end of ends) end();
    expect(await Promise.all(crowd)).toEqual(crowd.map(() => made));
  });

  test("that the program can't make are told why by zfs snapshot, and hide no other", async () => {
    const { zfs, ran } = driver((argv) => {
      if (isProgram(argv)) return programMade(argv, (name) => name === "ut/c@s");
      return captured(namesOf(argv).length === 2 ? "snapshot-group-exists" : "snapshot-exists");
    });
    const names = ["ut/a@s", "ut/c@s", "ut/b@s"].map(snap);
    const outcomes = await Promise.all(names.map((name) => zfs.snapshot(name, false)));
    expect(outcomes).toMatchObject([{ failure: { code: "dataset.exists" } }, made, { ok: false }]);
    expect(ran.map((argv) => `${argv[2]} ${namesOf(argv).join(" ")}`).sort()).toEqual([
      "program ut/a@s ut/c@s ut/b@s",
      "snapshot ut/a@s",
      "snapshot ut/a@s ut/b@s",
      "snapshot ut/b@s",
    ]);
  });

  test("are made by zfs snapshot where programs are refused, which is logged once and tried again later", async () => {
    vi.useFakeTimers({ toFake: ["performance"] });
    onTestFinished(() => void vi.useRealTimers());
    let isRefused = true;
    const log = createKeptLog();
    const answer = (argv: readonly string[]) =>
      isProgram(argv) ? (isRefused ? captured("perm-program") : programs(argv)) : SUCCESS;
    const { zfs, ran } = driver(answer, log);
    const verbs = () => ran.splice(0).map(({ 2: verb }) => verb);
    const names = ["ut/a@s", "ut/b@s"].map(snap);
    const unknown = { ok: true, value: undefined };
    expect(await Promise.all(names.map((name) => zfs.snapshot(name, false)))).toEqual([unknown, unknown]);
    expect(await zfs.snapshot(snap("ut/c@s"), false)).toEqual(unknown);
    expect(verbs()).toEqual(["program", "snapshot", "snapshot"]);
    vi.advanceTimersByTime(5 * 60_000);
    expect(await zfs.snapshot(snap("ut/d@s"), false)).toEqual(unknown);
    expect(await zfs.snapshot(snap("ut/e@s"), false)).toEqual(unknown);
    expect(verbs()).toEqual(["program", "snapshot", "snapshot"]);
    expect(log.lines).toMatchObject([
      { level: "warn", fields: { pool: "ut", code: "command.not_permitted" } },
    ]);
    isRefused = false;
    vi.advanceTimersByTime(5 * 60_000);
    expect(await zfs.snapshot(snap("ut/f@s"), false)).toEqual(made);
    expect(await zfs.snapshot(snap("ut/g@s"), false)).toEqual(made);
    expect(verbs()).toEqual(["program", "program"]);
    expect(log.lines.map(({ level }) => level)).toEqual(["warn", "info"]);
  });

  test.each([
    ["before it", "Warning: Permanently added 'node' to the list of known hosts.\n{ not json\n", ""],
    ["behind it", "", "Connection to node closed.\n"],
  ])("are known though there are other lines %s in the output", async (_where, before, behind) => {
    const { zfs } = driver((argv) => ({ stdout: `${before}${programs(argv).stdout}${behind}` }));
    expect(await zfs.snapshot(snap("ut/a@s"), false)).toEqual(made);
  });

  test("whose size the program could not read are made all the same", async () => {
    const { zfs, ran } = driver(() => ({ stdout: '{"return":{"1":"nil"}}\n' }));
    expect(await zfs.snapshot(snap("ut/a@s"), false)).toEqual({ ok: true, value: undefined });
    expect(ran.length).toBe(1);
  });

  test.each(["", "made them\n", "[]\n", "{}\n", '{"retu'])(
    "whose program ends well with the output %j may exist: nothing is tried again",
    async (stdout) => {
      const log = createKeptLog();
      const { zfs, ran } = driver((argv) => (isProgram(argv) ? { stdout } : SUCCESS), log);
      expect(await zfs.snapshot(snap("ut/a@s"), false)).toMatchObject({
        failure: { code: "service.interrupted" },
      });
      expect(ran.length).toBe(1);
      expect(log.lines).toMatchObject([{ level: "warn", fields: { code: "service.interrupted" } }]);
      expect(await zfs.snapshot(snap("ut/b@s"), false)).toEqual({ ok: true, value: undefined });
      expect(ran.map(({ 2: verb }) => verb)).toEqual(["program", "snapshot"]);
    },
  );

  test("are tried as a program again where zfs snapshot is refused too", async () => {
    let isReadOnly = true;
    const { zfs, ran } = driver((argv) => (isReadOnly ? captured("readonly-snapshot") : programs(argv)));
    const refused = { failure: { code: "pool.read_only" } };
    expect(await zfs.snapshot(snap("ut/a@s"), false)).toMatchObject(refused);
    isReadOnly = false;
    expect(await zfs.snapshot(snap("ut/a@s"), false)).toEqual(made);
    expect(ran.map(({ 2: verb }) => verb)).toEqual(["program", "snapshot", "program"]);
  });

  test.each([
    ["a program", isProgram],
    ["a zfs snapshot", (argv: readonly string[]) => !isProgram(argv)],
  ])("are not run again where nobody knows what became of %s", async (_what, isLost) => {
    let runs = 0;
    const zfs = openOpenZfs(DRIVER_OPTIONS, async (argv) => {
      runs++;
      if (isLost(argv))
        return { argv, stdout: "", stderr: "", exit: { kind: "timed_out", afterMs: 1 }, ms: 1 };
      const { stderr = "" } = captured("perm-program");
      return { argv, stdout: "", stderr, exit: { kind: "exited", code: 1 }, ms: 1 };
    });
    const outcomes = await Promise.all(["ut/a@s", "ut/b@s"].map((name) => zfs.snapshot(snap(name), false)));
    for (const outcome of outcomes) expect(outcome).toMatchObject({ failure: { code: "command.timed_out" } });
    expect(runs).toBe(isLost(["", "", "program"]) ? 1 : 2);
  });

  test("that have written more than JSON's numbers hold are told digit for digit", async () => {
    const { zfs } = driver(() => ({ stdout: '{"return":{"1":"18446744073709551615"}}\n' }));
    expect(await zfs.snapshot(snap("ut/a@s"), false)).toEqual({ ok: true, value: 2n ** 64n - 1n });
  });
});

describe("deletions in groups", () => {
  const ok = { ok: true, value: null };
  const destroyAll = (zfs: Zfs, names: readonly string[]) =>
    Promise.all(names.map((name) => zfs.destroy(name as SnapshotName, false)));

  test("go out in one command for a dataset, those in others in their own", async () => {
    const { zfs, ran } = driver(() => SUCCESS);
    expect(await destroyAll(zfs, ["ut/a@1", "ut/a@2", "ut/b@1"])).toEqual([ok, ok, ok]);
    expect(ran.map((argv) => argv.at(-1))).toEqual(["ut/a@1,2", "ut/b@1"]);
  });

  test("that fail: those to blame get answers of their own, and the others go out again", async () => {
    const { zfs, ran } = driver((argv) => {
      if (argv.at(-1) === "ut/a@held,x,y") return captured("destroy-group-held");
      return argv.at(-1) === "ut/a@held" ? captured("destroy-held-snapshot") : SUCCESS;
    });
    const outcomes = await destroyAll(zfs, ["ut/a@held", "ut/a@x", "ut/a@y"]);
    expect(outcomes).toMatchObject([{ failure: { code: "snapshot.held" } }, ok, ok]);
    const destroys = ran.filter((argv) => argv[2] === "destroy").map((argv) => argv.at(-1));
    expect(destroys.sort()).toEqual(["ut/a@held", "ut/a@held,x,y", "ut/a@x,y"]);
  });

  test("that fail for a reason that names nobody are run one by one", async () => {
    const { zfs, ran } = driver((argv) =>
      argv.at(-1) === "ut/a@1,2" ? captured("suspended-list") : SUCCESS,
    );
    expect(await destroyAll(zfs, ["ut/a@1", "ut/a@2"])).toEqual([ok, ok]);
    expect(ran.length).toBe(3);
  });

  test("whose outcome nobody knows are not run again", async () => {
    let runs = 0;
    const zfs = openOpenZfs(DRIVER_OPTIONS, async (argv) => {
      runs++;
      return { argv, stdout: "", stderr: "", exit: { kind: "timed_out", afterMs: 1 }, ms: 1 };
    });
    for (const outcome of await destroyAll(zfs, ["ut/a@1", "ut/a@2"])) {
      expect(outcome).toMatchObject({ failure: { code: "command.timed_out" } });
    }
    expect(runs).toBe(1);
  });
});

test("single dispatch, for the bench, runs a process for each request", async () => {
  const ran: (readonly string[])[] = [];
  const zfs = openOpenZfs(
    { ...DRIVER_OPTIONS, settings: { ...SETTINGS, dispatch: "single" } },
    async (argv) => {
      ran.push(argv.slice(2));
      return { argv, stdout: row("ut/a"), stderr: "", exit: { kind: "exited", code: 0 }, ms: 1 };
    },
  );
  const names = ["ut/a@1", "ut/b@1"] as SnapshotName[];
  await Promise.all([
    ...names.map((name) => zfs.snapshot(name, false)),
    ...names.map((name) => zfs.destroy(name, false)),
    zfs.find(volume("ut/a")),
    zfs.find(volume("ut/a")),
    zfs.listSnapshots(volume("ut/a")),
    zfs.listSnapshots(volume("ut/a")),
  ]);
  expect(ran.map(([verb]) => verb).sort()).toEqual(
    [...Array(2).fill("destroy"), ...Array(4).fill("list"), ...Array(2).fill("snapshot")].sort(),
  );
});

describe("space", () => {
  test("counts what thin volumes may grow, and neither thick ones nor images", async () => {
    const { zfs } = driver((argv) =>
      argv.includes("available")
        ? { stdout: "1000\n" }
        : { stdout: "500\t100\t0\toff\n500\t0\t600\toff\n500\t0\t0\ton\n500\t700\t0\toff\n" },
    );
    expect(await zfs.space(volume("ut/guests"))).toEqual({
      ok: true,
      value: { available: 1000n, promised: 400n },
    });
  });

  test("of a pool that can't be read is a failure", async () => {
    const { zfs } = driver(() => captured("suspended-list"));
    expect(await zfs.space(volume("sp/guests"))).toMatchObject({ failure: { code: "pool.unavailable" } });
  });
});

describe("the pool's usage", () => {
  const usageOf = async (line: string) => {
    const { zfs, ran } = driver(() => ({ stdout: `${line}\n` }));
    const usage = await zfs.poolUsage();
    return { usage: usage.ok ? usage.value : usage.failure, ran };
  };

  test("is read by zpool list, digit for digit", async () => {
    const { usage, ran } = await usageOf("18446744073709551615\t18446744073709551614\t1\tDEGRADED\t37");
    expect(usage).toEqual({
      size: 18446744073709551615n,
      allocated: 18446744073709551614n,
      free: 1n,
      health: "DEGRADED",
      fragmentation: 37,
    });
    expect(ran).toEqual([
      ["sudo", "zpool", "list", "-Hp", "-o", "size,allocated,free,health,fragmentation", "ut"],
    ]);
  });

  test.each([
    ["0", 0],
    ["0%", 0],
    ["-", undefined],
    ["", undefined],
  ])("has a fragmentation of %j as %j", async (text, fragmentation) => {
    expect((await usageOf(`3\t1\t2\tONLINE\t${text}`)).usage).toMatchObject({ free: 2n, fragmentation });
  });

  test("that many ask for at one moment is read by one process", async () => {
    const { zfs, ran } = driver(() => ({ stdout: "3\t1\t2\tONLINE\t0\n" }));
    await Promise.all(Array.from({ length: 100 }, () => zfs.poolUsage()));
    expect(ran.length).toBe(1);
  });

  test("of a pool that is gone is a failure", async () => {
    const { zfs } = driver(() => captured("open-missing-pool"));
    expect(await zfs.poolUsage()).toMatchObject({ failure: { code: "dataset.not_found" } });
  });
});

describe("holds of the pool", () => {
  test("are read of held snapshots only, and only ours are told", async () => {
    const { zfs, ran } = driver(({ 2: verb }) =>
      verb === "list"
        ? { stdout: "0\tut/a@s\n12\tut/b@s\n-\tut/c@s\n" }
        : { stdout: "ut/b@s\timagestore:x\tTue\nut/b@s\tbackup\tTue\n" },
    );
    expect(await zfs.listHolds("imagestore:")).toEqual({
      ok: true,
      value: [{ name: "ut/b@s", tag: "imagestore:x" }],
    });
    expect(ran.at(-1)).toEqual(["sudo", "zfs", "holds", "-H", "ut/b@s"]);
  });

  const heldPool = (holds: Answer) =>
    driver(({ 2: verb }) => (verb === "list" ? { stdout: "1\tut/a@s\n1\tut/none@s\n" } : holds));

  test("are told though another snapshot vanished between the two commands", async () => {
    const { stderr = "" } = captured("open-missing-dataset");
    const { zfs } = heldPool({ stdout: "ut/a@s\timagestore:x\tTue\n", stderr, code: 1 });
    expect(await zfs.listHolds("imagestore:")).toEqual({
      ok: true,
      value: [{ name: "ut/a@s", tag: "imagestore:x" }],
    });
  });

  test("are a failure where anything else went wrong", async () => {
    const stderr = `${captured("open-missing-dataset").stderr}${captured("suspended-list").stderr}`;
    const { zfs } = heldPool({ stdout: "ut/a@s\timagestore:x\tTue\n", stderr, code: 1 });
    expect((await zfs.listHolds("imagestore:")).ok).toBe(false);
  });

  test("that many ask for at one moment are read once", async () => {
    const { zfs, ran } = driver(() => ({ stdout: "0\tut/a@s\n" }));
    await Promise.all(Array.from({ length: 50 }, () => zfs.listHolds("imagestore:")));
    expect(ran.length).toBe(1);
  });
});
