import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { ZVOL_DEVICES } from "../../src/protocol/storage/names.js";
import { CLI, type DaemonProcess, freePort, startDaemonProcess, vmPool } from "./daemon.js";
import type { Target } from "./target.js";
import { acquireVm, createPool } from "./vm.js";

const LIMITS = { numFetchers: 2, maxPending: 2, bodyLimitBytes: 1024 * 1024, batchLength: 100 };

const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });

/** A server that runs already. The environment describes it. */
function targetFromEnvironment(url: string): Target {
  const {
    IMAGESTORE_POOLS_UNDER_TEST: pools = "",
    IMAGESTORE_IMAGE_PORT,
    IMAGESTORE_SOURCE_PORT,
    IMAGESTORE_TOKEN,
    IMAGESTORE_DEVICES = `${ZVOL_DEVICES},${ZVOL_DEVICES}`,
  } = process.env;
  const [first, second] = pools.split(",");
  const [devices = "", others = devices] = IMAGESTORE_DEVICES.split(",");
  if (!first || !second) throw new Error("set IMAGESTORE_POOLS_UNDER_TEST to two pools: a,b");
  return {
    url: url.replace(/\/$/, ""),
    pools: [first, second],
    imageServicePort: Number(IMAGESTORE_IMAGE_PORT),
    sourcePort: Number(IMAGESTORE_SOURCE_PORT),
    devices: [devices, others],
    headers: IMAGESTORE_TOKEN ? bearer(IMAGESTORE_TOKEN) : {},
    ...LIMITS,
  };
}

/** Starts a daemon on two pools, with the settings that the suite needs. */
async function startTarget(
  pools: readonly [PoolConfiguration, PoolConfiguration],
  transport: "auto" | "uws" | "node",
  devices: readonly [string, string],
  env: NodeJS.ProcessEnv,
  identity?: Identity,
): Promise<{ target: Target; daemon: DaemonProcess }> {
  const [port, imageServicePort, sourcePort] = [await freePort(), await freePort(), await freePort()];
  const daemon = await startDaemonProcess(
    {
      listen: { host: "127.0.0.1", port, transport },
      pools,
      imageService: `127.0.0.1:${imageServicePort}`,
      imageSources: [`127.0.0.1:${sourcePort}`],
      numFetchers: LIMITS.numFetchers,
      maxPending: LIMITS.maxPending,
      limits: { bodyBytes: LIMITS.bodyLimitBytes, batchLength: LIMITS.batchLength },
      timeouts: { fetchIdleMs: 5_000 },
      log: { level: process.env.IMAGESTORE_TEST_LOG ?? "warn" },
      ...(identity && { auth: { tokens: identity.file } }),
    },
    env,
  );
  const names = [pools[0].name, pools[1].name] as const;
  const headers = identity ? bearer(identity.token) : {};
  const target = { url: daemon.url, pools: names, imageServicePort, sourcePort, devices, headers, ...LIMITS };
  return { target, daemon };
}

/** A file of tokens, and one of them, which may do everything. */
interface Identity {
  readonly file: string;
  readonly token: string;
}

function createIdentity(folder: string): Identity {
  const file = join(folder, "tokens.json");
  const argv = [CLI, "token", "create", "--tokens", file, "--label", "conformance", "--role", "admin"];
  return { file, token: execFileSync(process.execPath, argv, { encoding: "utf8" }).trim() };
}

type PoolConfiguration = Readonly<Record<string, unknown>> & { readonly name: string };

async function stopTarget(daemon: DaemonProcess, name: string): Promise<void> {
  const status = await daemon.stop();
  const log = daemon.log();
  if (log !== "") process.stderr.write(`--- log of the ${name} daemon\n${log}`);
  if (status !== 0) throw new Error(`the ${name} daemon ended with status ${status}`);
}

/**
 * The set-up of a conformance project: a daemon on two pools of the VM, or the server of IMAGESTORE_URL.
 * @param name what the pools' names begin with.
 */
export async function setUpConformance(
  project: TestProject,
  name: string,
  transport: "uws" | "node",
  disks: readonly [string, string],
): Promise<() => Promise<void>> {
  const url = process.env.IMAGESTORE_URL;
  if (url) {
    project.provide("target", targetFromEnvironment(url));
    return async () => {};
  }
  const { vm, release } = await acquireVm();
  if ("skip" in vm) {
    process.stderr.write(`conformance-${name} is skipped: ${vm.skip}\n`);
    project.provide("target", vm);
    return async () => release();
  }
  const names = [`${name}a`, `${name}b`] as const;
  createPool(vm, names[0], disks[0]);
  createPool(vm, names[1], disks[1]);
  const pools = [vmPool(vm, names[0]), vmPool(vm, names[1])] as const;
  const { target, daemon } = await startTarget(pools, transport, [ZVOL_DEVICES, ZVOL_DEVICES], {
    OPENZFS_VM_RUN: vm.run,
  });
  project.provide("target", target);
  return () => stopTarget(daemon, name).finally(release);
}

/** Enough for the suite's largest disks, and the same on every machine. */
const EMBEDDED_QUOTA_BYTES = 4 * 1024 ** 3;

/** The set-up of a conformance project that needs no OpenZFS: a daemon on two pools in folders. */
export async function setUpEmbedded(
  project: TestProject,
  transport: "auto" | "uws" | "node",
  { withToken = false } = {},
): Promise<() => Promise<void>> {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  const pool = (name: string) => ({
    name,
    driver: "embedded",
    folder: join(folder, name),
    quotaBytes: EMBEDDED_QUOTA_BYTES,
  });
  const pools = [pool("tank"), pool("dozer")] as const;
  const devices = [join(pools[0].folder, "zvol"), join(pools[1].folder, "zvol")] as const;
  const { target, daemon } = await startTarget(
    pools,
    transport,
    devices,
    {},
    withToken ? createIdentity(folder) : undefined,
  );
  project.provide("target", target);
  return () => stopTarget(daemon, "embedded").finally(() => rmSync(folder, { recursive: true, force: true }));
}
