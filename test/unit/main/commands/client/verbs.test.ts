import { describe, expect, test } from "vitest";
import { stepsOf } from "../../../../../src/main/commands/client/dry-run-steps.js";
import { recordLines } from "../../../../../src/main/commands/client/record-tables.js";
import {
  parseBlockSize,
  parseCount,
  parseDisk,
  parseMoment,
  parseSize,
  parseSwitch,
  parseTag,
} from "../../../../../src/main/commands/client/verb-parsers.js";
import { VERBS } from "../../../../../src/main/commands/client/verbs.js";
import { createProgram } from "../../../../../src/main/commands/program.js";
import { plainly } from "../../../../../src/main/commands/terminal/paint.js";
import { createMethodTable } from "../../../../../src/protocol/json-rpc/methods/table.js";

const style = { isBare: false, isExact: false, width: undefined, paint: plainly };
const bare = { ...style, isBare: true };

describe("the commands of the client", () => {
  test("are one for each method", () => {
    const methods = VERBS.map(({ method }) => method);
    expect(methods.toSorted()).toEqual([...createMethodTable().names].sort());
  });

  test("are all commands of the program, with a summary each", () => {
    const program = createProgram("1.2.3");
    for (const { group, name, summary } of VERBS) {
      const found = program.commands
        .find((each) => each.name() === group)
        ?.commands.find((each) => each.name() === name);
      expect(found?.description(), `${group} ${name}`).toBe(summary);
    }
  });
});

describe("a dry run that is shown as steps", () => {
  const volumes = [{ id: "tank/new", size: 8, device: "" }];
  const plan = {
    ...{ peer: "far", source: "p/disk", base: { id: "p/disk@migrate-1", guid: "1" }, estimatedBytes: 2048 },
    ...{ snapshot: "p/disk@migrate-2", fences: true, drops: ["p/disk@migrate-0"] },
  };
  const linesOf = (kind: "restore" | "migration", answer: object) =>
    recordLines("steps", stepsOf(kind, answer), bare);

  test("tells of a migration what happens there and here, in its order", () => {
    const destroys = [
      { id: "tank/new@migrate-0", bytes: 4096 },
      { id: "tank/new@own", bytes: null },
    ];
    expect(linesOf("migration", { volumes, plan, destroys })).toEqual([
      "fence, at far\tp/disk\t-",
      "snapshot, at far\tp/disk@migrate-2\t-",
      "receive from far, since\tp/disk@migrate-1\t2.0 KiB",
      "destroy, at far\tp/disk@migrate-0\t-",
      "destroy, here\ttank/new@migrate-0\t4.0 KiB",
      "destroy, here\ttank/new@own\t-",
    ]);
    const first = { ...plan, base: null, estimatedBytes: null, snapshot: null, fences: false, drops: [] };
    expect(linesOf("migration", { volumes, plan: first, destroys: [] })).toEqual([
      "receive from far, all\ttank/new\t-",
    ]);
  });

  test("tells of a restore its links, and what comes of them", () => {
    const link = (snapshot: string, from: string | null, bytes: number) => ({
      id: "",
      snapshot,
      from,
      bytes,
    });
    const backups = [link("p/disk@a", null, 2048), link("p/disk@b", "1", 1024)];
    expect(linesOf("restore", { volumes, backups, bytes: 3072 })).toEqual([
      "receive, full\tp/disk@a\t2.0 KiB",
      "receive, increment\tp/disk@b\t1.0 KiB",
      "make\ttank/new\t3.0 KiB",
    ]);
  });

  test("is told of what an older daemon leaves out as far as it goes", () => {
    expect(linesOf("restore", { volumes })).toEqual(["make\ttank/new\t-"]);
  });
});

describe("a size", () => {
  test.each([
    ["512M", 512],
    ["10G", 10_240],
    ["1.5g", 1_536],
    ["2TiB", 2_097_152],
    ["64MB", 64],
  ])("%s is so many MiB: %i", (text, mib) => expect(parseSize(text)).toBe(mib));

  test.each(["", "10", "10K", "0G", "1.0001M", "-1G", "9999999999P", "G"])("%j is refused", (text) => {
    expect(() => parseSize(text)).toThrow("whole MiB");
  });

  test("is one kind of disk, and an image the other", () => {
    const first = parseDisk("size=1G", undefined);
    expect(parseDisk("image=golden", first)).toEqual([{ size: 1024 }, { image: "golden" }]);
    for (const text of ["1G", "size=", "size=10", "disk=1G"])
      expect(() => parseDisk(text, [])).toThrow("must be");
  });
});

describe("settings", () => {
  test("are a block size in bytes, a switch, and tags one after the other", () => {
    expect([parseBlockSize("4096"), parseBlockSize("16K")]).toEqual([4096, 16_384]);
    expect([parseSwitch("on"), parseSwitch("off")]).toEqual([true, false]);
    expect(parseTag("b=x=y", parseTag("a=", undefined))).toEqual({ a: "", b: "x=y" });
    for (const text of ["", "0", "16M", "x"]) expect(() => parseBlockSize(text)).toThrow("bytes");
    expect(() => parseSwitch("yes")).toThrow("on or off");
    for (const text of ["a", "=b"]) expect(() => parseTag(text, {})).toThrow("NAME=VALUE");
  });

  test("of a volume are columns, its tags in one", () => {
    const properties = { volblocksize: 8192, provisioning: "thin", compression: "off", sync: "always" };
    const record = {
      id: "tank/a",
      size: 64,
      properties: { ...properties, readonly: false, tags: { a: "b", c: "d" } },
    };
    expect(recordLines("properties", [record], bare)).toEqual([
      "tank/a\t64.0 MiB\t8192\tthin\toff\talways\tfalse\ta=b,c=d",
    ]);
  });
});

describe("lines of the audit file", () => {
  test("are narrowed by moments, a while ago or a date, and by a number", () => {
    const ago = (text: string) => Date.now() - Date.parse(parseMoment(text));
    for (const [text, ms] of [
      ["90m", 5_400_000],
      ["2h", 7_200_000],
      ["1d", 86_400_000],
      ["1w", 604_800_000],
    ] as const) {
      expect(Math.abs(ago(text) - ms), text).toBeLessThan(1_000);
    }
    expect(parseMoment("2027-01-31")).toBe("2027-01-31T00:00:00.000Z");
    for (const text of ["", "yesterday", "1y", "-1h", "h"]) expect(() => parseMoment(text)).toThrow("date");
    expect(parseCount("20")).toBe(20);
    for (const text of ["", "0", "-1", "1.5", "1e3"]) expect(() => parseCount(text)).toThrow("number");
  });

  test("are columns, with all names in one", () => {
    const line = { time: "2026-01-02T03:04:05.000Z", peer: "::1", method: "RenameVolume", pool: "tank" };
    const names = { datasets: ["tank/a", "tank/b"], code: "dataset.busy", message: "busy\n", requestId: "r" };
    expect(recordLines("lines", [{ ...line, ...names }], bare)).toEqual([
      "2026-01-02T03:04:05.000Z\t-\t::1\tRenameVolume\ttank\ttank/a,tank/b\tdataset.busy\tbusy?",
    ]);
  });
});

describe("a table", () => {
  const volumes = [
    { id: "tank/a", size: 64, device: "/dev/zvol/tank/a" },
    { id: "tank/longer", size: 1536, device: "" },
  ];

  test("has a heading and aligned columns, or tabs and no heading", () => {
    expect(recordLines("volumes", volumes, style)).toEqual([
      "NAME          VOLSIZE  DEVICE",
      "tank/a       64.0 MiB  /dev/zvol/tank/a",
      "tank/longer   1.5 GiB  -",
    ]);
    expect(recordLines("volumes", volumes, bare)).toEqual([
      "tank/a\t64.0 MiB\t/dev/zvol/tank/a",
      "tank/longer\t1.5 GiB\t-",
    ]);
  });

  test("has sizes in bytes for a program that wants them", () => {
    const huge = { id: "tank/huge", size: 2 ** 50, device: "" };
    expect(recordLines("volumes", [...volumes, huge], { ...bare, isExact: true })).toEqual([
      "tank/a\t67108864\t/dev/zvol/tank/a",
      "tank/longer\t1610612736\t-",
      "tank/huge\t1180591620717411303424\t-",
    ]);
    const pool = { name: "tank", driver: "embedded", size: 8192, allocated: 819, health: "ONLINE" };
    expect(recordLines("pools", [pool], { ...bare, isExact: true })[0]).toMatch(/\t10\t\S+\tONLINE$/);
  });

  test("says that there is nothing, but to a program", () => {
    expect([recordLines("images", [], style), recordLines("images", [], bare)]).toEqual([["no images"], []]);
  });

  test("does not steer the terminal", () => {
    const image = { id: "\x1b[2Jevil\n", type: "kvm", size: 1, status: "complete" };
    expect(recordLines("images", [image], bare)).toEqual(["?[2Jevil?\tkvm\t1.0 MiB\tcomplete"]);
  });
});
