import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generateIdentity, identityToRecipient } from "age-encryption";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type BackupDaemon, type Backups, startBackupDaemon } from "../support/backup-daemon.js";
import { CLI } from "../support/daemon.js";
import { type ObjectEngine, startObjectEngine } from "../support/object-engine.js";
import { call, must } from "../support/rpc.js";

const MIB = 1024 * 1024;
/** What the guest wrote, which must not be seen in the store. */
const SECRET = Buffer.from("the guest's secret ".repeat(500));

const hasAge = spawnSync("age", ["--version"]).error === undefined;
const withAge = (title: string) => (hasAge ? title : `${title} (skipped: there is no program age)`);

describe("backups that are encrypted before they leave the node", { timeout: 300_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-sealed-"));
  const keyFile = join(folder, "key.txt");
  let engine: ObjectEngine;
  let daemon: BackupDaemon;
  let identity = "";
  const ids: string[] = [];
  const digests: string[] = [];

  beforeAll(async () => {
    engine = await startObjectEngine(folder);
    identity = await generateIdentity();
    const recipient = await identityToRecipient(identity);
    writeFileSync(keyFile, `# public key: ${recipient}\n${identity}\n`, { mode: 0o600 });
    writeFileSync(join(folder, "other.txt"), `${await generateIdentity()}\n`, { mode: 0o600 });
    daemon = await startBackupDaemon({
      pools: [{ name: "tank", driver: "embedded", folder: join(folder, "tank") }],
      dataDir: join(folder, "data"),
      backups: {
        store: { ...engine.profile, identityFile: keyFile },
        // Of a node that may make backups and not read them.
        blind: { ...engine.profile, recipients: [recipient] },
        stranger: { ...engine.profile, identityFile: join(folder, "other.txt") },
        clear: { ...engine.profile, prefix: "clear" },
      },
      log: { level: "debug" },
    });
    await must(daemon.url, "CreateVolume", { id: "disk", size: 16 });
  });
  afterAll(async () => {
    await daemon?.process.stop();
    await engine?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const run = (...args: string[]) =>
    spawnSync(process.execPath, [CLI, "backup", ...args], {
      ...{ encoding: "utf8", env: { ...process.env, IMAGESTORE_URL: daemon.url } },
    }).stdout;
  const restore = (profile: string, more: object = {}) =>
    call(daemon.url, "RestoreBackup", { profile, id: ids[1], dest: "restored", ...more });
  const incoming = join(folder, "tank", "incoming");

  test("a full one and an increment restore to the same bytes, by whoever has made them", async () => {
    for (const [round, profile] of ["store", "blind"].entries()) {
      for (let mib = 0; mib < 12; mib += 2) await daemon.write("disk", (mib + round) * MIB, SECRET);
      await daemon.snapshot("disk", `s${round}`);
      digests.push(await daemon.digest("disk"));
      const { why, backups } = await daemon.backUp(`disk@s${round}`, { profile });
      ids.push(backups[0]?.id ?? "");
      // The bookmark is that of a profile: the snapshot is there as well.
      expect(why).toBe(round === 0 ? "first" : "increment");
    }
    expect(await restore("store")).toMatchObject({ error: null });
    expect(await daemon.digest("restored")).toBe(digests[1]);
    await must(daemon.url, "DeleteDataset", { id: "restored" });
    expect(await must<Backups>(daemon.url, "VerifyBackup", { profile: "store" })).toMatchObject({
      backups: { length: 2 },
    });
  });

  test("the store has nothing of the data, and what is beside it says that it is encrypted", async () => {
    await daemon.backUp("disk@s0", { profile: "clear" });
    const plain = await engine.read(`clear/${ids[0]}.zfs`);
    expect(plain.includes(SECRET.subarray(0, 64))).toBe(true);
    for (const id of ids) {
      const sealed = await engine.read(`node-1/${id}.zfs`);
      expect(sealed.subarray(0, 21).toString()).toBe("age-encryption.org/v1");
      expect(sealed.includes(SECRET.subarray(0, 19))).toBe(false);
      const { backup } = JSON.parse(String(await engine.read(`node-1/${id}.json`)));
      expect(backup).toMatchObject({ bytes: sealed.length, encryption: { scheme: "age" } });
      if (id === ids[0]) expect(backup.encryption.bytes).toBe(plain.length);
    }
    for (const [profile, encrypted] of Object.entries({ store: true, blind: true, clear: false })) {
      const { backups } = await daemon.list({ profile });
      expect(backups.map((each) => each.encrypted)).toEqual(backups.map(() => encrypted));
      expect(backups.length).toBeGreaterThan(0);
    }
    expect(run("list", "--profile", "store", "-H").split("\n")[0]).toMatch(/\tyes\tyes$/);
    expect(run("list", "--profile", "clear", "-H").split("\n")[0]).toMatch(/\tno\tyes$/);
  });

  test.skipIf(!hasAge)(
    withAge("the program age opens it, and the stream is that of an unencrypted backup"),
    async () => {
      const input = await engine.read(`node-1/${ids[0]}.zfs`);
      const { stdout, status } = spawnSync("age", ["--decrypt", "-i", keyFile], {
        input,
        maxBuffer: 64 * MIB,
      });
      expect(status).toBe(0);
      expect(stdout.equals(await engine.read(`clear/${ids[0]}.zfs`))).toBe(true);
    },
  );

  test("without its identity it can be checked as it is stored, and a restore is refused before it changes anything", async () => {
    const volumes = await daemon.volumes();
    const touchedAt = statSync(incoming).mtimeMs;
    expect((await call(daemon.url, "VerifyBackup", { profile: "blind" })).error).toBeNull();
    for (const verify of ["content", "structure"]) {
      expect((await restore("blind", { verify })).error).toContain("no identityFile");
    }
    const wrong = "don't open";
    expect((await restore("stranger")).error).toContain(wrong);
    expect((await call(daemon.url, "VerifyBackup", { profile: "stranger" })).error).toContain(wrong);
    expect(await daemon.volumes()).toEqual(volumes);
    expect(statSync(incoming).mtimeMs).toBe(touchedAt);
  });

  test("wherever a bit of it is flipped, a restore is refused and names the object", async () => {
    const name = `node-1/${ids[0]}.zfs`;
    const content = await engine.read(name);
    // In the header's key, in the first and in the last chunk.
    for (const at of [80, 10_000, content.length - 1]) {
      const changed = Buffer.from(content);
      changed[at] = (changed[at] ?? 0) ^ 1;
      await engine.write(name, changed);
      for (const profile of ["store", "stranger"]) {
        expect((await restore(profile)).error, `${at} ${profile}`).toContain(`${ids[0]}.zfs`);
      }
      expect((await call(daemon.url, "VerifyBackup", { profile: "blind" })).error).toContain(`${ids[0]}.zfs`);
    }
    await engine.write(name, content);
    expect(await daemon.volumes()).toEqual(["tank/disk"]);
  });

  test("an identity that others may read is refused, and none is ever shown", async () => {
    chmodSync(keyFile, 0o644);
    const refused = await restore("store");
    await daemon.snapshot("disk", "later");
    const { error } = await call(daemon.url, "BackupSnapshot", { id: "disk@later", profile: "store" });
    chmodSync(keyFile, 0o600);
    for (const each of [refused.error, error]) expect(each).toContain("its mode must be 0600");
    const diagnosis = await (await fetch(`${daemon.url}/diagnose`)).text();
    for (const text of [daemon.process.log(), diagnosis]) expect(text).not.toContain(identity);
  });
});
