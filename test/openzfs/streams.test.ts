import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { get, type IncomingMessage } from "node:http";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { type DaemonProcess, startDaemonProcess, vmPool } from "../support/daemon.js";
import { leftOut } from "../support/long-tests.js";
import { call, must, type Snapshots, type Volumes } from "../support/rpc.js";
import { transportNames } from "../support/transports.js";
import { until } from "../support/until.js";
import { createPool, destroyPool, fillVolume, type Vm, vmExec } from "../support/vm.js";

const vm = inject("vm");
const POOL = "streams";
const MIB = 1024 * 1024;
const VOLUME_MIB = 24;
const RSS_LIMIT_MIB = 250;
const SLOW_BYTES_PER_S = MIB;

/** RSS of a process in MiB, from /proc. */
function rssMib(pid: number): number {
  const found = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(found?.[1]) / 1024;
}

/** The running `zfs send` commands of a daemon. Children hang at the thread that started them. */
function sendsOf(pid: number): number[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((tid) =>
    readFileSync(`/proc/${pid}/task/${tid}/children`, "utf8").split(" "),
  );
  return children.filter((word) => word !== "" && commandLine(word).includes("send")).map(Number);
}

/** "" when the process is gone. */
function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return "";
  }
}

function open(url: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    get(url, { agent: false }, resolve).once("error", reject);
  });
}

/** Reads a body at `bytesPerS` at most. @returns its SHA-256. */
async function digest(response: IncomingMessage, bytesPerS = Number.POSITIVE_INFINITY): Promise<string> {
  const hash = createHash("sha256");
  const startedAt = performance.now();
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    hash.update(chunk);
    size += chunk.length;
    const aheadMs = (size / bytesPerS) * 1000 - (performance.now() - startedAt);
    if (aheadMs > 0) await new Promise((resolve) => setTimeout(resolve, aheadMs));
  }
  return hash.digest("hex");
}

/** SHA-256 of what `zfs send` writes in the VM. */
function digestOfSend(running: Vm, snapshot: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const hash = createHash("sha256");
    const child = spawn(running.exec, ["zfs", "send", snapshot], {
      env: { ...process.env, OPENZFS_VM_RUN: running.run },
      stdio: ["ignore", "pipe", "inherit"],
    });
    child.stdout.on("data", (chunk: Buffer) => hash.update(chunk));
    child.on("close", (code) =>
      code === 0 ? resolve(hash.digest("hex")) : reject(new Error(`status ${code}`)),
    );
  });
}

/** Pools in folders try both, whatever LONG_TESTS says. */
const tried = leftOut === undefined ? transportNames : transportNames.slice(0, 1);
if (leftOut !== undefined) console.info(`skipped: downloads over ${transportNames.slice(1)}: ${leftOut}`);

describe.skipIf("skip" in vm).each(tried)("downloads over %s", (transport) => {
  const running = vm as Vm;
  const id = "guests/big/disk";
  let daemon: DaemonProcess;
  let reference: string;

  beforeAll(async () => {
    createPool(running, POOL, "/dev/vdg");
    daemon = await startDaemonProcess(
      {
        listen: { port: 0, transport },
        pools: [vmPool(running, POOL)],
        // Longer than anything that the other cases do while their client takes nothing.
        timeouts: { stalledReaderMs: 15_000 },
        log: { level: "error" },
      },
      { OPENZFS_VM_RUN: running.run },
    );
    await must<Volumes>(daemon.url, "CreateVolume", { id, size: VOLUME_MIB });
    fillVolume(running, `${POOL}/${id}`, VOLUME_MIB - 1);
    await must<Snapshots>(daemon.url, "CreateSnapshot", { id, dest: "s" });
    reference = await digestOfSend(running, `${POOL}/${id}@s`);
  });
  afterAll(async () => {
    const status = await daemon?.stop();
    destroyPool(running, POOL);
    expect(daemon.log()).toBe("");
    expect(status).toBe(0);
  });

  const url = () => `${daemon.url}/snapshots/download?id=${id}@s`;
  const holds = () => vmExec(running, ["zfs", "holds", "-H", `${POOL}/${id}@s`]).trim();

  test("eight at once, one of them at 1 MB/s: right bytes, flat memory, and calls are answered", async () => {
    const responses = await Promise.all(Array.from({ length: 8 }, () => open(url())));
    let highestMib = 0;
    const watch = setInterval(() => {
      highestMib = Math.max(highestMib, rssMib(daemon.pid));
    }, 100);
    const slowBytesPerS = SLOW_BYTES_PER_S;
    const digests = responses.map((response, index) =>
      digest(response, index === 0 ? slowBytesPerS : undefined),
    );
    const answered = await call(daemon.url, "GetImage", { id: "none" });
    expect(answered.error).toBe("not found");
    const { snapshots } = await must<Snapshots>(daemon.url, "GetSnapshot", { id: `${id}@s` });
    expect(snapshots[0]?.id).toBe(`${POOL}/${id}@s`);
    expect(await Promise.all(digests)).toEqual(Array(8).fill(reference));
    clearInterval(watch);
    process.stdout.write(
      `${transport}: highest RSS with 8 downloads of ${VOLUME_MIB} MiB: ${Math.round(highestMib)} MiB\n`,
    );
    expect(highestMib).toBeLessThan(RSS_LIMIT_MIB);
    await until("every hold is released", () => holds() === "");
  });

  test("a client that goes away ends its send and the hold at once", async () => {
    const response = await open(url());
    await new Promise((resolve) => response.once("readable", resolve));
    expect(sendsOf(daemon.pid)).toHaveLength(1);
    expect(holds()).toContain("imagestore:");
    response.destroy();
    await until("the send is gone", () => sendsOf(daemon.pid).length === 0, 10_000);
    await until("the hold is released", () => holds() === "");
  });

  test("a snapshot can't be deleted while it is downloaded, and can afterwards", async () => {
    await must<Snapshots>(daemon.url, "CreateSnapshot", { id, dest: "held" });
    const response = await open(`${daemon.url}/snapshots/download?id=${id}@held`);
    await new Promise((resolve) => response.once("readable", resolve));
    const refused = await call(daemon.url, "DeleteSnapshot", { id: `${id}@held` });
    expect(refused.error).toContain("is held");
    await digest(response);
    await until("it can be deleted", async () => {
      const deleted = await call(daemon.url, "DeleteSnapshot", { id: `${id}@held` });
      return deleted.error === null;
    });
  });

  test("a send that is killed resets the connection", async () => {
    const response = await open(url());
    await new Promise((resolve) => response.once("readable", resolve));
    const [send] = sendsOf(daemon.pid);
    process.kill(send as number, "SIGKILL");
    await expect(digest(response)).rejects.toThrow(/aborted|ECONNRESET|socket hang up/);
    await until("the hold is released", () => holds() === "");
  });

  test("a reader that takes nothing for longer than stalledReaderMs is cut off", async () => {
    const response = await open(url());
    await new Promise((resolve) => response.once("readable", resolve));
    await until("the send is gone", () => sendsOf(daemon.pid).length === 0, 60_000);
    await expect(digest(response)).rejects.toThrow(/aborted|ECONNRESET|socket hang up/);
    await until("the hold is released", () => holds() === "");
  });
});
