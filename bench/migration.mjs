// @ts-check
import { randomBytes } from "node:crypto";
import { open } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { startEmbedded } from "./lib/daemon.mjs";
import { must } from "./lib/http-client.mjs";
import { startInside } from "./lib/inside-vm.mjs";
import { runCommand } from "./lib/process.mjs";
import { startVm } from "./lib/vm.mjs";

const SIZE_MIB = 8 * 1024;
const BRIEF_SIZE_MIB = 64;
/** Written before the move begins. */
const DATA_MIB = 256;
const BRIEF_DATA_MIB = 8;
/** So much of the disk's beginning is written to, and compared: the VM reads some 20 MiB a second. */
const WRITTEN_MIB = 512;
const MIB = 2 ** 20;
const WRITE_BYTES = 64 * 1024;
/** A disk that is a file takes far more a second than one in the VM. */
const PAUSE_MS = 20;
const SOURCE = "bench";
const TARGET = "second";
const GUEST = "guests/g1/disk-0";
const MOST_STOPPED_S = 2;

/** @typedef {import("./run.mjs").Tools} Tools */
/**
 * Two nodes.
 * @typedef {object} Nodes
 * @property {string} label
 * @property {number} source the port of its daemon
 * @property {number} target
 * @property {(data: number, bytes: number) => Promise<() => Promise<void>>} write puts so many MiB of data into the new disk,
 *   goes on writing here and there within its first bytes, and returns how to stop that
 * @property {(bytes: number) => Promise<void>} compare fails if the copy's first bytes are not the disk's
 * @property {(last: string) => Promise<{ bytes: number, seconds: number } | undefined>} [alone] zfs send -i piped into
 *   zfs receive, for the newest snapshot of the disk but this one
 */

/**
 * Writes 64 KiB of random bytes here and there, some MiB a second, and syncs, until its file is gone.
 */
const WRITER = `touch /run/writer
  while [ -e /run/writer ]; do
    at=$(( $(od -An -N3 -tu4 /dev/urandom) % $2 ))
    dd if=/dev/urandom of=$1 bs=64k count=1 seek=$at conv=notrunc,fsync 2>/dev/null
  done
  touch /run/wrote`;

const FILL = `until [ -b "$1" ]; do sleep 0.1; done
  dd if=/dev/urandom of="$1" bs=1M count="$2" conv=fsync 2>/dev/null`;

const STOP = "rm -f /run/writer; until [ -e /run/wrote ]; do sleep 0.1; done; rm /run/wrote";

/**
 * Sends the increment up to a snapshot from the newest before it to a copy that has that, and tells its bytes and the time.
 * Nothing if there is no such snapshot.
 */
const ALONE = `before=$(zfs list -Hpo name -t snapshot -S createtxg "\${1%@*}" | sed -n 2p)
  [ -n "$before" ] || exit 0
  zfs send -c "$before" | zfs receive -u -o readonly=on "$2" && sync && sleep 1
  zfs send -c -i "$before" "$1" | wc -c
  time -p sh -c 'zfs send -c -i "$1" "$2" | zfs receive -u "$3"' sh "$before" "$1" "$2" 2>&1
  until zfs destroy -r "$2"; do sleep 0.2; done 2>/dev/null`;

/** @param {Tools} tools @returns {Promise<Nodes>} */
async function inVm(tools) {
  const vm = await startVm(tools);
  await vm.run("zpool", "create", "-f", "-O", "mountpoint=none", TARGET, "/dev/vdb");
  const source = await startInside(tools, vm, { name: SOURCE, library: "auto" });
  const peers = { source: { url: `http://127.0.0.1:${source}` } };
  const target = await startInside(tools, vm, { name: TARGET, library: "auto" }, { peers });
  const run = (/** @type {string} */ script, /** @type {string[]} */ ...words) =>
    vm.run("sh", "-c", script, "sh", ...words);
  const device = `/dev/zvol/${SOURCE}/${GUEST}`;
  return {
    ...{ label: "OpenZFS", source, target },
    write: async (data, bytes) => {
      await run(FILL, device, String(data));
      const writer = run(WRITER, device, String(bytes / WRITE_BYTES));
      return async () => {
        await run(STOP);
        await writer;
      };
    },
    // By this machine's cmp: that of the VM takes minutes.
    compare: async (bytes) =>
      void (await vm.run("-H", "cmp", "-n", String(bytes), device, `/dev/zvol/${TARGET}/${GUEST}`)),
    alone: async (last) => {
      const told = await run(ALONE, `${SOURCE}/${GUEST}${last}`, `${TARGET}/alone`);
      const [, bytes, seconds] = /^(\d+)\s+real\s+([\d.]+)/.exec(told) ?? [];
      return bytes === undefined ? undefined : { bytes: Number(bytes), seconds: Number(seconds) };
    },
  };
}

/** @param {Tools} tools @returns {Promise<Nodes>} */
async function inFolders(tools) {
  const source = await startEmbedded(tools);
  const target = await startEmbedded(tools, { peers: { source: { url: source.url } } });
  const deviceOf = async (/** @type {number} */ port) =>
    (await must(port, "GetVolume", { id: GUEST })).volumes[0].device;
  return {
    ...{ label: "folders", source: source.port, target: target.port },
    write: async (data, bytes) => {
      const file = await open(await deviceOf(source.port), "r+");
      for (let at = 0; at < data; at++) await file.write(randomBytes(MIB), 0, MIB, at * MIB);
      const places = bytes / WRITE_BYTES;
      let isStopped = false;
      const writer = (async () => {
        while (!isStopped) {
          const at = Math.floor(Math.random() * places) * WRITE_BYTES;
          await file.write(randomBytes(WRITE_BYTES), 0, WRITE_BYTES, at);
          await file.sync();
          await sleep(PAUSE_MS);
        }
        await file.close();
      })();
      return async () => {
        isStopped = true;
        await writer;
      };
    },
    compare: async (bytes) => {
      const devices = [await deviceOf(source.port), await deviceOf(target.port)];
      await runCommand(["cmp", "-n", String(bytes), ...devices]);
    },
  };
}

/** @type {import("./run.mjs").Bench} */
export default {
  title: "a guest's disk moves to another node while it is written to",
  run: async (tools) => {
    const { settings, add, bound, compare, note, say } = tools;
    const [size, data] = settings.brief ? [BRIEF_SIZE_MIB, BRIEF_DATA_MIB] : [SIZE_MIB, DATA_MIB];
    const written = Math.min(WRITTEN_MIB, size / 2);
    for (const openNodes of [inFolders, inVm]) {
      const nodes = await openNodes(tools);
      const { label, source, target } = nodes;
      const timed = async (/** @type {string} */ method, /** @type {object} */ params) => {
        const startedAt = performance.now();
        const result = await must(target, method, params);
        return { result, seconds: (performance.now() - startedAt) / 1000 };
      };
      for (let run = 0; run < settings.runs; run++) {
        await must(source, "CreateVolume", { id: GUEST, size, provisioning: "thin" });
        const stopWriting = await nodes.write(data, written * MIB);
        const ask = { id: GUEST, peer: "source", source: GUEST };
        const moved = await timed("MigrateVolume", ask);
        await stopWriting();
        const stopped = await timed("FinishMigration", ask);
        const { snapshot, bytes } = stopped.result.pulled;
        await nodes.compare(written * MIB);
        const alone = await nodes.alone?.(snapshot.slice(snapshot.indexOf("@")));
        add(label, `MigrateVolume, its guest runs, ${label}`, "s", moved.seconds);
        add(label, `FinishMigration, its guest is stopped, ${label}`, "s", stopped.seconds);
        add(label, `of the last increment, ${label}`, "bytes", bytes);
        if (alone) {
          add(label, "zfs send -i of the same piped into zfs receive", "s", alone.seconds);
          add(label, "of zfs send -i of the same", "bytes", alone.bytes);
          add(label, "the guest is stopped, without the time of that", "s", stopped.seconds - alone.seconds);
        }
        say(
          `${label}, run ${run + 1}: moved in ${moved.seconds.toFixed(1)} s, stopped for ${stopped.seconds.toFixed(2)} s, ` +
            `${(bytes / MIB).toFixed(1)} MiB then${alone ? `; zfs send -i piped into zfs receive: ${alone.seconds} s` : ""}`,
        );
        await must(source, "UnfenceVolume", { id: GUEST });
        await must(source, "DeleteDataset", { id: GUEST, recurse: true });
        await must(target, "DeleteDataset", { id: GUEST, recurse: true });
      }
    }
    bound({
      label: "a guest stands still, its last increment included, folders",
      of: "FinishMigration, its guest is stopped, folders",
      atMost: MOST_STOPPED_S,
    });
    bound({
      label: "a guest stands still, beside its last increment, OpenZFS",
      of: "the guest is stopped, without the time of that",
      atMost: MOST_STOPPED_S,
    });
    compare({
      label: "bytes of the last increment, to zfs send -i",
      of: "of the last increment, OpenZFS",
      to: "of zfs send -i of the same",
      atMost: 1.1,
    });
    note(
      `A thin volume of ${size} MiB with ${data} MiB in it, and a program that goes on ` +
        "writing 64 KiB here and there with a sync after each. With OpenZFS both daemons and both pools are in one VM, which may be " +
        "emulated; a call of the kernel takes some twenty times as long then, and so does JavaScript that is not warm. After each move what is written to is compared: " +
        "no write may be lost. A folder whose file system can't share blocks has to copy all data for each snapshot and each increment.",
    );
  },
};
