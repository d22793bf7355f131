import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { NoTarget } from "./target.js";

const SCRIPTS = fileURLToPath(new URL("../openzfs-vm/", import.meta.url));
/** The exit status of build.sh on a machine that can't build the VM. */
const CANNOT_BUILD = 3;

/** A running VM with real OpenZFS. */
export interface Vm {
  /** The folder of its state, which the scripts get as OPENZFS_VM_RUN. */
  readonly run: string;
  /** argv that runs a command in the VM. */
  readonly exec: string;
}

interface Shared {
  vm: Promise<Vm | NoTarget> | undefined;
  users: number;
}

/** Each project loads this module again, but in the same process: so the VM that they share is a global. */
function shared(): Shared {
  const key = Symbol.for("imagestore.test.vm");
  const holder = globalThis as unknown as Record<symbol, Shared | undefined>;
  holder[key] ??= { vm: undefined, users: 0 };
  return holder[key];
}

function runScript(name: string, env: NodeJS.ProcessEnv): Promise<{ status: number; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(join(SCRIPTS, name), [], {
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk: Buffer) => {
        output += chunk.toString();
        process.stderr.write(chunk);
      });
    }
    child.on("close", (code) => resolve({ status: code ?? 1, output }));
  });
}

async function startVm(): Promise<Vm | NoTarget> {
  const built = await runScript("build.sh", {});
  if (built.status === CANNOT_BUILD && process.env.REQUIRE_OPENZFS !== "1") {
    return { skip: `no VM with OpenZFS can be built here: ${built.output.trim()}` };
  }
  if (built.status !== 0) throw new Error(`test/openzfs-vm/build.sh failed: ${built.output}`);
  // start.sh creates the folder. Its path must be short, because it holds a unix socket.
  const parent = mkdtempSync(join(tmpdir(), "is-"));
  const run = join(parent, "vm");
  const started = await runScript("start.sh", {
    OPENZFS_VM_RUN: run,
    VM_SHARE: "/",
    VM_POOL: "",
    VM_MEM: "3G",
    // The other half is for the tests themselves. Where two processors are all, one is emulated with
    // a third less of their time than two, since none of it goes into locks between them.
    VM_CPUS: String(Math.max(1, Math.min(4, Math.floor(availableParallelism() / 2)))),
    VM_DISKS: "4G,4G,4G,4G,4G,4G,4G,4G,4G,4G,4G,4G",
    VM_OWNER: String(process.pid),
  });
  if (started.status !== 0) {
    await runScript("stop.sh", { OPENZFS_VM_RUN: run });
    rmSync(parent, { recursive: true, force: true });
    throw new Error(`test/openzfs-vm/start.sh failed: ${started.output}`);
  }
  return { run, exec: join(SCRIPTS, "exec.sh") };
}

/** Starts the VM of this test run, or joins its users. The last `release` stops it. */
export async function acquireVm(): Promise<{ vm: Vm | NoTarget; release: () => void }> {
  const state = shared();
  state.users++;
  state.vm ??= startVm();
  const vm = await state.vm;
  const release = () => {
    if (--state.users > 0 || "skip" in vm) return;
    state.vm = undefined;
    spawnSync(join(SCRIPTS, "stop.sh"), {
      env: { ...process.env, OPENZFS_VM_RUN: vm.run },
      stdio: "inherit",
    });
    rmSync(join(vm.run, ".."), { recursive: true, force: true });
  };
  return { vm, release };
}

/** Runs a command in the VM. Throws if it fails. @returns its stdout. */
export function vmExec(vm: Vm, command: readonly string[], input = ""): string {
  const { status, stdout, stderr } = spawnSync(vm.exec, command, {
    env: { ...process.env, OPENZFS_VM_RUN: vm.run },
    input,
    encoding: "utf8",
    maxBuffer: 256 * 1024 * 1024,
  });
  if (status !== 0) throw new Error(`${command.join(" ")}: status ${status}: ${stderr}`);
  return stdout;
}

/** Waits for the device of a volume and writes random bytes to it. */
export function fillVolume(vm: Vm, volume: string, sizeMib: number): void {
  const device = `/dev/zvol/${volume}`;
  const wait = `until [ -b ${device} ]; do sleep 0.1; done`;
  const write = `dd if=/dev/urandom of=${device} bs=1M count=${sizeMib} conv=fsync`;
  vmExec(vm, ["sh", "-c", `${wait}; ${write}`]);
}

/** Creates a pool on one of the VM's disks, which must be unused. */
export function createPool(vm: Vm, name: string, disk: string): void {
  vmExec(vm, ["zpool", "create", "-f", "-O", "mountpoint=none", name, disk]);
}

/** For so long a pool may be busy whose daemon has stopped: udev looks at the devices of volumes. */
const BUSY_S = 20;

/** Destroys a pool that nobody uses any more. */
export function destroyPool(vm: Vm, name: string): void {
  const isBusy = 'case "$said" in *"pool is busy"*) ;; *) false ;; esac';
  const wait = `until said=$(zpool destroy "$1" 2>&1); do
    ${isBusy} && [ $((turn += 1)) -le ${BUSY_S} ] || { echo "$said" >&2; exit 1; }
    sleep 1
  done`;
  vmExec(vm, ["sh", "-c", wait, "sh", name]);
}

/** Where Debian has its libraries, in the VM and here. */
const LIBRARIES = "/lib/x86_64-linux-gnu";

/**
 * Shows the VM's libzfs_core, and what it needs and the host lacks, to programs of the host that run inside
 * (`exec.sh -H`). @returns why they can't load it: the VM is of a release of Debian whose C
 * library is newer than the host's.
 */
export function linkLibraries(vm: Vm): string | undefined {
  const link = `for file in ${LIBRARIES}/*.so*; do
    [ -e /mnt/host/usr$file ] || ln -sf /.vm$file /mnt/host/usr$file
  done`;
  vmExec(vm, ["sh", "-c", link]);
  const argv = ["-H", "ldd", `/usr${LIBRARIES}/libzfs_core.so.3`];
  const { status, stdout, stderr } = spawnSync(vm.exec, argv, {
    env: { ...process.env, OPENZFS_VM_RUN: vm.run },
    input: "",
    encoding: "utf8",
  });
  const missing = (stdout + stderr).split("\n").find((line) => line.includes("not found"));
  if (status === 0 && missing === undefined) return undefined;
  return `the VM's libzfs_core doesn't load here: ${(missing ?? stderr).trim()}`;
}
