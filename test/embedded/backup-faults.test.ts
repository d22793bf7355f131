import { randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type BackupDaemon, startBackupDaemon } from "../support/backup-daemon.js";
import { type GatedProxy, startGatedProxy } from "../support/gated-proxy.js";
import { type ObjectEngine, startObjectEngine } from "../support/object-engine.js";
import { descendantsOf } from "../support/processes.js";
import { call, must } from "../support/rpc.js";
import { until } from "../support/until.js";

const MIB = 1024 * 1024;
const DISK_MIB = 32;
/** Enough to be in the middle of the data, which has several parts of 5 MiB. */
const HALF = 12 * MIB;

interface Jobs {
  readonly jobs: readonly {
    id: string;
    state: string;
    phase: string | null;
    bytes: number;
    totalBytes: number | null;
  }[];
}

describe("backups and restores that are cut", () => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-backup-faults-"));
  let engine: ObjectEngine;
  let proxy: GatedProxy;
  let daemon: BackupDaemon;
  let digest = "";
  let first = "";

  const start = () =>
    startBackupDaemon({
      pools: [{ name: "tank", driver: "embedded", folder: join(folder, "tank") }],
      dataDir: join(folder, "data"),
      backups: {
        store: { ...engine.profile, endpoint: `http://127.0.0.1:${proxy.port}`, partBytes: 5 * MIB },
      },
      timeouts: { graceMs: 500, fetchIdleMs: 60_000 },
    });

  beforeAll(async () => {
    engine = await startObjectEngine(folder);
    proxy = await startGatedProxy(Number(new URL(String(engine.profile.endpoint)).port));
    daemon = await start();
    await must(daemon.url, "CreateVolume", { id: "disk", size: DISK_MIB });
    await daemon.write("disk", 0, randomBytes(DISK_MIB * MIB));
    await daemon.snapshot("disk", "base");
    first = (await daemon.backUp("disk@base")).backups[0]?.id ?? "";
    digest = await daemon.digest("disk");
    await daemon.write("disk", 0, randomBytes(DISK_MIB * MIB));
    await daemon.snapshot("disk", "next");
  });
  afterAll(async () => {
    await daemon?.process.stop();
    await proxy?.close();
    await engine?.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  beforeEach(() => proxy.open());

  const begin = async (method: string, params: object): Promise<string> => {
    const { jobs } = await must<Jobs>(daemon.url, method, { profile: "store", background: true, ...params });
    return jobs[0]?.id ?? "";
  };
  const stateOf = async (id: string) => (await must<Jobs>(daemon.url, "WaitJob", { id })).jobs[0];
  const processes = (script: "send" | "receive") =>
    descendantsOf(daemon.process.pid, `embedded/${script}-process.js`);
  const ids = async () => (await daemon.list()).backups.map(({ id }) => id);
  async function kill(): Promise<void> {
    daemon.process.process.kill("SIGKILL");
    await daemon.process.exited;
    proxy.open();
    daemon = await start();
  }

  /** Begins a backup, and waits until it is in the middle of its data. */
  async function backUpHalf(): Promise<string> {
    proxy.stopAfter("up", HALF);
    const job = await begin("BackupSnapshot", { id: "disk@next" });
    await until("the backup stands still", () => proxy.isStopped);
    const { jobs } = await must<Jobs>(daemon.url, "GetJob", { id: job });
    expect(jobs[0]).toMatchObject({ state: "running", phase: "sending" });
    return job;
  }

  /** What a backup that has not ended must leave: one backup, which is whole, and a snapshot that can go. */
  async function expectNoTrace(): Promise<void> {
    expect(await ids()).toEqual([first]);
    expect((await call(daemon.url, "VerifyBackup", { profile: "store" })).error).toBeNull();
    await until("no send runs", () => processes("send").length === 0);
    await daemon.snapshot("disk", "other");
    await must(daemon.url, "RollbackSnapshot", { id: "disk@next", destroyMoreRecent: true });
  }

  test("a daemon that is killed in the middle of a backup leaves none, and no hold", async () => {
    await backUpHalf();
    const [sender = 0] = processes("send");
    expect(sender).toBeGreaterThan(0);
    await kill();
    await until("the command has ended", () => {
      try {
        process.kill(sender, 0);
        return false;
      } catch {
        return true;
      }
    });
    await expectNoTrace();
    await must(daemon.url, "CreateBookmark", { id: "disk@next", dest: "mine" });
    await must(daemon.url, "DeleteBookmark", { id: "disk#mine" });
  });

  test("a send that is killed ends its backup, which leaves nothing", async () => {
    const job = await backUpHalf();
    for (const pid of processes("send")) process.kill(pid, "SIGKILL");
    proxy.open();
    expect(await stateOf(job)).toMatchObject({ state: "interrupted" });
    await expectNoTrace();
  });

  test("a backup that is cancelled leaves nothing", async () => {
    const job = await backUpHalf();
    await must(daemon.url, "CancelJob", { id: job });
    expect(await stateOf(job)).toMatchObject({ state: "cancelled" });
    proxy.open();
    await expectNoTrace();
  });

  test("while a backup of a volume runs, another one of it and a prune are refused", async () => {
    const job = await backUpHalf();
    const other = await call(daemon.url, "BackupSnapshot", { id: "disk@base", profile: "store" });
    expect(other.error).toBe("a backup of tank/disk to profile store is running");
    const prune = await call(daemon.url, "PruneBackups", { profile: "store", keepLast: 1 });
    expect(prune.error).toBe("a backup to profile store is running");
    await must(daemon.url, "CancelJob", { id: job });
    await stateOf(job);
  });

  test("a connection that is cut in the middle of a backup does not end it, and what is stored is whole", async () => {
    const job = await backUpHalf();
    proxy.cut();
    proxy.open();
    expect(await stateOf(job)).toMatchObject({ state: "done" });
    expect(await ids()).toHaveLength(2);
    expect((await call(daemon.url, "VerifyBackup", { profile: "store" })).error).toBeNull();
  });

  /** Begins a restore, and waits until it receives, in the middle of the data. */
  async function restoreHalf(): Promise<string> {
    // All is read once before: only then the gate is set.
    const job = await begin("RestoreBackup", { id: first, dest: "restored" });
    await until("it receives", async () => {
      const { jobs } = await must<Jobs>(daemon.url, "GetJob", { id: job });
      if (jobs[0]?.phase !== "receiving") return false;
      proxy.stopAfter("down", 0);
      return true;
    });
    await until("the restore stands still", () => proxy.isStopped);
    return job;
  }

  /** What a restore that has not ended must leave: nothing. Then it can be made again. */
  async function expectNothingReceived(): Promise<void> {
    expect(await daemon.volumes()).toEqual(["tank/disk"]);
    expect((await call(daemon.url, "GetVolume", { id: "restored" })).error).toBe("not found");
    await until("no receive runs", () => processes("receive").length === 0);
    expect(readdirSync(join(folder, "tank", "incoming"))).toEqual([]);
    await must(daemon.url, "RestoreBackup", { profile: "store", id: first, dest: "restored" });
    expect(await daemon.digest("restored")).toBe(digest);
    await must(daemon.url, "DeleteDataset", { id: "restored" });
    // Nothing of it is hidden somewhere: the file of each volume and snapshot is one that the pool knows.
    expect(await daemon.volumes()).toEqual(["tank/disk"]);
  }

  test("a daemon that is killed in the middle of a restore leaves nothing after its next start", async () => {
    await restoreHalf();
    await kill();
    await expectNothingReceived();
  });

  test("a receive that is killed ends its restore, which leaves nothing", async () => {
    const job = await restoreHalf();
    for (const pid of processes("receive")) process.kill(pid, "SIGKILL");
    proxy.open();
    expect(await stateOf(job)).toMatchObject({ state: "interrupted" });
    await expectNothingReceived();
  });

  test("a restore that is cancelled leaves nothing", async () => {
    const job = await restoreHalf();
    await must(daemon.url, "CancelJob", { id: job });
    expect(await stateOf(job)).toMatchObject({ state: "cancelled" });
    proxy.open();
    await expectNothingReceived();
  });

  test("a restore whose connection is cut reads on where it was", async () => {
    const job = await restoreHalf();
    proxy.cut();
    proxy.open();
    expect(await stateOf(job)).toMatchObject({ state: "done" });
    expect(await daemon.digest("restored")).toBe(digest);
    await must(daemon.url, "DeleteDataset", { id: "restored" });
  });
});
