// @ts-check

import { startDaemon } from "./lib/daemon.mjs";
import { must } from "./lib/http-client.mjs";
import { startVm } from "./lib/vm.mjs";

const SIZE_MIB = 8 * 1024;
const BRIEF_SIZE_MIB = 64;
/** Written before the move begins. */
const DATA_MIB = 256;
const BRIEF_DATA_MIB = 8;
const SOURCE = "bench";
const TARGET = "second";
const GUEST = "guests/g1/disk-0";
const MOST_STOPPED_S = 2;

/**
 * Writes 64 KiB of random bytes here and there, some MiB a second, and syncs, until its file is gone. In the first half of
 * the disk, so that little is written twice.
 */
const WRITER = `touch /run/writer
  while [ -e /run/writer ]; do
    at=$(( $(od -An -N3 -tu4 /dev/urandom) % $2 ))
    dd if=/dev/urandom of=$1 bs=64k count=1 seek=$at conv=notrunc,fsync 2>/dev/null
  done
  touch /run/wrote`;

/** @type {import("./run.mjs").Bench} */
export default {
  title: "a guest's disk moves to another node while it is written to, on OpenZFS",
  run: async (tools) => {
    const { settings, add, bound, compare, note, say } = tools;
    const vm = await startVm(tools);
    await vm.run("zpool", "create", "-f", "-O", "mountpoint=none", TARGET, "/dev/vdb");
    const size = settings.brief ? BRIEF_SIZE_MIB : SIZE_MIB;
    const options = { env: vm.env };
    const source = await startDaemon(tools, { pools: [vm.pool] }, options);
    const peers = { source: { url: source.url } };
    const target = await startDaemon(tools, { pools: [{ ...vm.pool, name: TARGET }], peers }, options);
    const inVm = (/** @type {string} */ script, /** @type {string[]} */ ...words) =>
      vm.run("sh", "-c", script, "sh", ...words);
    const timed = async (/** @type {string} */ method, /** @type {object} */ params) => {
      const startedAt = performance.now();
      const result = await must(target.port, method, params);
      return { result, seconds: (performance.now() - startedAt) / 1000 };
    };
    for (let run = 0; run < settings.runs; run++) {
      await must(source.port, "CreateVolume", { id: GUEST, size, provisioning: "thin" });
      const device = `/dev/zvol/${SOURCE}/${GUEST}`;
      await inVm(
        'until [ -b "$1" ]; do sleep 0.1; done; dd if=/dev/urandom of="$1" bs=1M count="$2" conv=fsync 2>/dev/null',
        ...[device, String(settings.brief ? BRIEF_DATA_MIB : DATA_MIB)],
      );
      const writer = inVm(WRITER, device, String((size * 16) / 2));
      const ask = { id: GUEST, peer: "source", source: GUEST };
      const moved = await timed("MigrateVolume", ask);
      const [before = ""] = (
        await inVm(`zfs list -Hpo name -t snapshot -S createtxg ${SOURCE}/${GUEST}`)
      ).split("\n");
      // The guest is stopped.
      await inVm("rm -f /run/writer; until [ -e /run/wrote ]; do sleep 0.1; done; rm /run/wrote");
      await writer;
      const stopped = await timed("FinishMigration", ask);
      const { pulled } = stopped.result;
      const last = pulled.snapshot.slice(pulled.snapshot.indexOf("@"));
      const halves = [device, `/dev/zvol/${TARGET}/${GUEST}`, String((size / 2) * 2 ** 20)];
      await inVm('cmp -n "$3" "$1" "$2"', ...halves);
      const sent = await inVm('zfs send -c -i "$1" "$2" | wc -c', before, `${SOURCE}/${GUEST}${last}`).catch(
        () => "",
      );
      const alone = await inVm(
        'time -p sh -c \'zfs send -c "$1" | zfs receive -u "$2"\' sh "$1" "$2" 2>&1; zfs destroy -r "$2"',
        ...[`${SOURCE}/${GUEST}${last}`, `${TARGET}/alone`],
      );
      const aloneS = Number(/real\s+(?:(\d+)m )?([\d.]+)/.exec(alone)?.[2] ?? Number.NaN);
      add("seconds", "MigrateVolume, its guest runs", "s", moved.seconds);
      add("seconds", "FinishMigration, its guest is stopped", "s", stopped.seconds);
      add("seconds", "zfs send piped into zfs receive, all of it", "s", aloneS);
      add("bytes", "of the last increment", "bytes", pulled.bytes);
      if (sent) add("bytes", "of zfs send -i of the same", "bytes", Number(sent));
      say(
        `run ${run + 1}: moved in ${moved.seconds.toFixed(1)} s, stopped for ${stopped.seconds.toFixed(2)} s, ` +
          `${(pulled.bytes / 2 ** 20).toFixed(1)} MiB then; zfs send -i: ${sent.trim() || "no base"}`,
      );
      await must(source.port, "UnfenceVolume", { id: GUEST });
      await must(source.port, "DeleteDataset", { id: GUEST, recurse: true });
      await must(target.port, "DeleteDataset", { id: GUEST, recurse: true });
    }
    bound({
      label: "a guest stands still",
      of: "FinishMigration, its guest is stopped",
      atMost: MOST_STOPPED_S,
    });
    compare({
      label: "bytes of the last increment, to zfs send -i",
      of: "of the last increment",
      to: "of zfs send -i of the same",
      atMost: 1.1,
    });
    note(
      `A thin volume of ${size} MiB with ${settings.brief ? BRIEF_DATA_MIB : DATA_MIB} MiB in it, and a program that goes on ` +
        "writing 64 KiB here and there with a sync after each. Both pools are in one VM, which may be emulated; its commands take " +
        "several times as long then. After each move the halves that are written to are compared: no write may be lost. The bound on the time " +
        "that the guest stands still is without the last increment, which the measured time has in it.",
    );
  },
};
