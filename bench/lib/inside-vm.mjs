// @ts-check
import { join } from "node:path";
import { startDaemon } from "./daemon.mjs";
import { freePort, runCommand } from "./process.mjs";

/** The unit in which Linux shows the processor time of a machine. */
const TICKS_PER_S = 100;

/** Shows the VM's libraries to programs of this machine that run inside, as test/support/vm.ts does. */
const LINK_LIBRARIES = `for file in /lib/x86_64-linux-gnu/*.so*; do
  [ -e /mnt/host/usr$file ] || ln -sf /.vm$file /mnt/host/usr$file
done`;

/** Ends all daemons in the VM, which has no pkill. The shell that runs this has no text of this form among its arguments. */
const END_DAEMONS = `for process in /proc/[0-9]*; do
  case $(tr '\\0' ' ' <$process/cmdline) in *cli.js\\ serve*) kill \${process#/proc/} ;; esac
done 2>/dev/null || true`;

/**
 * Starts a daemon in the VM, beside its pools. It ends with the VM.
 * @param {import("../run.mjs").Tools} tools
 * @param {import("./vm.mjs").Vm} vm
 * @param {{ name: string, library: "auto" | "off" }} pool
 * @param {Record<string, unknown>} [more] of its configuration
 * @returns {Promise<number>} a port that reaches it, on this machine and in the VM
 */
export async function startInside(tools, vm, pool, more = {}) {
  await vm.run("sh", "-c", LINK_LIBRARIES);
  const port = await freePort();
  await startDaemon(
    tools,
    { pools: [{ ...pool, deviceWaitMs: 0 }], listen: { port }, ...more },
    { env: vm.env, wrap: (argv) => [vm.exec, "-H", ...argv] },
  );
  // A killed exec.sh leaves it running, and the connection to the VM keeps its output open.
  tools.defer(() => vm.run("sh", "-c", END_DAEMONS));
  const to = `127.0.0.1:${port}:127.0.0.1:${port}`;
  const socket = join(String(vm.env.OPENZFS_VM_RUN), "ssh");
  await runCommand(["ssh", "-F", "none", "-S", socket, "-O", "forward", "-L", to, "root@127.0.0.1"]);
  return port;
}

/** Processor time of everything in the VM so far, its kernel's included, in seconds. @param {import("./vm.mjs").Vm} vm */
export async function vmCpuSeconds(vm) {
  const [line = ""] = (await vm.run("cat", "/proc/stat")).split("\n");
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = line.split(/\s+/).slice(1).map(Number);
  return (user + nice + system + irq + softirq) / TICKS_PER_S;
}

/**
 * How many commands a daemon has run so far, by its own count. Calls of libzfs_core are none.
 * @param {number} port
 */
export async function commandsRun(port) {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const counts = text.matchAll(/^imagestore_command_seconds_count\{([^}]*)\} (\d+)$/gm);
  return [...counts]
    .filter(([, labels = ""]) => !labels.includes('verb="lzc_'))
    .reduce((sum, [, , count]) => sum + Number(count), 0);
}
