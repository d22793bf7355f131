import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import type { DatasetName, PoolName, SnapshotName } from "../../src/protocol/names.js";
import { bytes } from "../../src/protocol/units.js";
import type { CommandEnd } from "../../src/workers/zfs/command.js";
import type { Zfs } from "../../src/workers/zfs/driver.js";
import { openOpenZfs } from "../../src/workers/zfs/openzfs.js";
import { turn, until } from "../support/until.js";

const FOLDER = fileURLToPath(new URL("../fixtures/zfs-2.3.2", import.meta.url));

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

const DRIVER_OPTIONS = {
  pool: "ut" as PoolName,
  zfsCommand: ["sudo", "zfs"],
  zpoolCommand: ["sudo", "zpool"],
  dispatch: "grouped" as const,
  volumeProperties: { compression: "lz4" },
  timeoutMs: 1,
  deviceWaitMs: 0,
};

/** A driver whose commands are answered by `answer`, and what it ran. */
function driver(answer: (argv: readonly string[], run: number) => Answer): {
  zfs: Zfs;
  ran: (readonly string[])[];
} {
  const ran: (readonly string[])[] = [];
  const run = async (argv: readonly string[]): Promise<CommandEnd> => {
    ran.push(argv);
    const { stdout = "", stderr = "", code = 0 } = answer(argv, ran.length);
    return { argv, stdout, stderr, exit: { kind: "exited", code }, ms: 1 };
  };
  return { zfs: openOpenZfs(DRIVER_OPTIONS, run), ran };
}

const volume = (name: string) => name as DatasetName;
const row = (name: string, volsize = "-") => `${name}\tvolume\t1\t2\t${volsize}\t0\t-\n`;

describe("releasing a hold", () => {
  test.each(["release-missing-tag", "release-missing-snapshot", "release-missing-dataset"])(
    "that is not there any more succeeds: %s",
    async (name) => {
      const { zfs } = driver(() => captured(name));
      expect(await zfs.release("tag", "ut/none@none" as SnapshotName)).toEqual({ ok: true, value: null });
    },
  );

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
    expect(ran.length).toBe(1);
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

  test("a clone whose target is there is refused at once", async () => {
    const { zfs, ran } = driver(({ 2: verb }) =>
      verb === "list" ? { stdout: row("ut/images/img") } : captured("clone-exists"),
    );
    expect(await zfs.clone("ut/vol@s1" as SnapshotName, volume("ut/images/img"))).toMatchObject({
      failure: { code: "dataset.exists" },
    });
    expect(ran.map(({ 2: verb }) => verb)).toEqual(["clone", "list"]);
  });

  test("a volume of the largest size is asked for digit for digit", async () => {
    const { zfs, ran } = driver(() => SUCCESS);
    await zfs.createVolume(volume("ut/v"), bytes(2n ** 63n - 2n ** 20n));
    expect(ran).toEqual([
      ["sudo", "zfs", "create", "-p", "-o", "compression=lz4", "-V", "9223372036853727232", "ut/v"],
    ]);
  });
});

describe("changes in groups", () => {
  const snap = (name: string) => name as SnapshotName;
  const ok = { ok: true, value: null };

  test("snapshots of different datasets that are ready together go out in one command", async () => {
    const { zfs, ran } = driver(() => SUCCESS);
    const names = Array.from({ length: 16 }, (_, index) => snap(`ut/v${index}@s`));
    expect(await Promise.all(names.map((name) => zfs.snapshot(name, false)))).toEqual(names.map(() => ok));
    expect(ran).toEqual([["sudo", "zfs", "snapshot", ...names]]);
  });

  test("many that are ready together are shared among the groups that may run at once", async () => {
    const { zfs, ran } = driver(() => SUCCESS);
    const names = Array.from({ length: 65 }, (_, index) => snap(`ut/v${index}@s`));
    expect(await Promise.all(names.map((name) => zfs.snapshot(name, false)))).toEqual(names.map(() => ok));
    expect(ran.map((argv) => argv.length - 3)).toEqual([33, 32]);
    expect(ran.flatMap((argv) => argv.slice(3))).toEqual(names);
  });

  test("snapshots of one dataset never stand in one command", async () => {
    const { zfs, ran } = driver(() => SUCCESS);
    const names = ["ut/a@1", "ut/a@2", "ut/b@1", "ut/a@3"].map(snap);
    await Promise.all(names.map((name) => zfs.snapshot(name, false)));
    const commands = ran.map((argv) => argv.slice(3));
    expect(commands.flat().sort()).toEqual([...names].sort());
    for (const command of commands) {
      expect(new Set(command.map((name) => name.split("@")[0])).size).toBe(command.length);
    }
  });

  test("deletions in one dataset go out in one command, those in others in their own", async () => {
    const { zfs, ran } = driver(() => SUCCESS);
    await Promise.all(["ut/a@1", "ut/a@2", "ut/b@1"].map((name) => zfs.destroy(snap(name), false)));
    expect(ran.map((argv) => argv.at(-1))).toEqual(["ut/a@1,2", "ut/b@1"]);
  });

  test("what comes while groups are under way waits for one of them and goes out together", async () => {
    const ends: (() => void)[] = [];
    const ran: (readonly string[])[] = [];
    const zfs = openOpenZfs(DRIVER_OPTIONS, async (argv) => {
      ran.push(argv.slice(3));
      await new Promise<void>((end) => ends.push(end));
      return { argv, stdout: "", stderr: "", exit: { kind: "exited", code: 0 }, ms: 1 };
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

  test("of a group that fails those to blame get answers of their own, and the others go out again", async () => {
    const { zfs, ran } = driver((argv) => {
      const names = argv.slice(3);
      if (names.length === 3) return captured("snapshot-group-exists");
      return names[0] === "ut/c@s" ? SUCCESS : captured("snapshot-exists");
    });
    const names = ["ut/a@s", "ut/c@s", "ut/b@s"].map(snap);
    const outcomes = await Promise.all(names.map((name) => zfs.snapshot(name, false)));
    expect(outcomes).toMatchObject([{ failure: { code: "dataset.exists" } }, ok, { failure: {} }]);
    expect(ran.map((argv) => argv.slice(3).join(" ")).sort()).toEqual(
      ["ut/a@s", "ut/a@s ut/c@s ut/b@s", "ut/b@s", "ut/c@s"].sort(),
    );
  });

  test("a group that fails for a reason that names nobody is run one by one", async () => {
    const { zfs, ran } = driver((argv) => (argv.length > 4 ? captured("suspended-snapshot") : SUCCESS));
    const names = ["ut/a@s", "ut/b@s"].map(snap);
    expect(await Promise.all(names.map((name) => zfs.snapshot(name, false)))).toEqual([ok, ok]);
    expect(ran.length).toBe(3);
  });

  test("a group whose outcome nobody knows is not run again", async () => {
    let runs = 0;
    const zfs = openOpenZfs(DRIVER_OPTIONS, async (argv) => {
      runs++;
      return { argv, stdout: "", stderr: "", exit: { kind: "timed_out", afterMs: 1 }, ms: 1 };
    });
    const outcomes = await Promise.all(["ut/a@s", "ut/b@s"].map((name) => zfs.snapshot(snap(name), false)));
    for (const outcome of outcomes) expect(outcome).toMatchObject({ failure: { code: "command.timed_out" } });
    expect(runs).toBe(1);
  });
});

test("single dispatch, for the bench, runs a process for each request", async () => {
  const ran: (readonly string[])[] = [];
  const zfs = openOpenZfs({ ...DRIVER_OPTIONS, dispatch: "single" }, async (argv) => {
    ran.push(argv.slice(2));
    return { argv, stdout: row("ut/a"), stderr: "", exit: { kind: "exited", code: 0 }, ms: 1 };
  });
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

describe("holds of the pool", () => {
  test("are read of held snapshots only, and only ours are told", async () => {
    const { zfs, ran } = driver(({ 2: verb }) =>
      verb === "list"
        ? { stdout: "ut/a@s\t0\nut/b@s\t2\nut/c@s\t-\n" }
        : { stdout: "ut/b@s\timagestore:x\tTue\nut/b@s\tbackup\tTue\n" },
    );
    expect(await zfs.listHolds("imagestore:")).toEqual({
      ok: true,
      value: [{ name: "ut/b@s", tag: "imagestore:x" }],
    });
    expect(ran.at(-1)).toEqual(["sudo", "zfs", "holds", "-H", "ut/b@s"]);
  });
});
