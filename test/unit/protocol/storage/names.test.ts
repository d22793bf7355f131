import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  choosePool,
  type DatasetName,
  datasetOf,
  devicePath,
  isSnapshotName,
  isWithin,
  type PoolName,
  type PoolScope,
  parseComponentId,
  poolNameProblem,
  resolveName,
  type SnapshotName,
  snapshotOf,
  tagOf,
  ZVOL_DEVICES,
} from "../../../../src/protocol/storage/names.js";

const POOLS = ["tank", "tank2", "p.q-r_s:t"] as PoolName[];
const TANK = "tank" as PoolName;
const scope: PoolScope = { pools: POOLS, pool: TANK };

const LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const ALLOWED = new Set(`${LETTERS}0123456789-_.: `);

/** A second implementation of the rules for names, simple and slow. @returns the full name, or undefined. */
function model(given: string): string | undefined {
  const kept = given.split("/").filter((part) => part !== "" && part !== ".");
  const text = given === "" ? "" : kept.join("/") || "tank";
  const [path, tag, ...rest] = text.split("@");
  if (path === undefined || rest.length > 0) return undefined;
  const parts = path.split("/");
  for (const part of tag === undefined ? parts : [...parts, tag]) {
    if (part.length === 0 || part === "." || part === "..") return undefined;
    for (const char of part) if (!ALLOWED.has(char)) return undefined;
  }
  const full = POOLS.some((pool) => pool === parts[0]) ? text : `tank/${text}`;
  return Buffer.byteLength(full) <= 255 ? full : undefined;
}

const nearlyName = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string({ unit: fc.constantFrom(..."ab.-_: /@\u0000%é"), maxLength: 20 }),
  fc
    .array(
      fc.oneof(
        fc.constantFrom("tank", "tank2", "other", "..", ".", "", "-r", "guests", "a b", "%", "x\n", "é"),
        fc.string({ unit: fc.constantFrom(...ALLOWED), maxLength: 90 }),
      ),
      { minLength: 1, maxLength: 5 },
    )
    .chain((parts) => fc.constantFrom(parts.join("/"), parts.join("@"), `${parts.join("/")}@s1`)),
);

describe("resolveName", () => {
  test("it accepts what a slow reading of the grammar accepts, and resolves it the same", () => {
    fc.assert(
      fc.property(nearlyName, (text) => {
        const resolved = resolveName(scope, text);
        const full = model(text);
        if (full === undefined) {
          expect(resolved).toMatchObject({
            ok: false,
            failure: { code: "name.invalid", message: "not a valid dataset", detail: expect.any(String) },
          });
          return;
        }
        if (!resolved.ok) throw new Error(`refused ${JSON.stringify(text)}: ${resolved.failure.detail}`);
        const { pool, dataset, snapshot } = resolved.value;
        expect(snapshot ?? dataset).toBe(full);
        expect(pool).toBe(full.split(/[/@]/)[0]);
      }),
      { numRuns: 3_000 },
    );
  });

  test("whatever comes out lies in a configured pool, is short, and can't pass for an option", () => {
    fc.assert(
      fc.property(nearlyName, (text) => {
        const resolved = resolveName(scope, text);
        if (!resolved.ok) return;
        const { pool, dataset, snapshot } = resolved.value;
        const word: string = snapshot ?? dataset;
        expect(POOLS).toContain(pool);
        expect(word.startsWith(pool)).toBe(true);
        expect(["", "/", "@"]).toContain(word.charAt(pool.length));
        expect(Buffer.byteLength(word)).toBeLessThanOrEqual(255);
        expect(word.split(/[/@]/)).not.toContain("..");
        expect(word.startsWith("-")).toBe(false);
        // No character that means something to a command line, a shell, or a listing with tabs and lines.
        expect(word).toMatch(/^[\w.:/@ -]+$/);
        expect(dataset.includes("@")).toBe(false);
        if (snapshot !== undefined) expect(datasetOf(snapshot)).toBe(dataset);
      }),
      { numRuns: 3_000 },
    );
  });

  test("what was answered can be asked for again and means the same", () => {
    fc.assert(
      fc.property(nearlyName, (text) => {
        const once = resolveName(scope, text);
        if (!once.ok) return;
        expect(resolveName(scope, once.value.snapshot ?? once.value.dataset)).toEqual(once);
      }),
      { numRuns: 1_000 },
    );
  });

  test.each([
    ["guests/g1/disk-0", "tank/guests/g1/disk-0", undefined],
    ["guests/g1/disk-0@s1", "tank/guests/g1/disk-0", "tank/guests/g1/disk-0@s1"],
    ["tank/guests/g1", "tank/guests/g1", undefined],
    ["tank2/x@y", "tank2/x", "tank2/x@y"],
    ["tank", "tank", undefined],
    ["tank@all", "tank", "tank@all"],
    ["tank3/x", "tank/tank3/x", undefined],
    ["x/tank2", "tank/x/tank2", undefined],
    ["-r", "tank/-r", undefined],
    ["a b", "tank/a b", undefined],
    ["...", "tank/...", undefined],
    [".hidden", "tank/.hidden", undefined],
    ["/", "tank", undefined],
    [".", "tank", undefined],
    ["/x", "tank/x", undefined],
    ["x/", "tank/x", undefined],
    ["x//y", "tank/x/y", undefined],
    ["./x/./y/.", "tank/x/y", undefined],
    ["/tank2//x", "tank2/x", undefined],
    ["/x@s/", "tank/x", "tank/x@s"],
  ])("%j means %s", (text, dataset, snapshot) => {
    const resolved = resolveName(scope, text);
    expect(resolved).toMatchObject({ ok: true, value: { dataset } });
    expect(resolved.ok && resolved.value.snapshot).toBe(snapshot);
  });

  test.each([
    ["", "an empty component"],
    ["/@s", "an empty component"],
    ["@s", "an empty component"],
    ["x@", "an empty component"],
    ["x/@s", "an empty component"],
    ["..", 'the component ".."'],
    ["../other/x", 'the component ".."'],
    ["tank/../tank2/x", 'the component ".."'],
    ["x/./..", 'the component ".."'],
    ["x@.", 'the component "."'],
    ["x@..", 'the component ".."'],
    ["x@a@b", 'more than one "@"'],
    ["x@a/b", "grammar"],
    ["x#bookmark", "grammar"],
    ["x%y", "grammar"],
    ["x,y", "grammar"],
    ["x\u0000y", "grammar"],
    ["x\ny", "grammar"],
    ["x\ty", "grammar"],
    ["x;reboot", "grammar"],
    ["$(reboot)", "grammar"],
    ["x\\y", "grammar"],
    ["é", "grammar"],
    ["x\u00a0y", "grammar"],
    ["\u{1f600}", "grammar"],
  ])("%j is refused for %s", (text, reason) => {
    expect(resolveName(scope, text)).toMatchObject({
      ok: false,
      failure: {
        code: "name.invalid",
        message: "not a valid dataset",
        detail: expect.stringContaining(reason),
      },
    });
  });

  test("255 bytes with the pool are the longest, for datasets and snapshots alike", () => {
    const rest = 255 - "tank/".length;
    expect(resolveName(scope, "a".repeat(rest)).ok).toBe(true);
    expect(resolveName(scope, "a".repeat(rest + 1)).ok).toBe(false);
    expect(resolveName(scope, `${"a".repeat(rest - 2)}@s`).ok).toBe(true);
    expect(resolveName(scope, `${"a".repeat(rest - 1)}@s`).ok).toBe(false);
    expect(resolveName(scope, `tank/${"a".repeat(rest)}`).ok).toBe(true);
  });

  test("a refusal repeats no more than the beginning of a long name", () => {
    const refused = resolveName(scope, `${"\u0001".repeat(100_000)}`);
    expect(refused.ok ? "" : (refused.failure.detail ?? "").length).toBeLessThan(600);
    expect(refused.ok).toBe(false);
  });
});

describe("choosePool", () => {
  test("no name means the first pool", () => {
    expect(choosePool(POOLS, "")).toEqual({ ok: true, value: { pools: POOLS, pool: "tank" } });
  });

  test("a configured pool is found by its exact name", () => {
    expect(choosePool(POOLS, "tank2")).toMatchObject({ ok: true, value: { pool: "tank2" } });
    expect(choosePool(POOLS, "Tank2")).toMatchObject({ ok: false, failure: { code: "pool.not_found" } });
    expect(choosePool(POOLS, "tank/x")).toMatchObject({ ok: false, failure: { code: "pool.not_found" } });
  });
});

describe("ids of images and guests", () => {
  test("they are one component that isn't hidden", () => {
    fc.assert(
      fc.property(nearlyName, (text) => {
        const chars = [...text].every((char) => ALLOWED.has(char));
        const good = chars && text !== "" && !text.startsWith(".") && text.length <= 255;
        expect(parseComponentId(text).ok).toBe(good);
      }),
      { numRuns: 1_000 },
    );
  });

  test.each(["", ".", "..", ".partial-x", "a/b", "a@b", "a%b", "a\nb", "é"])("%j is refused", (text) => {
    expect(parseComponentId(text)).toMatchObject({ ok: false, failure: { code: "name.invalid" } });
  });
});

describe("pool names", () => {
  // command-failures.test.ts has what zpool of OpenZFS 2.3.2 says about them.
  test.each(["tank", "mistify", "Z", "a-b_c.d:e", "x".repeat(255), "logs", "catalog", "b c"])(
    "%s is one",
    (name) => {
      expect(poolNameProblem(name)).toBeUndefined();
    },
  );

  test.each([
    "",
    "1tank",
    "-tank",
    ".tank",
    "a/b",
    "a@b",
    "a b%",
    "é",
    "x".repeat(256),
    "mirror",
    "mirror1",
    "raidz",
    "raidz2x",
    "draid",
    "spare",
    "spares",
    "log",
  ])("%j is none, and the reason is given", (name) => {
    expect(poolNameProblem(name)).toMatch(/\S/);
  });
});

describe("snapshots of a dataset", () => {
  const dataset = "tank/x" as DatasetName;

  test.each(["s1", "a-b_c:d.e", "0", "...", "-r"])("%j names one", (dest) => {
    expect(snapshotOf(dataset, dest)).toEqual({ ok: true, value: `tank/x@${dest}` });
  });

  test.each(["", "a b", "a/b", "a@b", "é", "a\n", "\n", ".", "..", "a%", "a,b"])(
    "%j is an invalid snapshot dest",
    (dest) => {
      expect(snapshotOf(dataset, dest)).toEqual({
        ok: false,
        failure: {
          code: "name.invalid",
          message: "invalid snapshot dest",
          about: { object: JSON.stringify(dest), field: "dest", wanted: "letters, digits and -_.: only" },
        },
      });
    },
  );

  test("a name that gets too long is refused", () => {
    expect(snapshotOf(dataset, "a".repeat(255 - "tank/x@".length)).ok).toBe(true);
    expect(snapshotOf(dataset, "a".repeat(256 - "tank/x@".length))).toMatchObject({
      ok: false,
      failure: { code: "name.invalid" },
    });
  });

  test("dataset and tag are the two halves of its name", () => {
    const snapshot = "tank/a/b@s:1" as SnapshotName;
    expect([datasetOf(snapshot), tagOf(snapshot)]).toEqual(["tank/a/b", "s:1"]);
    expect([isSnapshotName(snapshot), isSnapshotName(dataset)]).toEqual([true, false]);
  });
});

test.each([
  ["tank/a", "tank/a", true],
  ["tank/a/b", "tank/a", true],
  ["tank/a@s", "tank/a", true],
  ["tank/ab", "tank/a", false],
  ["tank", "tank/a", false],
  ["tank/a", "tank", true],
  ["tank2/a", "tank", false],
  ["", "tank", false],
])("%j lies within %j: %s", (name, root, within) => {
  expect(isWithin(name, root)).toBe(within);
});

test("the device of a volume has plus signs for spaces, as udev writes it", () => {
  expect(devicePath("tank/a b/c d" as DatasetName, ZVOL_DEVICES)).toBe("/dev/zvol/tank/a+b/c+d");
});
