import { randomBytes } from "node:crypto";
import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Backup, type BackupDaemon, type Backups, startBackupDaemon } from "../support/backup-daemon.js";
import { type ObjectEngine, startObjectEngine } from "../support/object-engine.js";
import { call, must, type Volumes } from "../support/rpc.js";

const MIB = 1024 * 1024;
const INCREMENTS = 30;
/** On a busy machine each round may take seconds: several processes are started. */
const SLOW = { timeout: 600_000 };

describe("backups of an embedded pool", () => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-backups-"));
  let engine: ObjectEngine;
  let daemon: BackupDaemon;
  /** The first test's backups, in the order in which they were taken. */
  let chain: readonly Backup[] = [];
  const digests: string[] = [];

  beforeAll(async () => {
    engine = await startObjectEngine(folder);
    daemon = await startBackupDaemon({
      pools: [{ name: "tank", driver: "embedded", folder: join(folder, "tank") }],
      dataDir: join(folder, "data"),
      backups: { store: engine.profile, few: { ...engine.profile, prefix: "few", fullEvery: 2 } },
      log: { level: "debug" },
    });
  });
  afterAll(async () => {
    await daemon?.process.stop();
    await engine?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const restore = (id: string | undefined, dest: string, more: object = {}) =>
    call<Volumes & Partial<Backups>>(daemon.url, "RestoreBackup", { profile: "store", id, dest, ...more });
  const verify = (more: object = {}) =>
    call<Backups>(daemon.url, "VerifyBackup", { profile: "store", ...more });
  const incoming = join(folder, "tank", "incoming");

  test(
    "a full backup and 30 increments restore to the same bytes, without their snapshots",
    SLOW,
    async () => {
      await must(daemon.url, "CreateVolume", { id: "disk", size: 8 });
      const taken: Backup[] = [];
      for (let round = 0; round <= INCREMENTS; round++) {
        await daemon.write("disk", (round % 7) * MIB, randomBytes(20_000 + round));
        await daemon.snapshot("disk", `s${round}`);
        digests.push(await daemon.digest("disk"));
        const { why, warnings, backups } = await daemon.backUp(`disk@s${round}`);
        expect([round, why, warnings]).toEqual([round, round === 0 ? "first" : "increment", []]);
        expect(backups[0]?.snapshot).toBe(`tank/disk@s${round}`);
        taken.push(...backups);
        // The bookmark is enough for the next one.
        if (round % 2 === 1) await must(daemon.url, "DeleteSnapshot", { id: `disk@s${round}` });
      }
      const { backups, damaged } = await daemon.list();
      expect(damaged).toEqual([]);
      expect(backups.map(({ restorable }) => restorable)).toEqual(Array(INCREMENTS + 1).fill(true));
      for (const round of [INCREMENTS, 7]) {
        expect(await restore(taken[round]?.id, `restored-${round}`)).toMatchObject({ error: null });
        expect(await daemon.digest(`restored-${round}`)).toBe(digests[round]);
        // It is writable.
        await daemon.write(`restored-${round}`, 0, Buffer.from("the guest was here"));
        await must(daemon.url, "DeleteDataset", { id: `restored-${round}` });
      }
      chain = taken;
    },
  );

  test("a snapshot that has a backup is not stored again, and the newest bookmark stays", async () => {
    const before = await engine.names();
    const { why, backups } = await daemon.backUp(`disk@s${INCREMENTS}`);
    expect([why, backups[0]?.id]).toEqual(["present", chain[INCREMENTS]?.id]);
    const older = await daemon.backUp("disk@s0");
    expect(older.why).toBe("present");
    expect(await engine.names()).toEqual(before);
    const { bookmarks } = await must<{ bookmarks: { id: string }[] }>(daemon.url, "ListBookmarks", {
      id: "disk",
    });
    expect(bookmarks.map(({ id }) => id)).toEqual([
      `tank/disk#imagestore-backup-store-${chain[INCREMENTS]?.guid}`,
    ]);
  });

  test("lists come in pages and by the name of a volume", async () => {
    const all = (await daemon.list()).backups;
    const paged: Backup[] = [];
    for (let after = ""; ; ) {
      const { backups } = await daemon.list({ limit: 7, after });
      paged.push(...backups);
      if (backups.length < 7) break;
      after = backups.at(-1)?.id ?? "";
    }
    expect(paged).toEqual(all);
    expect((await daemon.list({ id: "disk" })).backups).toEqual(all);
    expect((await daemon.list({ id: "another" })).backups).toEqual([]);
  });

  test(
    "with any one object missing, cut or flipped a restore is refused before it changes anything, and names it",
    SLOW,
    async () => {
      // Each link of a chain is spoilt in test/unit/workers/backups/damaged-chains.test.ts.
      const links = [0, 13].map((round) => chain[round]?.id ?? "");
      const [target] = [chain[20]?.id];
      const volumes = await daemon.volumes();
      const touchedAt = statSync(incoming).mtimeMs;
      const damages: Readonly<Record<string, (content: Buffer) => Buffer | undefined>> = {
        missing: () => undefined,
        cut: (content) => content.subarray(0, content.length - 1),
        flipped: (content) => {
          const changed = Buffer.from(content);
          const at = Math.floor(content.length / 2);
          changed[at] = (changed[at] ?? 0) ^ 1;
          return changed;
        },
      };
      for (const link of links) {
        for (const ending of ["zfs", "json"]) {
          const name = `node-1/${link}.${ending}`;
          const content = await engine.read(name);
          for (const [damage, change] of Object.entries(damages)) {
            const changed = change(content);
            if (changed) await engine.write(name, changed);
            else await engine.remove(name);
            const { error } = await restore(target, "never");
            expect([damage, name, error]).toEqual([
              damage,
              name,
              expect.stringContaining(`${link}.${ending}`),
            ]);
            expect((await verify({ id: target })).error).toContain(`${link}.${ending}`);
            expect(await daemon.volumes()).toEqual(volumes);
            await engine.write(name, content);
          }
        }
      }
      // No receive has begun: each has a folder there.
      expect(statSync(incoming).mtimeMs).toBe(touchedAt);
      expect(await verify()).toMatchObject({ error: null, result: { backups: { length: INCREMENTS + 1 } } });
    },
  );

  test("with the structure alone looked at, what is flipped is found while it is received, and undone", async () => {
    const link = chain[3]?.id ?? "";
    const name = `node-1/${link}.zfs`;
    const content = await engine.read(name);
    const changed = Buffer.from(content);
    const at = content.length - 1_000;
    changed[at] = (changed[at] ?? 0) ^ 1;
    await engine.write(name, changed);
    const volumes = await daemon.volumes();
    expect((await verify({ id: link, verify: "structure" })).error).toBeNull();
    const { error } = await restore(chain[5]?.id, "never", { verify: "structure" });
    expect(error).toBeTruthy();
    expect(await daemon.volumes()).toEqual(volumes);
    expect(readdirSync(incoming)).toEqual([]);
    await engine.write(name, content);
    expect(await restore(chain[5]?.guid, "by-guid", { verify: "structure" })).toMatchObject({ error: null });
    expect(await daemon.digest("by-guid")).toBe(digests[5]);
    await must(daemon.url, "DeleteDataset", { id: "by-guid" });
  });

  test("what a restore must not do is refused", async () => {
    expect((await restore(chain[1]?.id, "disk")).error).toBe("dataset already exists");
    expect((await restore("1/2/3.full", "new")).error).toBe("no such backup");
    expect((await restore("no guid", "new")).error).toBe("no such backup");
    expect((await restore(chain[1]?.id, "images/golden")).error).toContain("can't be changed");
    expect((await restore(chain[1]?.id, "")).error).toBe("need dest");
    expect((await restore("", "new")).error).toBe("need an id");
    expect((await restore(chain[1]?.id, "new", { verify: "all" })).error).toBe("not a way to verify");
    expect((await restore(chain[1]?.id, "new", { profile: "other" })).error).toBe(
      "no such profile of backups",
    );
  });

  test("a full backup comes after fullEvery increments, when it is asked for, and when nothing is left to build on", async () => {
    await must(daemon.url, "CreateVolume", { id: "small", size: 8 });
    const whys: (string | undefined)[] = [];
    for (let round = 0; round < 5; round++) {
      await daemon.write("small", 0, randomBytes(5_000));
      await daemon.snapshot("small", `s${round}`);
      whys.push((await daemon.backUp(`small@s${round}`, { profile: "few" })).why);
    }
    expect(whys).toEqual(["first", "increment", "increment", "fullEvery", "increment"]);
    await daemon.snapshot("small", "asked");
    expect(await daemon.backUp("small@asked", { profile: "few", full: true })).toMatchObject({
      why: "asked",
      warnings: [],
    });
    for (const name of ["asked", "s0", "s1", "s2", "s3", "s4"]) {
      await must(daemon.url, "DeleteSnapshot", { id: `small@${name}` });
    }
    const marks = await must<{ bookmarks: { id: string }[] }>(daemon.url, "ListBookmarks", { id: "small" });
    for (const { id } of marks.bookmarks) await must(daemon.url, "DeleteBookmark", { id });
    await daemon.snapshot("small", "lost");
    const lost = await daemon.backUp("small@lost", { profile: "few" });
    expect([lost.why, lost.warnings]).toEqual(["baseLost", [expect.stringContaining("FULL BACKUP")]]);
  });

  test("a prune removes whole tails only, and tells before what would go", async () => {
    const { backups } = await daemon.list({ profile: "few" });
    const names = await engine.names();
    const prune = (more: object) => must<Backups>(daemon.url, "PruneBackups", { profile: "few", ...more });
    const dry = await prune({ keepLast: 3, dryRun: true });
    expect(await engine.names()).toEqual(names);
    // The newest are the last full one, the one that was asked for, and an increment of the second full one.
    const byTime = [...backups].sort((one, other) => (one.taken < other.taken ? -1 : 1));
    expect(dry.backups.map(({ snapshot }) => snapshot)).toEqual([
      "tank/small@s2",
      "tank/small@s1",
      "tank/small@s0",
    ]);
    expect((await prune({ keepLast: 3 })).backups).toEqual(dry.backups);
    const left = await daemon.list({ profile: "few" });
    expect(left.backups.map(({ id }) => id).sort()).toEqual(
      byTime
        .slice(3)
        .map(({ id }) => id)
        .sort(),
    );
    expect(left.backups.every(({ restorable }) => restorable)).toBe(true);
    expect((await call(daemon.url, "VerifyBackup", { profile: "few" })).error).toBeNull();
    // An increment that is kept keeps what it builds on, however old that is.
    expect((await prune({ keepLast: 2, id: "small" })).backups).toHaveLength(2);
    expect((await prune({ keepLast: 1, keepDays: 1 })).backups).toEqual([]);
    expect((await call(daemon.url, "PruneBackups", { profile: "few" })).error).toBe("need what to keep");
    expect(
      (await call(daemon.url, "PruneBackups", { profile: "few", keepLast: 1, id: "disk" })).error,
    ).toBeNull();
  });

  test("data without a manifest is no backup, and its snapshot is backed up again", async () => {
    const { id = "", guid } = chain[INCREMENTS] ?? {};
    await engine.remove(`node-1/${id}.json`);
    expect((await daemon.list()).backups.map((each) => each.id)).not.toContain(id);
    const { why } = await daemon.backUp(`disk@s${INCREMENTS}`);
    expect(why).toBe("increment");
    expect((await verify({ id })).error).toContain(`${id}.json`);
    expect((await verify({ id: guid })).error).toBeNull();
    const volumes = await daemon.volumes();
    const dry = await restore(guid, "again", { dryRun: true });
    const told = dry.result?.backups ?? [];
    const listed = (await daemon.list()).backups;
    const links = told.map((link) => listed.find((each) => each.id === link.id));
    expect(dry).toMatchObject({
      error: null,
      result: {
        volumes: [{ id: "tank/again", size: 8 }],
        backups: links,
        bytes: told.reduce((sum, { bytes }) => sum + bytes, 0),
      },
    });
    // Each builds on the one before, from a full one to the one that was asked for.
    expect(told.map(({ from }) => from)).toEqual([null, ...told.slice(0, -1).map((each) => each.guid)]);
    expect(told.at(-1)?.guid).toBe(guid);
    expect((await restore(guid, "disk", { dryRun: true })).error).toBe("dataset already exists");
    expect((await restore(id, "again", { dryRun: true })).error).toContain(`${id}.json`);
    expect(await daemon.volumes()).toEqual(volumes);
    await must(daemon.url, "RestoreBackup", { profile: "store", id: guid, dest: "again" });
    expect(await daemon.digest("again")).toBe(digests[INCREMENTS]);
  });

  test("a key that others may read is refused, and no key is ever shown", async () => {
    const file = String(engine.profile.secretKeyFile);
    chmodSync(file, 0o640);
    const { error } = await call(daemon.url, "ListBackups", { profile: "store" });
    chmodSync(file, 0o600);
    expect(error).toContain("its mode must be 0600");
    const diagnosis = await (await fetch(`${daemon.url}/diagnose`)).text();
    for (const text of [error ?? "", daemon.process.log(), diagnosis])
      expect(text).not.toContain(engine.secret);
  });

  test("a store that is gone is told as one that may come back", async () => {
    const gone = await startBackupDaemon({
      pools: [{ name: "other", driver: "embedded", folder: join(folder, "other") }],
      dataDir: join(folder, "other-data"),
      backups: {
        store: { ...engine.profile, endpoint: "http://127.0.0.1:9" },
        bucket: { ...engine.profile, bucket: "nobodys" },
      },
    });
    const ask = async (profile: string) => {
      const response = await fetch(`${gone.url}/rpc`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ jsonrpc: "2.0", method: "ListBackups", params: { profile }, id: 1 }),
      });
      return (await response.json()) as { error: { data: { reason: string; retryable: boolean } } };
    };
    expect((await ask("store")).error.data).toMatchObject({
      reason: "backup.store_unreachable",
      retryable: true,
    });
    expect((await ask("bucket")).error.data).toMatchObject({
      reason: "backup.store_refused",
      retryable: false,
    });
    await gone.process.stop();
  });
});
