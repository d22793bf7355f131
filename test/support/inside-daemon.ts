import { spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import { CLI, freePort, nodeFlagsOf } from "./daemon.js";
import { linkLibraries, type Vm, vmExec } from "./vm.js";

/** A daemon that runs in the VM, beside the pools, with the machine's Node. */
export interface InsideDaemon {
  /** Reaches it from the machine. */
  readonly url: string;
  /** Its process id, in the VM. */
  readonly pid: number;
  /** What it has written to stderr. */
  log(): string;
  /** Sends SIGTERM and waits. Fails if it does not end with 0. */
  stop(): Promise<void>;
}

/** Adds a forward of a port to the VM's connection, or takes it away. */
function forward(vm: Vm, verb: "forward" | "cancel", port: number): void {
  const to = `127.0.0.1:${port}:127.0.0.1:${port}`;
  const options = ["-F", "none", "-S", join(vm.run, "ssh"), "-O", verb, "-L", to, "root@127.0.0.1"];
  const { status, stderr } = spawnSync("ssh", options, { encoding: "utf8" });
  if (status !== 0) throw new Error(`ssh -O ${verb} ${to}: ${stderr}`);
}

/** Starts `imagestore serve` in the VM and waits until it listens. Rejects with its log if it ends before. */
export async function startInsideVm(
  vm: Vm,
  config: Readonly<Record<string, unknown>>,
): Promise<InsideDaemon> {
  // Where it cannot load them, the daemon says so in its log, and uses commands.
  linkLibraries(vm);
  const port = await freePort();
  const folder = `/tmp/imagestore-inside-${port}`;
  const settings = { dataDir: `${folder}/data`, ...config, listen: { host: "127.0.0.1", port } };
  const script = `mkdir -p ${folder}; cat >${folder}/config.json; echo "pid $$"; exec "$@" <${folder}/config.json`;
  const serve = [process.execPath, ...nodeFlagsOf(CLI), CLI, "serve", "--config", `${folder}/config.json`];
  const child = spawn(vm.exec, ["-H", "/bin/sh", "-c", script, "sh", ...serve], {
    env: { ...process.env, OPENZFS_VM_RUN: vm.run },
  });
  let log = "";
  child.stderr.on("data", (chunk: Buffer) => {
    log += chunk.toString();
  });
  const exited = new Promise<number | null>((resolve) => child.once("close", (code) => resolve(code)));
  child.stdin.end(JSON.stringify(settings));
  const pid = await new Promise<number>((resolve, reject) => {
    let text = "";
    child.stdout.on("data", (chunk: Buffer) => {
      text += chunk.toString();
      const [, found = ""] = /^pid (\d+)\n/.exec(text) ?? [];
      if (text.includes("listening on ")) resolve(Number(found));
    });
    void exited.then((code) => reject(new Error(`the daemon in the VM ended with status ${code}: ${log}`)));
  });
  forward(vm, "forward", port);
  return {
    url: `http://127.0.0.1:${port}`,
    pid,
    log: () => log,
    stop: async () => {
      forward(vm, "cancel", port);
      vmExec(vm, ["kill", String(pid)]);
      const status = await exited;
      if (status !== 0) throw new Error(`the daemon in the VM ended with status ${status}: ${log}`);
    },
  };
}
