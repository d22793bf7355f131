import { randomBytes, randomInt } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Backup, type BackupDaemon, type Backups, startBackupDaemon } from "../support/backup-daemon.js";
import { freePort } from "../support/daemon.js";
import { type GatedProxy, startGatedProxy } from "../support/gated-proxy.js";
import { type ObjectEngine, startObjectEngine } from "../support/object-engine.js";
import { descendantsOf } from "../support/processes.js";
import { call20 } from "../support/pull-cases.js";
import { call, must } from "../support/rpc.js";
import { until } from "../support/until.js";

const MIB = 1024 * 1024;
/** More by BACKUP_KILLS. So few are other kinds of faults in each run. */
const ROUNDS = Number(process.env.BACKUP_KILLS ?? 4);
/** A restore takes longest of all: a short run makes some only. */
const RESTORES = process.env.BACKUP_KILLS === undefined ? 3 : 1;
const DISK_MIB = 8;
/** So many increments follow a full backup. Any other full one was not planned. */
const FULL_EVERY = 5;
/** What a backup, or whatever is asked meanwhile, may come to while a fault lasts. */
const PASSING =
  /^(?:backup\.store_unreachable|command\.failed|pool\.unavailable|service\.|dataset\.busy|stream\.)/;

const folder = mkdtempSync(join(tmpdir(), "imagestore-backup-kills-"));
let engine: ObjectEngine;
let proxy: GatedProxy;
let daemon: BackupDaemon;
let port = 0;

const start = () =>
  startBackupDaemon({
    listen: { port },
    pools: [{ name: "tank", driver: "embedded", folder: join(folder, "tank") }],
    dataDir: join(folder, "data"),
    backups: {
      store: {
        ...engine.profile,
        endpoint: `http://127.0.0.1:${proxy.port}`,
        ...{ partBytes: 5 * MIB, fullEvery: FULL_EVERY },
      },
    },
    timeouts: { graceMs: 500, fetchIdleMs: 5_000 },
  });

beforeAll(async () => {
  engine = await startObjectEngine(folder);
  proxy = await startGatedProxy(Number(new URL(String(engine.profile.endpoint)).port));
  port = await freePort();
  daemon = await start();
});
afterAll(async () => {
  await daemon?.process.stop();
  await proxy?.close();
  await engine?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const senders = () => descendantsOf(daemon.process.pid, "embedded/send-process.js");

function signal(pids: readonly number[], name: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, name);
    } catch {
      // It has ended by itself.
    }
  }
}

/** What happens while a backup runs. Each leaves everything running again. */
const FAULTS: Readonly<Record<string, () => Promise<void> | void>> = {
  "the daemon is killed": async () => {
    daemon.process.process.kill("SIGKILL");
    await daemon.process.exited;
    daemon = await start();
  },
  "the daemon is stopped in order": async () => {
    expect(await daemon.process.stop()).toBe(0);
    daemon = await start();
  },
  "what sends is killed": () => signal(senders(), "SIGKILL"),
  "what sends stands still, and is killed": async () => {
    const pids = senders();
    signal(pids, "SIGSTOP");
    await sleep(randomInt(50, 500));
    signal(pids, "SIGKILL");
  },
  "all connections to the store are cut": () => proxy.cut(),
  "the connection to the store breaks after some bytes": async () => {
    proxy.stopAfter("up", randomInt(0, 3 * MIB));
    await sleep(randomInt(50, 500));
    proxy.cut();
    proxy.open();
  },
  "the store is killed": async () => {
    await engine.kill();
    await sleep(randomInt(0, 1_000));
    await engine.start();
  },
};

const backUpOnce = (id: string) => call20(daemon, "BackupSnapshot", { id, profile: "store" });

/** How many backups were cut, were done all the same, or had ended before the fault. */
type Ends = Readonly<Record<"cut" | "done" | "late", number>>;
const seen = new Map<string, Ends>();

/** How long the newest backup took that was not cut: a fault comes somewhere in that time. */
let backupMs = 300;

/** Makes a backup in which there is a fault, and asks until it is there. */
async function backUpThrough(id: string, kind: string, what: string): Promise<Backups> {
  // The answer of a daemon that is killed never comes.
  let isUnderWay = true;
  const began = performance.now();
  const broken = backUpOnce(id)
    .catch(() => undefined)
    .finally(() => {
      isUnderWay = false;
    });
  await sleep(Math.random() * backupMs);
  const isInTime = isUnderWay;
  if (!isInTime) backupMs = performance.now() - began;
  await FAULTS[kind]?.();
  const first = await broken;
  const end = !isInTime ? "late" : first?.result ? "done" : "cut";
  const count = seen.get(kind) ?? { cut: 0, done: 0, late: 0 };
  seen.set(kind, { ...count, [end]: count[end] + 1 });
  let made: Backups | undefined = first?.result as Backups | undefined;
  let refusal = "";
  await until(
    `${what}: a backup`,
    async () => {
      if (made) return true;
      const again = performance.now();
      const { error, result } = await backUpOnce(id);
      if (result) backupMs = performance.now() - again;
      if (error && !PASSING.test(error.data.reason)) {
        throw new Error(`${what}: ${error.data.reason}: ${error.message}`);
      }
      refusal = error?.message ?? "";
      made = result as Backups | undefined;
      return made !== undefined;
    },
    60_000,
  ).catch((error: unknown) => {
    throw new Error(`${what}: ${refusal}\n${daemon.process.log().slice(-2_000)}`, { cause: error });
  });
  if (!made) throw new Error(`${what}: no backup`);
  return made;
}

/** Holds what is stored against what was backed up: all chains, and the contents of the last. */
async function expectWhole(taken: readonly Backup[], what: string): Promise<void> {
  const last = taken.at(-1);
  const { backups, damaged } = await daemon.list();
  expect(damaged, what).toEqual([]);
  expect(backups.map(({ id }) => id).sort(), what).toEqual(taken.map(({ id }) => id).sort());
  expect(
    backups.every(({ restorable }) => restorable),
    what,
  ).toBe(true);
  // Nothing is in the store but the two objects of each backup.
  const objects = taken.flatMap(({ id }) => [`node-1/${id}.json`, `node-1/${id}.zfs`]);
  expect(await engine.names(), what).toEqual(objects.sort());
  const verified = await call(daemon.url, "VerifyBackup", { profile: "store", id: last?.id });
  expect(verified.error, what).toBeNull();
}

/** Restores a backup whose contents have just been looked at. */
async function expectRestored({ id }: Backup, digest: string, what: string): Promise<void> {
  await must(daemon.url, "RestoreBackup", { profile: "store", id, dest: "restored", verify: "structure" });
  expect(await daemon.digest("restored"), what).toBe(digest);
  await must(daemon.url, "DeleteDataset", { id: "restored" });
  expect(await daemon.volumes(), what).toEqual(["tank/disk"]);
  await until(
    `${what}: nothing is being received`,
    () => readdirSync(join(folder, "tank", "incoming")).length === 0,
  );
}

test(`after ${ROUNDS} faults in the midst of backups no chain is broken, none came anew, and nothing is left`, {
  timeout: 60_000 + ROUNDS * 30_000,
}, async () => {
  await must(daemon.url, "CreateVolume", { id: "disk", size: DISK_MIB });
  await daemon.write("disk", 0, randomBytes(DISK_MIB * MIB));
  const kinds = Object.keys(FAULTS);
  const taken: Backup[] = [];
  const offset = randomInt(kinds.length);
  for (let round = 0; round < ROUNDS; round++) {
    const kind = kinds[(offset + round) % kinds.length] ?? "";
    const what = `round ${round}: ${kind}`;
    await daemon.write("disk", randomInt(0, 3) * MIB, randomBytes(randomInt(1, 6) * MIB));
    await daemon.snapshot("disk", `s${round}`);
    const digest = await daemon.digest("disk");
    const { backups, why } = await backUpThrough(`disk@s${round}`, kind, what);
    const [made] = backups;
    if (!made) throw new Error(`${what}: an answer without a backup`);
    // One whose answer was lost is there already.
    const planned = round === 0 ? "first" : round % (FULL_EVERY + 1) === 0 ? "fullEvery" : "increment";
    expect([planned, "present"], what).toContain(why);
    expect(made.from, what).toBe(planned === "increment" ? (taken.at(-1)?.guid ?? "") : null);
    taken.push(made);
    await expectWhole(taken, what);
    if ((round + 1) % RESTORES === 0) await expectRestored(made, digest, what);
    const { bookmarks } = await must<{ bookmarks: { id: string }[] }>(daemon.url, "ListBookmarks", {
      id: "disk",
    });
    expect(
      bookmarks.map(({ id }) => id),
      what,
    ).toEqual([`tank/disk#imagestore-backup-store-${made.guid}`]);
    await until(`${what}: no send runs`, () => senders().length === 0);
    // Every other snapshot goes, so that its bookmark is built on. A hold that was left would keep it.
    if (round % 2 === 0) await must(daemon.url, "DeleteSnapshot", { id: `disk@s${round}` });
  }
  expect(taken).toHaveLength(ROUNDS);
  const all = await must<Backups>(daemon.url, "VerifyBackup", { profile: "store" });
  expect(all.backups).toHaveLength(ROUNDS);
  for (const [kind, { cut, done, late }] of seen)
    console.info(
      `${kind}: ${cut} backups were cut, ${done} were done all the same, ${late} had ended before`,
    );
});
