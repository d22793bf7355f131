import type { TestProject } from "vitest/node";
import { type DaemonProcess, freePort, startDaemonProcess, vmPool } from "./daemon.js";
import type { Target } from "./target.js";
import { acquireVm, createPool, type Vm } from "./vm.js";

const NUM_FETCHERS = 2;
const MAX_PENDING = 2;
const BODY_LIMIT_BYTES = 1024 * 1024;
const BATCH_LENGTH = 100;

/** A server that somebody else runs, described by the environment. */
function targetFromEnvironment(url: string): Target {
  const {
    IMAGESTORE_POOLS_UNDER_TEST: pools = "",
    IMAGESTORE_IMAGE_PORT,
    IMAGESTORE_SOURCE_PORT,
  } = process.env;
  const [first, second] = pools.split(",");
  if (!first || !second) throw new Error("set IMAGESTORE_POOLS_UNDER_TEST to two pools: a,b");
  return {
    url: url.replace(/\/$/, ""),
    pools: [first, second],
    imageServicePort: Number(IMAGESTORE_IMAGE_PORT),
    sourcePort: Number(IMAGESTORE_SOURCE_PORT),
    numFetchers: NUM_FETCHERS,
    maxPending: MAX_PENDING,
    bodyLimitBytes: BODY_LIMIT_BYTES,
    batchLength: BATCH_LENGTH,
  };
}

async function startTarget(
  vm: Vm,
  transport: "uws" | "node",
  disks: readonly [string, string],
): Promise<{ target: Target; daemon: DaemonProcess }> {
  const pools = [`${transport}a`, `${transport}b`] as const;
  createPool(vm, pools[0], disks[0]);
  createPool(vm, pools[1], disks[1]);
  const [port, imageServicePort, sourcePort] = [await freePort(), await freePort(), await freePort()];
  const daemon = await startDaemonProcess(
    {
      listen: { host: "127.0.0.1", port, transport },
      pools: pools.map((name) => vmPool(vm, name)),
      imageService: `127.0.0.1:${imageServicePort}`,
      imageSources: [`127.0.0.1:${sourcePort}`],
      numFetchers: NUM_FETCHERS,
      maxPending: MAX_PENDING,
      limits: { bodyBytes: BODY_LIMIT_BYTES, batchLength: BATCH_LENGTH },
      timeouts: { fetchIdleMs: 5_000 },
      log: { level: process.env.IMAGESTORE_TEST_LOG ?? "warn" },
    },
    { OPENZFS_VM_RUN: vm.run },
  );
  const target = {
    url: daemon.url,
    pools,
    imageServicePort,
    sourcePort,
    numFetchers: NUM_FETCHERS,
    maxPending: MAX_PENDING,
    bodyLimitBytes: BODY_LIMIT_BYTES,
    batchLength: BATCH_LENGTH,
  };
  return { target, daemon };
}

/** The set-up of a conformance project: a daemon on two pools of the VM, or the server of IMAGESTORE_URL. */
export async function setUpConformance(
  project: TestProject,
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
    process.stderr.write(`conformance-${transport} is skipped: ${vm.skip}\n`);
    project.provide("target", vm);
    return async () => release();
  }
  const { target, daemon } = await startTarget(vm, transport, disks);
  project.provide("target", target);
  return async () => {
    const status = await daemon.stop();
    const log = daemon.log();
    if (log !== "") process.stderr.write(`--- log of the ${transport} daemon\n${log}`);
    release();
    if (status !== 0) throw new Error(`the ${transport} daemon ended with status ${status}`);
  };
}
