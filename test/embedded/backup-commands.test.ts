import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type BackupDaemon, startBackupDaemon } from "../support/backup-daemon.js";
import { CLI } from "../support/daemon.js";
import { type ObjectEngine, startObjectEngine } from "../support/object-engine.js";
import { must } from "../support/rpc.js";

describe("imagestore backup", () => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-backup-commands-"));
  let engine: ObjectEngine;
  let daemon: BackupDaemon;

  beforeAll(async () => {
    engine = await startObjectEngine(folder);
    daemon = await startBackupDaemon({
      pools: [{ name: "tank", driver: "embedded", folder: join(folder, "tank") }],
      backups: { store: { ...engine.profile, fullEvery: 1 } },
    });
    await must(daemon.url, "CreateVolume", { id: "disk", size: 8 });
  });
  afterAll(async () => {
    await daemon?.process.stop();
    await engine?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  function run(...args: string[]) {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [CLI, "backup", ...args, "--profile", "store"],
      {
        encoding: "utf8",
        env: { ...process.env, IMAGESTORE_URL: daemon.url },
      },
    );
    return { status, out: stdout, err: stderr };
  }

  test("stores, lists, checks, restores and prunes, and says loudly what was not an increment", async () => {
    for (const [round, warning] of ["", "", "fullEvery"].entries()) {
      await daemon.write("disk", 0, randomBytes(10_000));
      await daemon.snapshot("disk", `s${round}`);
      const { status, err } = run("create", `disk@s${round}`);
      expect([round, status, err]).toEqual([
        round,
        0,
        warning === "" ? "" : expect.stringContaining(`warning: full backup: the chain before it`),
      ]);
    }
    const rows = run("list", "disk", "-H")
      .out.trim()
      .split("\n")
      .map((line) => line.split("\t"));
    expect(rows.map(([, snapshot, kind, , , ...rest]) => [snapshot, kind, ...rest]).sort()).toEqual([
      ["tank/disk@s0", "full", "no", "yes"],
      ["tank/disk@s1", "increment", "no", "yes"],
      ["tank/disk@s2", "full", "no", "yes"],
    ]);
    expect(run("list").out).toMatch(/^BACKUP +SNAPSHOT +/);
    expect(run("verify").status).toBe(0);
    const [id = ""] = rows.find(([, snapshot]) => snapshot === "tank/disk@s1") ?? [];
    const dry = run("restore", id, "again", "--dry-run", "-H").out.trim().split("\n");
    const size = expect.stringMatching(/^[\d.]+ \w*B$/);
    expect(dry.map((line) => line.split("\t"))).toEqual([
      ["receive, full", "tank/disk@s0", size],
      ["receive, increment", "tank/disk@s1", size],
      ["make", "tank/again", size],
    ]);
    expect(await daemon.volumes()).toEqual(["tank/disk"]);
    expect(JSON.parse(run("restore", id, "again", "-n", "--json").out).backups).toHaveLength(2);
    expect(run("restore", id, "again").out).toContain("tank/again");
    expect(await daemon.volumes()).toEqual(["tank/again", "tank/disk"]);
    const names = await engine.names();
    expect(run("prune", "--keep-last", "1", "--dry-run", "-H").out.trim().split("\n")).toHaveLength(2);
    expect(await engine.names()).toEqual(names);
    expect(run("prune", "disk", "--keep-last", "1").status).toBe(0);
    expect(await engine.names()).toHaveLength(2);
  });

  test("a backup that is damaged is named, by the exit status too", async () => {
    const [manifest = "", data = ""] = await engine.names();
    const content = await engine.read(data);
    await engine.write(data, content.subarray(1));
    const verified = run("verify");
    expect([verified.status, verified.err]).toEqual([
      expect.any(Number),
      expect.stringContaining(data.replace("node-1/", "")),
    ]);
    expect(verified.status).toBeGreaterThan(0);
    await engine.write(manifest, Buffer.from("{}"));
    const listed = run("list");
    expect([listed.status, listed.err]).toEqual([0, expect.stringContaining("can't be used")]);
  });
});
