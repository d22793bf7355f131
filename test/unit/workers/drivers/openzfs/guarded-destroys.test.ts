import { describe, expect, onTestFinished, test, vi } from "vitest";
import type { DatasetName, SnapshotName } from "../../../../../src/protocol/storage/names.js";
import { openOpenZfs } from "../../../../../src/workers/drivers/openzfs/openzfs-driver.js";
import { OPENZFS_OPTIONS } from "../../../../support/openzfs-options.js";

interface Row {
  readonly name: string;
  readonly holds?: number;
  readonly clones?: string;
  readonly txg?: number;
  readonly type?: string;
  /** The columns behind the others. */
  readonly space?: string;
}

interface Answer {
  readonly stdout?: string;
  readonly stderr?: string;
  readonly code?: number;
}

interface Pool {
  /** What is in it at each list; the last stays. */
  readonly lists: readonly (readonly Row[])[];
  /** The names that a program finds in use, at each run; the last stays. `undefined`: programs are refused. */
  readonly used?: readonly (readonly string[] | undefined)[];
  readonly change?: Answer;
  /** The tags that a held snapshot has; undefined: `zfs holds` fails. */
  readonly tags?: readonly string[] | undefined;
}

const line = ({ name, holds = 0, clones = "-", txg = 1, type, space }: Row) => {
  const kind = type ?? (name.includes("@") ? "snapshot" : "volume");
  return `${name}\t${kind === "snapshot" ? holds : "-"}\t${clones}\t${txg}\t${kind}${space === undefined ? "" : `\t${space}`}\n`;
};

/** A driver on a pool that answers as `pool` says, and the commands that it ran. */
function open({ lists, used = [[]], change = {}, tags }: Pool) {
  const ran: string[] = [];
  const turns = { list: 0, program: 0 };
  const next = <T>(verb: keyof typeof turns, answers: readonly T[]): T =>
    answers[Math.min(turns[verb]++, answers.length - 1)] as T;
  const answer = (verb: string, name: string): Answer => {
    if (verb === "holds") {
      if (!tags) return { stderr: `cannot open '${name}': dataset does not exist\n`, code: 1 };
      return { stdout: tags.map((tag) => `${name}\t${tag}\tSat Nov 28  8:06 2026\n`).join("") };
    }
    if (verb === "list") return { stdout: next("list", lists).map(line).join("") };
    if (verb !== "program") return change;
    const names = next("program", used);
    if (names === undefined)
      return { stderr: "Permission denied. Channel programs must be run as root.\n", code: 1 };
    const table = Object.fromEntries(names.map((name, index) => [String(index + 1), name]));
    return { stdout: `${JSON.stringify({ return: table })}\n` };
  };
  const zfs = openOpenZfs(OPENZFS_OPTIONS, async (argv) => {
    ran.push(argv.slice(1).join(" "));
    const { stdout = "", stderr = "", code = 0 } = answer(argv[1] ?? "", argv.at(-1) ?? "");
    return { argv, stdout, stderr, exit: { kind: "exited", code }, ms: 1 };
  });
  const changes = () => ran.filter((command) => !/^(?:list|program|holds) /.test(command));
  return { zfs, ran, changes };
}

const guest = "ut/g" as DatasetName;
const GUEST: readonly Row[] = [
  { name: "ut/g", type: "filesystem" },
  { name: "ut/g/disk-0" },
  { name: "ut/g/disk-1" },
  { name: "ut/g/disk-1@s" },
];
const DONE = { ok: true, value: null };

/** What the pauses of a busy dataset add up to, at once. */
function skipPauses(): void {
  vi.useFakeTimers({ toFake: ["setTimeout"], shouldAdvanceTime: true, advanceTimeDelta: 1000 });
  onTestFinished(() => void vi.useRealTimers());
}

describe("a destroy of many datasets", () => {
  test("looks first, and then destroys", async () => {
    const { zfs, ran } = open({ lists: [GUEST] });
    expect(await zfs.destroy(guest, true)).toEqual(DONE);
    expect(ran).toEqual([
      "list -Hp -o name,userrefs,clones,createtxg,type -t filesystem,volume,snapshot -r ut/g",
      "program -n -j ut - ut/g/disk-0 ut/g/disk-1@s",
      "destroy -r ut/g",
    ]);
  });

  test.each([
    [
      "a hold",
      { holds: 1 },
      "snapshot.held",
      "ut/g/disk-1@s is held: a download of it may be running, or others hold it (zfs holds ut/g/disk-1@s)",
    ],
    ["a clone elsewhere", { clones: "ut/x,ut/g/disk-0" }, "dataset.has_clones", "ut/g has clones: ut/x"],
  ])(
    "is refused before anything is gone where there is %s, and names it",
    async (_what, found, code, message) => {
      const { zfs, changes } = open({ lists: [[...GUEST.slice(0, 3), { name: "ut/g/disk-1@s", ...found }]] });
      expect(await zfs.destroy(guest, true)).toMatchObject({ failure: { code, message } });
      expect(changes()).toEqual([]);
    },
  );

  test("goes on where the only clones are destroyed with it", async () => {
    const { zfs, changes } = open({
      lists: [[...GUEST.slice(0, 3), { name: "ut/g/disk-1@s", clones: "ut/g/disk-0" }]],
    });
    expect(await zfs.destroy(guest, true)).toEqual(DONE);
    expect(changes()).toEqual(["destroy -r ut/g"]);
  });

  test("is refused before anything is gone while one of them is in use, and names it", async () => {
    skipPauses();
    const { zfs, ran, changes } = open({ lists: [GUEST], used: [["ut/g/disk-0"]] });
    expect(await zfs.destroy(guest, true)).toMatchObject({
      failure: { code: "dataset.busy", message: expect.stringContaining("ut/g/disk-0 is in use") },
    });
    expect(changes()).toEqual([]);
    expect(ran.filter((command) => command.startsWith("program")).length).toBe(6);
  });

  test("waits for udev, which has a volume open for a moment", async () => {
    skipPauses();
    const { zfs, changes } = open({ lists: [GUEST], used: [["ut/g/disk-0"], []] });
    expect(await zfs.destroy(guest, true)).toEqual(DONE);
    expect(changes()).toEqual(["destroy -r ut/g"]);
  });

  test("goes on where programs are refused", async () => {
    const { zfs, changes } = open({ lists: [GUEST], used: [undefined] });
    expect(await zfs.destroy(guest, true)).toEqual(DONE);
    expect(changes()).toEqual(["destroy -r ut/g"]);
  });

  test("that stops half-way says what is gone", async () => {
    skipPauses();
    const { zfs } = open({
      lists: [GUEST, [GUEST[0] as Row, GUEST[2] as Row]],
      change: { stderr: "cannot destroy 'ut/g/disk-1': dataset is busy\n", code: 1 },
    });
    expect(await zfs.destroy(guest, true)).toMatchObject({
      failure: {
        code: "dataset.busy",
        message: "cannot destroy 'ut/g/disk-1': dataset is busy; gone already: ut/g/disk-0, ut/g/disk-1@s",
      },
    });
  });

  test("that stops half-way after a hundred names twenty and counts the others", async () => {
    skipPauses();
    const many = Array.from({ length: 100 }, (_, index) => ({ name: `ut/g/disk-${index}` }));
    const { zfs } = open({
      lists: [many, []],
      change: { stderr: "cannot destroy 'ut/g': dataset is busy\n", code: 1 },
    });
    const destroyed = await zfs.destroy(guest, true);
    expect(destroyed.ok ? "" : destroyed.failure.message).toMatch(/disk-19 and 80 more$/);
  });

  test("that fails with everything in place says nothing of the kind", async () => {
    const refused = { stderr: "cannot destroy 'ut/g': permission denied\n", code: 1 };
    const { zfs } = open({ lists: [GUEST], change: refused });
    expect(await zfs.destroy(guest, true)).toMatchObject({
      failure: { code: "command.not_permitted", message: "cannot destroy 'ut/g': permission denied" },
    });
  });

  test("asks of one volume alone nothing but its list", async () => {
    const { zfs, ran } = open({ lists: [[{ name: "ut/g" }]] });
    expect(await zfs.destroy(guest, true)).toEqual(DONE);
    expect(ran.length).toBe(2);
  });
});

describe("a rollback that destroys newer snapshots", () => {
  const target = "ut/v@a" as SnapshotName;
  const SNAPSHOTS: readonly Row[] = ["a", "b", "c", "d"].map((tag, index) => ({
    name: `ut/v@${tag}`,
    txg: index + 5,
  }));
  const withC = (found: Partial<Row>) =>
    SNAPSHOTS.map((row) => (row.name === "ut/v@c" ? { ...row, ...found } : row));

  test("looks at the newer ones, and then rolls back", async () => {
    const { zfs, ran } = open({ lists: [SNAPSHOTS] });
    expect(await zfs.rollback(target, true)).toEqual(DONE);
    expect(ran).toEqual([
      "list -Hp -o name,userrefs,clones,createtxg,type -t snapshot -d 1 ut/v",
      "program -n -j ut - ut/v@b ut/v@c ut/v@d",
      "rollback -r ut/v@a",
    ]);
  });

  test.each([
    ["a hold", { holds: 2 }, "snapshot.held", "ut/v@c is held"],
    ["a clone", { clones: "ut/x" }, "dataset.has_clones", "snapshots newer than ut/v@a have clones: ut/x"],
  ])("is refused before anything is gone where one of them has %s", async (_what, found, code, message) => {
    const { zfs, changes } = open({ lists: [withC(found)] });
    expect(await zfs.rollback(target, true)).toMatchObject({
      failure: { code, message: expect.stringContaining(message) },
    });
    expect(changes()).toEqual([]);
  });

  test("does not mind holds and clones of the target and of older ones", async () => {
    const { zfs } = open({
      lists: [
        [
          { name: "ut/v@0", holds: 1, txg: 1 },
          { ...SNAPSHOTS[0], name: "ut/v@a", clones: "ut/x", txg: 5 },
        ],
      ],
    });
    expect(await zfs.rollback(target, true)).toEqual(DONE);
  });

  test("that stops half-way says what is gone", async () => {
    skipPauses();
    const { zfs } = open({
      lists: [SNAPSHOTS, withC({}).slice(0, 3)],
      change: { stderr: "cannot destroy 'ut/v@c': dataset is busy\n", code: 1 },
    });
    expect(await zfs.rollback(target, true)).toMatchObject({
      failure: { message: "cannot destroy 'ut/v@c': dataset is busy; gone already: ut/v@d" },
    });
  });
});

describe("a snapshot that is held", () => {
  const name = "ut/v@s" as SnapshotName;
  const held = {
    stderr: "cannot destroy snapshot ut/v@s: it's being held. Run 'zfs holds -r ut/v@s' to see holders.\n",
    code: 1,
  };
  const OURS = "imagestore:run1-abc-1";

  test.each([
    [[OURS], "ut/v@s is held by a download of it"],
    [["somebody"], 'ut/v@s is held by others, with the tag "somebody" (zfs holds ut/v@s)'],
    [["b", "a tag"], 'ut/v@s is held by others, with the tags "a tag", "b" (zfs holds ut/v@s)'],
    [
      [OURS, "somebody"],
      'ut/v@s is held by others, with the tag "somebody" (zfs holds ut/v@s), and by a download of it',
    ],
  ])("by %j is refused with what holds it", async (tags, message) => {
    const { zfs, ran } = open({ lists: [[]], change: held, tags });
    expect(await zfs.destroy(name, false)).toMatchObject({
      failure: {
        code: "snapshot.held",
        message,
        detail: `tags of its holds: ${[...tags].sort().join(", ")}`,
        about: { object: name },
      },
    });
    expect(ran).toEqual(["destroy ut/v@s", "holds -H ut/v@s"]);
  });

  test("by more than a message can name is refused with some of them", async () => {
    const tags = Array.from({ length: 50 }, (_, index) => `t${index + 10}`);
    const refused = await open({ lists: [[]], change: held, tags }).zfs.destroy(name, false);
    if (refused.ok) throw new Error("destroyed");
    expect(refused.failure.message).toContain('"t28", "t29" and 30 more (zfs holds ut/v@s)');
  });

  test.each([[undefined], [[]]])("but whose tags are %j by then is refused as zfs says", async (tags) => {
    const { zfs } = open({ lists: [[]], change: held, tags });
    expect(await zfs.destroy(name, false)).toMatchObject({
      failure: {
        code: "snapshot.held",
        message: "ut/v@s is held: a download of it may be running, or others hold it (zfs holds ut/v@s)",
      },
    });
  });

  test("among what a deletion or a rollback destroys is told with its tag before anything is gone", async () => {
    const deletion = open({
      lists: [[...GUEST.slice(0, 3), { name: "ut/g/disk-1@s", holds: 1 }]],
      tags: ["x"],
    });
    const rollback = open({
      lists: [
        [
          { name: "ut/v@s", txg: 5 },
          { name: "ut/v@t", txg: 6, holds: 1 },
        ],
      ],
      tags: ["x"],
    });
    const told = (held: string) => ({
      failure: { message: `${held} is held by others, with the tag "x" (zfs holds ${held})` },
    });
    expect(await deletion.zfs.destroy(guest, true)).toMatchObject(told("ut/g/disk-1@s"));
    expect(await rollback.zfs.rollback(name, true)).toMatchObject(told("ut/v@t"));
    expect([...deletion.changes(), ...rollback.changes()]).toEqual([]);
  });

  test("and one that is destroyed cost no command more", async () => {
    const { zfs, ran } = open({ lists: [[]] });
    expect(await zfs.destroy(name, false)).toEqual(DONE);
    expect(ran).toEqual(["destroy ut/v@s"]);
  });
});

describe("a snapshot that is busy", () => {
  const busy = { stderr: "cannot destroy snapshot ut/v@s: dataset is busy\n", code: 1 };

  test.each([false, true])(
    "because it is held is told so at once, as older releases don't (recursive: %s)",
    async (recursive) => {
      const { zfs, changes } = open({ lists: [[{ name: "ut/v@s", holds: 1 }]], change: busy });
      expect(await zfs.destroy("ut/v@s" as SnapshotName, recursive)).toMatchObject({
        failure: {
          code: "snapshot.held",
          message: "ut/v@s is held: a download of it may be running, or others hold it (zfs holds ut/v@s)",
        },
      });
      expect(changes()).toHaveLength(1);
    },
  );

  test("for another reason stays so", async () => {
    skipPauses();
    const { zfs } = open({
      lists: [[{ name: "ut/v@s" }, { name: "ut/v/below@other", holds: 1 }]],
      change: busy,
    });
    expect(await zfs.destroy("ut/v@s" as SnapshotName, true)).toMatchObject({
      failure: { code: "dataset.busy" },
    });
  });
});

describe("a look at what would be destroyed", () => {
  test("tells the space of each, asks even of one alone whether it is in use, and runs no change", async () => {
    const { zfs, ran, changes } = open({ lists: [[{ name: "ut/g/disk-1@s", space: "4096\t-" }]] });
    const found = await zfs.findDoomed({ destroy: "ut/g/disk-1@s" as SnapshotName, recursive: false });
    expect(found).toEqual({ ok: true, value: [{ name: "ut/g/disk-1@s", used: 4096n }] });
    expect(ran).toEqual([
      "list -Hp -o name,userrefs,clones,createtxg,type,used,usedbydataset -t snapshot ut/g/disk-1@s",
      "program -n -j ut - ut/g/disk-1@s",
    ]);
    expect(changes()).toEqual([]);
  });

  test("tells of a dataset what its own data takes, and nothing where zfs tells nothing", async () => {
    const rows = [
      { name: "ut/g", type: "filesystem", space: "9000\t24" },
      { name: "ut/g/disk-0", space: "5000\t-" },
    ];
    const { zfs } = open({ lists: [rows] });
    expect(await zfs.findDoomed({ destroy: guest, recursive: true })).toEqual({
      ok: true,
      value: [
        { name: "ut/g", used: 24n },
        { name: "ut/g/disk-0", used: undefined },
      ],
    });
  });

  test("of a rollback has newer snapshots and bookmarks, or fails with their names", async () => {
    const rows = [
      { name: "ut/v@a", txg: 1 },
      { name: "ut/v@b", txg: 2 },
      { name: "ut/v#m", txg: 3, type: "bookmark" },
    ];
    const { zfs } = open({ lists: [rows] });
    const rollback = "ut/v@a" as SnapshotName;
    expect(await zfs.findDoomed({ rollback, destroyMoreRecent: true })).toMatchObject({
      value: [{ name: "ut/v@b" }, { name: "ut/v#m" }],
    });
    expect(await zfs.findDoomed({ rollback, destroyMoreRecent: false })).toMatchObject({
      failure: {
        code: "snapshot.newer_exist",
        message: "newer snapshots than ut/v@a exist: ut/v@b, ut/v#m; destroyMoreRecent removes them",
      },
    });
    const missing = "ut/v@none" as SnapshotName;
    expect(await zfs.findDoomed({ rollback: missing, destroyMoreRecent: true })).toMatchObject({
      failure: { code: "dataset.not_found" },
    });
  });

  test.each([
    ["is held", { holds: 1 }, [], "snapshot.held"],
    ["has a clone", { clones: "ut/x" }, [], "dataset.has_clones"],
    ["is in use", {}, ["ut/g/disk-1@s"], "dataset.busy"],
  ])("is refused as the destruction is: one that %s", async (_what, row, used, code) => {
    skipPauses();
    const { zfs } = open({ lists: [[{ name: "ut/g/disk-1@s", ...row }]], used: [used] });
    const found = await zfs.findDoomed({ destroy: "ut/g/disk-1@s" as SnapshotName, recursive: false });
    expect(found).toMatchObject({ failure: { code } });
  });
});
