// @ts-check

import { startDaemon } from "./lib/daemon.mjs";
import { must } from "./lib/http-client.mjs";
import { startObjectStore } from "./lib/object-store.mjs";
import { isInstalled, runCommand } from "./lib/process.mjs";
import { Unavailable } from "./lib/unavailable.mjs";
import { startVm } from "./lib/vm.mjs";

const MIB = 2 ** 20;
const VOLUME_MIB = 256;
const BRIEF_MIB = 16;
const BUCKET = "backups";
const VOLUME = "guests/g1/disk-0";
const STRUCTURE = "RestoreBackup, verify structure";

/** @type {import("./run.mjs").Bench} */
export default {
  title: "a volume of OpenZFS to an object store and back",
  run: async (tools) => {
    const { settings, add, compare, note, say } = tools;
    if (!isInstalled("rclone")) throw new Unavailable("rclone is not installed");
    const store = await startObjectStore(tools, BUCKET);
    const env = { ...store.env };
    await runCommand(["rclone", "mkdir", `store:${BUCKET}`], { env });
    const vm = await startVm(tools);
    const pools = [vm.pool];
    const daemon = await startDaemon(tools, { pools, backups: { store: store.profile } }, { env: vm.env });
    const mib = settings.brief ? BRIEF_MIB : VOLUME_MIB;
    await must(daemon.port, "CreateVolume", { id: VOLUME, size: mib });
    const device = `/dev/zvol/bench/${VOLUME}`;
    const fill =
      'until [ -b "$1" ]; do sleep 0.1; done; dd if=/dev/urandom of="$1" bs=1M count="$2" conv=fsync';
    await vm.run("sh", "-c", `${fill} 2>/dev/null`, "sh", device, String(mib));

    /** @param {string} label @param {number} bytes @param {() => Promise<unknown>} work */
    const time = async (label, bytes, work) => {
      const startedAt = performance.now();
      await work();
      const seconds = (performance.now() - startedAt) / 1000;
      add("a whole volume", label, "MB/s", bytes / seconds / 1e6);
      say(`${label}: ${(bytes / seconds / 1e6).toFixed(1)} MB/s, ${seconds.toFixed(2)} s`);
    };
    const shell = (/** @type {string} */ script) =>
      runCommand(["sh", "-c", script], { env: { ...env, ...vm.env } });
    for (let run = 0; run < settings.runs; run++) {
      const tag = `s${run}`;
      const snapshot = `${VOLUME}@${tag}`;
      await must(daemon.port, "CreateSnapshot", { id: VOLUME, dest: tag });
      const bytes = mib * MIB;
      const name = `store:${BUCKET}/alone/${tag}`;
      await time("zfs send | rclone rcat", bytes, () =>
        shell(`'${vm.exec}' zfs send -L 'bench/${snapshot}' | rclone rcat '${name}'`),
      );
      const asked = { id: snapshot, profile: "store", full: true };
      let id = "";
      await time("BackupSnapshot", bytes, async () => {
        const { backups } = await must(daemon.port, "BackupSnapshot", asked);
        id = backups[0].id;
      });
      await time("rclone cat | zfs receive", bytes, () =>
        shell(`rclone cat '${name}' | '${vm.exec}' zfs receive -u 'bench/alone-${tag}'`),
      );
      /** @type {[label: string, dest: string, verify: string][]} */
      const ways = [
        ["RestoreBackup", `checked-${tag}`, "content"],
        [STRUCTURE, `back-${tag}`, "structure"],
      ];
      for (const [label, dest, verify] of ways) {
        const params = { profile: "store", id, dest, verify };
        await time(label, bytes, () => must(daemon.port, "RestoreBackup", params));
        const both = [`/dev/zvol/bench/alone-${tag}`, `/dev/zvol/bench/${dest}`];
        await vm.run("sh", "-c", 'until cmp "$1" "$2"; do sleep 1; done', "sh", ...both);
      }
      for (const volume of [`alone-${tag}`, `checked-${tag}`, `back-${tag}`])
        await must(daemon.port, "DeleteDataset", { id: volume, recurse: true });
    }
    compare({
      label: "a backup to zfs send piped into the store's client",
      of: "BackupSnapshot",
      to: "zfs send | rclone rcat",
      atLeast: 0.9,
    });
    compare({
      label: "a restore that reads everything first, to the store's client piped into zfs receive",
      of: "RestoreBackup",
      to: "rclone cat | zfs receive",
    });
    compare({
      label: "a restore that reads once, to the store's client piped into zfs receive",
      of: STRUCTURE,
      to: "rclone cat | zfs receive",
      atLeast: 0.9,
    });
    note(
      `A volume of ${mib} MiB of random bytes. The pool is in a VM, which may be emulated; the bytes come from it and go to it ` +
        `by its ssh, the same on both ways. The store is Ceph's gateway ${store.version}, its objects in memory; the client is rclone. ` +
        "Its file is one object. A backup hashes its parts and the whole as well. A restore reads all objects and checks them before " +
        "it changes anything; with `verify` structure it looks at names and lengths alone, and checks the digests as the data comes. " +
        "It publishes nothing that is not as it was stored.",
    );
  },
};
