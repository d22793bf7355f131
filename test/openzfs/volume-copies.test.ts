import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { type DaemonProcess, startDaemonProcess, vmPool } from "../support/daemon.js";
import { descendantsOf } from "../support/processes.js";
import { must, type Volumes } from "../support/rpc.js";
import { isAlive, until } from "../support/until.js";
import { createPool, destroyPool, fillVolume, type Vm, vmExec } from "../support/vm.js";

interface Jobs {
  readonly jobs: readonly { readonly id: string; readonly state: string }[];
}

const vm = inject("vm");
const POOL = "copies";
const SIZE_MIB = 64;

describe.skipIf("skip" in vm)("a copy of a volume", () => {
  const running = vm as Vm;
  const zfs = (...args: string[]) => vmExec(running, ["zfs", ...args]);
  const all = () => zfs("list", "-Hr", "-t", "all", "-o", "name,userrefs", POOL);
  const folder = mkdtempSync(join(tmpdir(), "imagestore-copies-"));
  let daemon: DaemonProcess;
  const start = () =>
    startDaemonProcess(
      { listen: { port: 0 }, pools: [vmPool(running, POOL)], dataDir: join(folder, "data") },
      { OPENZFS_VM_RUN: running.run },
    );
  const digestOf = (name: string) => {
    const device = `/dev/zvol/${POOL}/${name}`;
    return vmExec(running, ["sh", "-c", `until [ -b ${device} ]; do sleep 0.1; done; sha256sum <${device}`]);
  };

  beforeAll(async () => {
    createPool(running, POOL, "/dev/vdj");
    daemon = await start();
    const asked = {
      id: "big",
      size: SIZE_MIB,
      volblocksize: 8192,
      provisioning: "thick",
      tags: { owner: "ada" },
    };
    await must<Volumes>(daemon.url, "CreateVolume", asked);
    await must(daemon.url, "SetVolume", { id: "big", compression: "zle", sync: "always" });
    fillVolume(running, `${POOL}/big`, SIZE_MIB / 2);
  });
  afterAll(async () => {
    await daemon?.stop();
    destroyPool(running, POOL);
    rmSync(folder, { recursive: true, force: true });
  });

  test("has its data and its settings, and shares nothing with it", async () => {
    await must(daemon.url, "CopyVolume", { id: "big", dest: "guests/g/copy" });
    expect(digestOf("guests/g/copy")).toBe(digestOf("big"));
    const names = "volblocksize,compression,sync,readonly,tag:owner,origin";
    const settings = (name: string) => zfs("get", "-Hp", "-o", "property,value", names, `${POOL}/${name}`);
    expect(settings("guests/g/copy")).toBe(settings("big"));
    const reserved = Number(zfs("get", "-Hp", "-o", "value", "refreservation", `${POOL}/guests/g/copy`));
    expect(reserved).toBeGreaterThanOrEqual(SIZE_MIB * 2 ** 20);
    expect(zfs("list", "-Hr", "-t", "snapshot", POOL)).toBe("");
    const device = `/dev/zvol/${POOL}/guests/g/copy`;
    vmExec(running, ["sh", "-c", `dd if=/dev/zero of=${device} bs=1M count=1 conv=fsync`]);
    expect(digestOf("guests/g/copy")).not.toBe(digestOf("big"));
    await must(daemon.url, "DeleteDataset", { id: "guests/g" });
  });

  /** Begins a copy, and stops its send in the midst: one that has sent nothing yet would leave nothing to look for. */
  async function beginStopped() {
    const { jobs } = await must<Jobs>(daemon.url, "CopyVolume", {
      id: "big",
      dest: "copy",
      background: true,
    });
    // The commands are what the copy process has started: the ends of their connections to the VM.
    const copies = () => descendantsOf(daemon.pid, String.raw`^\S+ \S+/streams/copy-process\.js`);
    const below = (pattern: string) => copies().flatMap((pid) => descendantsOf(pid, pattern));
    await until("the pool receives", () => all().includes("/images/.partial-"));
    const [send] = below(String.raw`\bsend\b`);
    if (send === undefined) throw new Error("the copy has ended before it could be stopped");
    process.kill(send, "SIGSTOP");
    return { id: jobs[0]?.id, pids: [...copies(), ...below("")] };
  }

  test("that is cancelled leaves nothing", async () => {
    const before = all();
    const { id, pids } = await beginStopped();
    const { jobs } = await must<Jobs>(daemon.url, "CancelJob", { id });
    expect(jobs[0]?.state).toBe("cancelled");
    for (const pid of pids) await until("it has ended", () => !isAlive(pid));
    expect(all()).toBe(before);
  });

  test("whose daemon is killed leaves nothing after the next start", async () => {
    const before = all();
    const { pids } = await beginStopped();
    daemon.process.kill("SIGKILL");
    await daemon.exited;
    for (const pid of pids) await until("it has ended", () => !isAlive(pid));
    daemon = await start();
    expect(all()).toBe(before);
    await must(daemon.url, "CopyVolume", { id: "big", dest: "copy" });
    expect(digestOf("copy")).toBe(digestOf("big"));
  });
});
