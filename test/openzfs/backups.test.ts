import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import type { Backups } from "../support/backup-daemon.js";
import { type DaemonProcess, startDaemonProcess, vmPool } from "../support/daemon.js";
import { type ObjectEngine, startObjectEngine } from "../support/object-engine.js";
import { call, must } from "../support/rpc.js";
import { createPool, destroyPool, type Vm, vmExec } from "../support/vm.js";

const vm = inject("vm");
const POOL = "backups";
const ID = "guests/g/disk";
const VOLUME = `${POOL}/${ID}`;
/** More by BACKUP_INCREMENTS: each takes some seconds. */
const INCREMENTS = Number(process.env.BACKUP_INCREMENTS ?? 3);
const SIZE_MIB = 16;

/** Each command of the VM may take seconds on a busy machine. */
const SLOW = { timeout: 600_000 };

describe.skipIf("skip" in vm)("backups of a pool of OpenZFS", SLOW, () => {
  const running = vm as Vm;
  const folder = mkdtempSync(join(tmpdir(), "imagestore-backups-"));
  let engine: ObjectEngine;
  let daemon: DaemonProcess;
  const digests: string[] = [];
  const ids: string[] = [];

  const inVm = (script: string) => vmExec(running, ["sh", "-ec", script]);
  const waitFor = (volume: string) => `until [ -b /dev/zvol/${volume} ]; do sleep 0.1; done`;
  const write = (at: number, mib: number) =>
    inVm(`${waitFor(VOLUME)}
      dd if=/dev/urandom of=/dev/zvol/${VOLUME} bs=1M seek=${at} count=${mib} conv=fsync 2>/dev/null`);
  const digestOf = (volume: string) =>
    inVm(`${waitFor(volume)}; sha256sum /dev/zvol/${volume}`)
      .trim()
      .split(" ")[0] ?? "";
  const listed = (type: string) => inVm(`zfs list -Hr -t ${type} -o name ${POOL}`).trim().split("\n").sort();

  beforeAll(async () => {
    createPool(running, POOL, "/dev/vdl");
    engine = await startObjectEngine(folder);
    daemon = await startDaemonProcess(
      {
        listen: { port: 0 },
        pools: [vmPool(running, POOL)],
        backups: { store: engine.profile },
        log: { level: "warn" },
      },
      { OPENZFS_VM_RUN: running.run },
    );
    await must(daemon.url, "CreateVolume", { id: ID, size: SIZE_MIB });
  });
  afterAll(async () => {
    const status = await daemon?.stop();
    await engine?.stop();
    destroyPool(running, POOL);
    rmSync(folder, { recursive: true, force: true });
    expect(status).toBe(0);
  });

  test("a full backup and increments from bookmarks restore to the same bytes", async () => {
    for (let round = 0; round <= INCREMENTS; round++) {
      write((3 * round) % (SIZE_MIB - 4), 4);
      await must(daemon.url, "CreateSnapshot", { id: ID, dest: `s${round}` });
      digests.push(digestOf(VOLUME));
      const made = await must<Backups>(daemon.url, "BackupSnapshot", {
        id: `${ID}@s${round}`,
        profile: "store",
      });
      expect([made.why, made.warnings]).toEqual([round === 0 ? "first" : "increment", []]);
      ids.push(made.backups[0]?.id ?? "");
      // An increment has what was written since: 4 MiB, and not the volume.
      expect(made.backups[0]?.bytes).toBeLessThan(6 * 1024 * 1024);
      await must(daemon.url, "DeleteSnapshot", { id: `${ID}@s${round}` });
    }
    expect(listed("bookmark")).toEqual([
      `${VOLUME}#imagestore-backup-store-${ids[INCREMENTS]?.match(/(\d+)\.inc$/)?.[1]}`,
    ]);
    await must(daemon.url, "RestoreBackup", {
      profile: "store",
      id: ids[INCREMENTS],
      dest: "guests/h/restored",
    });
    const restored = `${POOL}/guests/h/restored`;
    expect(digestOf(restored)).toBe(digests[INCREMENTS]);
    expect(listed("snapshot")).toEqual(ids.map((_, round) => `${restored}@s${round}`).sort());
    expect(inVm(`zfs get -H -o value readonly ${restored}`).trim()).toBe("off");
    inVm(`dd if=/dev/zero of=/dev/zvol/${restored} bs=1M count=1 conv=fsync 2>/dev/null`);
  });

  test("the objects are streams that zfs receive takes by itself", async () => {
    for (const [index, id] of ids.slice(0, 2).entries()) {
      const { status, stderr } = spawnSync(running.exec, ["zfs", "receive", "-u", `${POOL}/by-hand`], {
        env: { ...process.env, OPENZFS_VM_RUN: running.run },
        input: await engine.read(`node-1/${id}.zfs`),
      });
      expect([index, status, stderr.toString()]).toEqual([index, 0, expect.any(String)]);
    }
    expect(digestOf(`${POOL}/by-hand`)).toBe(digests[1]);
  });

  test("a damaged link is refused before anything is received, and a restore that fails leaves nothing", async () => {
    const name = `node-1/${ids[1]}.zfs`;
    const content = await engine.read(name);
    const changed = Buffer.from(content);
    changed[content.length - 500] = (changed[content.length - 500] ?? 0) ^ 1;
    await engine.write(name, changed);
    const before = listed("all");
    const refused = await call(daemon.url, "RestoreBackup", { profile: "store", id: ids[2], dest: "never" });
    expect(refused.error).toContain(`${ids[1]}.zfs`);
    expect(listed("all")).toEqual(before);
    const failed = await call(daemon.url, "RestoreBackup", {
      ...{ profile: "store", id: ids[2], dest: "never", verify: "structure" },
    });
    expect(failed.error).toBeTruthy();
    expect(daemon.log()).not.toContain("could not be removed");
    expect(listed("all")).toEqual(before);
    await engine.write(name, content);
    await must(daemon.url, "RestoreBackup", { profile: "store", id: ids[2], dest: "now" });
    expect(digestOf(`${POOL}/now`)).toBe(digests[2]);
  });
});
