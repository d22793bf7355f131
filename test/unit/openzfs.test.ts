import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import type { DatasetName, PoolName, SnapshotName } from "../../src/protocol/names.js";
import { bytes } from "../../src/protocol/units.js";
import type { CommandEnd } from "../../src/workers/zfs/command.js";
import type { Zfs } from "../../src/workers/zfs/driver.js";
import { openOpenZfs } from "../../src/workers/zfs/openzfs.js";

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
  const options = {
    pool: "ut" as PoolName,
    zfsCommand: ["sudo", "zfs"],
    zpoolCommand: ["sudo", "zpool"],
    volumeProperties: { compression: "lz4" },
    timeoutMs: 1,
    deviceWaitMs: 0,
  };
  return { zfs: openOpenZfs(options, run), ran };
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
