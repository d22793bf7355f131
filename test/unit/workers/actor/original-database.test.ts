import { copyFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readOriginalImages } from "../../../../src/workers/actor/original-database.js";
import { openSqlite } from "../../../../src/workers/sqlite/open-sqlite.js";
import { POOL, scratchFolder } from "../../../support/memory-actor.js";
import { originalImage, writeOriginal } from "../../../support/original-database.js";

describe("the original's database", () => {
  test("gives its complete images, whether kept as text or as blob", async () => {
    using folder = scratchFolder();
    const path = join(folder.path, ".images.db");
    await writeOriginal(path, [
      ["a", originalImage("a", { size: 10 })],
      ["b", originalImage("b", { type: "container" }), "blob"],
    ]);
    expect(await readOriginalImages(path, POOL)).toEqual({
      images: [
        {
          id: "a",
          type: "kvm",
          volume: "tank/images/a",
          snapshot: "tank/images/a@s",
          size: 10n * 1_048_576n,
          status: "complete",
        },
        expect.objectContaining({ id: "b", type: "container", snapshot: "tank/images/b@s" }),
      ],
      skipped: [],
    });
  });

  test.each([
    ["not complete", originalImage("x", { status: "pending" }), 'status is "pending"'],
    ["without status", originalImage("x", { status: undefined }), 'status is ""'],
    ["no JSON", "{", /^Image: /],
    ["no object", "[]", "Image: expected object, got []"],
    [
      "with a size that is no number",
      originalImage("x", { size: "10" }),
      'Image.size: expected unsigned 64-bit integer, got "10"',
    ],
    ["larger than a volume can be", originalImage("x", { size: 2 ** 53 }), /size/],
    ["with a hostile id", originalImage("x", { id: "../x" }), /invalid id/],
    ["without id", originalImage("x", { id: undefined }), /invalid id/],
    ["without snapshot", originalImage("x", { snapshot: undefined }), 'snapshot is ""'],
    [
      "whose snapshot is none",
      originalImage("x", { snapshot: "tank/images/x" }),
      'snapshot is "tank/images/x"',
    ],
    [
      "of another pool",
      originalImage("x", { volume: "other/images/x", snapshot: "other/images/x@s" }),
      /(?:volume|snapshot) is "other/,
    ],
    ["whose snapshot leaves the pool", originalImage("x", { snapshot: "tank/../x@s" }), /snapshot is/],
    [
      "whose snapshot is not its volume's",
      originalImage("x", { snapshot: "tank/images/y@s" }),
      'volume is "tank/images/x"',
    ],
  ])("skips an image that is %s and says why", async (_what, value, reason) => {
    using folder = scratchFolder();
    const path = join(folder.path, ".images.db");
    await writeOriginal(path, [
      ["bad", value],
      ["good", originalImage("good")],
    ]);
    const read = await readOriginalImages(path, POOL);
    expect(read?.images.map(({ id }) => id)).toEqual(["good"]);
    expect(read?.skipped).toEqual([
      {
        key: "bad",
        reason: typeof reason === "string" ? reason : expect.stringMatching(reason),
      },
    ]);
  });

  test("skips other buckets, and a value that is NULL", async () => {
    using folder = scratchFolder();
    const path = join(folder.path, ".images.db");
    await writeOriginal(path, [["a", originalImage("a")]]);
    const database = await openSqlite(path);
    await database.run(
      `INSERT INTO "mistify-agent-image" (key, bucket, value) VALUES ('o', 'others', '{}'), ('n', 'images', NULL)`,
    );
    await database.close();
    const read = await readOriginalImages(path, POOL);
    expect(read?.images.map(({ id }) => id)).toEqual(["a"]);
    expect(read?.skipped.map(({ key }) => key)).toEqual(["n"]);
  });

  test.each([
    [2n ** 43n - 1n, true],
    [2n ** 43n, false],
    [2n ** 63n, false],
    [2n ** 64n - 1n, false],
  ])("an image of %i MiB fits a volume or not: %j", async (size, fits) => {
    using folder = scratchFolder();
    const path = join(folder.path, ".images.db");
    await writeOriginal(path, [["a", originalImage("a").replace('"size":8', `"size":${size}`)]]);
    const read = await readOriginalImages(path, POOL);
    expect(read?.images.map((image) => image.size)).toEqual(fits ? [size * 1_048_576n] : []);
    expect(read?.skipped.map(({ reason }) => reason)).toEqual(fits ? [] : [`size is ${size} MiB`]);
  });

  test("is read as it was last committed when a crash left a journal beside it", async () => {
    using crashed = scratchFolder();
    using folder = scratchFolder();
    const running = join(crashed.path, ".images.db");
    const path = join(folder.path, ".images.db");
    await writeOriginal(running, [["a", originalImage("a")]]);
    const database = await openSqlite(running);
    await database.run("PRAGMA cache_size = 1");
    await database.run("BEGIN IMMEDIATE");
    await database.run(`UPDATE "mistify-agent-image" SET value = '{}'`);
    for (let index = 0; index < 50; index++) {
      const values = [String(index), "x".repeat(10_000)];
      await database.run(`INSERT INTO "mistify-agent-image" VALUES (?, 'images', ?)`, ...values);
    }
    expect(existsSync(`${running}-journal`)).toBe(true);
    for (const suffix of ["", "-journal"]) copyFileSync(`${running}${suffix}`, `${path}${suffix}`);
    await database.run("ROLLBACK");
    await database.close();
    const read = await readOriginalImages(path, POOL);
    expect(read?.images.map(({ id }) => id)).toEqual(["a"]);
    expect(read?.skipped).toEqual([]);
  });

  test("is not changed by being read", async () => {
    using folder = scratchFolder();
    const path = join(folder.path, ".images.db");
    await writeOriginal(path, [["a", originalImage("a")]]);
    const before = readFileSync(path);
    await readOriginalImages(path, POOL);
    expect(readFileSync(path).equals(before)).toBe(true);
  });

  test("that is not there is nothing to read", async () => {
    using folder = scratchFolder();
    expect(await readOriginalImages(join(folder.path, "none.db"), POOL)).toBeUndefined();
  });

  test("that is no database, or another's, can't be read", async () => {
    using folder = scratchFolder();
    const noDatabase = join(folder.path, "text.db");
    writeFileSync(noDatabase, "no database, but long enough to be looked at".repeat(50));
    await expect(readOriginalImages(noDatabase, POOL)).rejects.toThrow("SQLITE_NOTADB");
    const others = join(folder.path, "others.db");
    const database = await openSqlite(others);
    await database.run("CREATE TABLE t (x)");
    await database.close();
    await expect(readOriginalImages(others, POOL)).rejects.toThrow("no such table");
  });
});
