import { describe, expect, test } from "vitest";
import { fail, succeed } from "../../../../../src/protocol/storage/failures.js";
import type { DatasetName, SnapshotName } from "../../../../../src/protocol/storage/names.js";
import type { AnyName } from "../../../../../src/workers/drivers/driver.js";
import {
  type LookUpProgram,
  rowsByName,
} from "../../../../../src/workers/drivers/openzfs/look-up-program.js";
import { createVolumeLooks } from "../../../../../src/workers/drivers/openzfs/volume-looks.js";

const volume = "ut/v" as DatasetName;
const snapshot = (tag: string) => `ut/v@${tag}` as SnapshotName;
/** A guid of more than 63 bits, as Lua and as zfs print it. */
const [SIGNED, UNSIGNED] = ["-574265008323295053", "17872479065386256563"];

/** Looks whose programs return these lines, by name, and whose commands print `stdout`. @returns the verbs that ran. */
function openLooks(lines: Readonly<Record<string, string>> | "closed" | "lost", stdout = "") {
  const ran: string[] = [];
  const looks = createVolumeLooks(
    {
      find: async <Row>(program: LookUpProgram<Row>, names: readonly AnyName[]) => {
        if (lines === "closed") return undefined;
        if (lines === "lost") {
          return new Map(names.map((name) => [name, fail("service.interrupted", "no answer")] as const));
        }
        const rows = rowsByName(program, names.map((name) => lines[name] ?? "").join("\n"), names);
        return rows && new Map(names.map((name) => [name, succeed(rows.get(name))] as const));
      },
    },
    {
      zfs: async (argv) => {
        ran.push(argv.join(" "));
        return { argv, stdout, stderr: "", exit: { kind: "exited", code: 0 }, ms: 1 };
      },
    },
  );
  return { looks, ran };
}

describe("what is asked of a volume that is sent or received", () => {
  test("its snapshots, by a program, come oldest first", async () => {
    const { looks, ran } = openLooks({
      "ut/v": ["all", "b", SIGNED, "9", "8388608", "512", "a", "2", "10", "16777216", "0"].join("\t"),
    });
    expect(await looks.snapshotsOf(volume)).toEqual(
      succeed([
        {
          ...{ name: "ut/v@b", type: "snapshot", guid: UNSIGNED, createtxg: 9n },
          ...{ volsize: 8388608n, written: 512n, origin: undefined },
        },
        {
          ...{ name: "ut/v@a", type: "snapshot", guid: "2", createtxg: 10n },
          ...{ volsize: 16777216n, written: 0n, origin: undefined },
        },
      ]),
    );
    expect(ran).toEqual([]);
  });

  test("a volume without a snapshot has none", async () => {
    expect(await openLooks({ "ut/v": "all" }).looks.snapshotsOf(volume)).toEqual(succeed([]));
  });

  test.each<[string, Parameters<typeof openLooks>[0]]>([
    ["there are many", { "ut/v": "too many" }],
    ["the volume is missing", {}],
    ["the answer is none", { "ut/v": "all\ta\t1" }],
    ["the library is not called", "closed"],
  ])("the command lists them where %s", async (_why, lines) => {
    const { looks, ran } = openLooks(lines, "ut/v@a\tsnapshot\t7\t3\t8388608\t1\t-\n");
    expect(await looks.snapshotsOf(volume)).toMatchObject({
      ok: true,
      value: [{ name: "ut/v@a", guid: "7" }],
    });
    expect(ran).toEqual([expect.stringMatching(/^list -Hp -t snapshot -d 1 -s createtxg .* ut\/v$/)]);
  });

  test("no command runs where the library has not answered: the outcome is told", async () => {
    const { looks, ran } = openLooks("lost");
    const lost = { ok: false, failure: { code: "service.interrupted" } };
    expect(await looks.snapshotsOf(volume)).toMatchObject(lost);
    expect(await looks.isReadonly(volume)).toMatchObject(lost);
    expect(await looks.receiveToken(volume)).toMatchObject(lost);
    expect(ran).toEqual([]);
  });

  test.each([
    ["on", true],
    ["off", false],
  ])("whether it is read-only: %s", async (value, isReadonly) => {
    const byProgram = openLooks({ "ut/v": value });
    const byCommand = openLooks("closed", `${value}\n`);
    expect(await byProgram.looks.isReadonly(volume)).toEqual(succeed(isReadonly));
    expect(await byCommand.looks.isReadonly(volume)).toEqual(succeed(isReadonly));
    expect([byProgram.ran, byCommand.ran]).toEqual([[], ["get -Hp -o value readonly ut/v"]]);
  });

  test.each([
    ["1-abc-def", "1-abc-def"],
    ["-", undefined],
  ])("the token of a broken receive: %s", async (value, token) => {
    expect(await openLooks({ "ut/v": value }).looks.receiveToken(volume)).toEqual(succeed(token));
    expect(await openLooks("closed", `${value}\n`).looks.receiveToken(volume)).toEqual(succeed(token));
  });

  test.each([
    ["older", "3", true],
    ["newer", "7", false],
  ])("the base of an increment that is %s", async (_which, createtxg, isOlder) => {
    const { looks, ran } = openLooks({ "ut/v@a": `${SIGNED}\t${createtxg}`, "ut/v@b": "2\t5" });
    expect(await looks.findBase(snapshot("b"), { from: snapshot("a") })).toEqual(
      succeed({ guid: UNSIGNED, isOlder, needs: [{ name: "ut/v@a", guid: UNSIGNED }] }),
    );
    expect(ran).toEqual([]);
  });

  test("of a bookmark, and of what is missing, a command tells", async () => {
    const bookmark = openLooks(
      { "ut/v@b": "2\t5" },
      "ut/v#m\tguid\t9\nut/v#m\tcreatetxg\t4\nut/v@b\tcreatetxg\t5\n",
    );
    expect(await bookmark.looks.findBase(snapshot("b"), { from: "ut/v#m" })).toEqual(
      succeed({ guid: "9", isOlder: true, needs: [] }),
    );
    const missing = openLooks({ "ut/v@b": "2\t5" });
    expect(await missing.looks.findBase(snapshot("b"), { from: snapshot("a") })).toEqual(succeed(undefined));
    expect([bookmark.ran.length, missing.ran.length]).toEqual([1, 1]);
  });
});
