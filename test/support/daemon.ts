import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Vm } from "./vm.js";

export const CLI = fileURLToPath(new URL("../../dist/main/cli.js", import.meta.url));

/** The flags for Node that the first line of a script asks for, as `env -S` reads it. */
export function nodeFlagsOf(script: string): string[] {
  const [firstLine = ""] = readFileSync(script, "utf8").split("\n", 1);
  return /^#!\S+ -S node (.+)$/.exec(firstLine)?.[1]?.split(" ") ?? [];
}

/** A daemon that runs as in production: a process with a configuration file. */
export interface DaemonProcess {
  readonly url: string;
  /** Of the port for bulk downloads; "" unless one is configured. */
  readonly bulkUrl: string;
  /** Of the port with TLS, by its name; "" unless one is configured. */
  readonly tlsUrl: string;
  readonly pid: number;
  readonly process: ChildProcess;
  /** What it has written to stderr. */
  log(): string;
  /** Its exit status; null if a signal has ended it. */
  readonly exited: Promise<number | null>;
  /** Sends SIGTERM and waits. @returns the exit status. */
  stop(): Promise<number | null>;
}

/** A port of 127.0.0.1 that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      const port = typeof address === "object" && address ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}

/** The configuration of a pool in the VM. */
export function vmPool(vm: Vm, name: string): Record<string, unknown> & { readonly name: string } {
  return { name, zfsCommand: [vm.exec, "zfs"], zpoolCommand: [vm.exec, "zpool"], deviceWaitMs: 0 };
}

/**
 * Starts `imagestore serve` and waits until it listens. Rejects with its log if it ends before.
 * @param descriptors how many descriptors the process may have (`ulimit -n`); as many as the tests by default.
 */
export async function startDaemonProcess(
  config: Record<string, unknown>,
  env: NodeJS.ProcessEnv = {},
  flags: readonly string[] = [],
  descriptors?: number,
): Promise<DaemonProcess> {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  const file = join(folder, "config.json");
  writeFileSync(file, JSON.stringify({ dataDir: join(folder, "data"), ...config }));
  const argv = [process.execPath, ...nodeFlagsOf(CLI), CLI, "serve", "--config", file, ...flags];
  const [program = "", ...args] =
    descriptors === undefined ? argv : ["sh", "-c", `ulimit -n ${descriptors}; exec "$@"`, "sh", ...argv];
  const child = spawn(program, args, {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let log = "";
  child.stderr.on("data", (chunk: Buffer) => {
    log += chunk.toString();
  });
  const exited = new Promise<number | null>((resolve) => child.once("exit", (code) => resolve(code)));
  void exited.then(() => rmSync(folder, { recursive: true, force: true }));
  const { listen } = config as { listen?: { bulk?: object; tls?: object } };
  const [url, bulkUrl, tlsUrl] = await new Promise<[string, string, string]>((resolve, reject) => {
    let text = "";
    child.stdout.on("data", (chunk: Buffer) => {
      text += chunk.toString();
      const [, main = ""] = /listening on (http:\S+)\n/.exec(text) ?? [];
      const [, bulk = ""] = /bulk downloads on (http:\S+)\n/.exec(text) ?? [];
      const [, tlsPort] = /with TLS on https:\S+:(\d+)\n/.exec(text) ?? [];
      const tls = tlsPort === undefined ? "" : `https://localhost:${tlsPort}`;
      const hasAll = (bulk !== "" || !listen?.bulk) && (tls !== "" || !listen?.tls);
      if (main !== "" && hasAll) resolve([main, bulk, tls]);
    });
    // Not at its exit: its last lines may still be in the pipe then.
    child.once("close", (code) => reject(new Error(`the daemon ended with status ${code}: ${log}`)));
  });
  return {
    url,
    bulkUrl,
    tlsUrl,
    pid: child.pid as number,
    process: child,
    log: () => log,
    exited,
    stop: async () => {
      if (child.exitCode === null) child.kill("SIGTERM");
      return exited;
    },
  };
}
