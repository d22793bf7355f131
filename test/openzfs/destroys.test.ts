import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { type DaemonProcess, startDaemonProcess, vmPool } from "../support/daemon.js";
import { call, must, type Volumes } from "../support/rpc.js";
import { createPool, destroyPool, type Vm, vmExec } from "../support/vm.js";

const vm = inject("vm");
const POOL = "destroys";

describe.skipIf("skip" in vm)("what destroys many datasets", () => {
  const running = vm as Vm;
  const zfs = (...args: string[]) => vmExec(running, ["zfs", ...args]);
  const below = (root: string) => zfs("list", "-Hr", "-t", "all", "-o", "name", `${POOL}/${root}`);
  let daemon: DaemonProcess;

  beforeAll(async () => {
    createPool(running, POOL, "/dev/vdj");
    daemon = await startDaemonProcess(
      { listen: { port: 0 }, pools: [vmPool(running, POOL)] },
      { OPENZFS_VM_RUN: running.run },
    );
  });
  afterAll(async () => {
    await daemon?.stop();
    destroyPool(running, POOL);
  });

  test("a dry run meets what the call would: a hold, a device that is open, clones; it names all and changes nothing", async () => {
    for (const id of ["t/one", "t/two"]) await must<Volumes>(daemon.url, "CreateVolume", { id, size: 8 });
    const device = `/dev/zvol/${POOL}/t/one`;
    const filled = `until [ -b ${device} ]; do sleep 0.1; done; dd if=/dev/urandom of=${device} bs=1M count=4`;
    vmExec(running, ["sh", "-c", `${filled} && sync && zpool sync ${POOL}`]);
    zfs("snapshot", `${POOL}/t/two@s`);
    zfs("bookmark", `${POOL}/t/two@s`, `${POOL}/t/two#b`);
    const before = zfs("list", "-Hr", "-t", "all", "-o", "name,guid", POOL);
    const dryRun = (method: string, params: object) => call(daemon.url, method, { ...params, dryRun: true });
    const { result } = await dryRun("DeleteDataset", { id: "t" });
    const { destroys } = result as { destroys: { id: string; bytes: number | null }[] };
    const names = ["t", "t/one", "t/two", "t/two#b", "t/two@s"].map((name) => `${POOL}/${name}`);
    expect(destroys.map(({ id }) => id).sort()).toEqual(names);
    expect(destroys.find(({ id }) => id.endsWith("/one"))?.bytes).toBeGreaterThanOrEqual(4 * 2 ** 20);
    zfs("hold", "somebody", `${POOL}/t/two@s`);
    for (const [method, id] of [
      ["DeleteDataset", "t"],
      ["DeleteSnapshot", "t/two@s"],
    ] as const) {
      expect((await dryRun(method, { id })).error).toContain("t/two@s is held by others");
      expect((await dryRun(method, { id })).error).toBe((await call(daemon.url, method, { id })).error);
    }
    zfs("release", "somebody", `${POOL}/t/two@s`);
    const pid = vmExec(running, ["sh", "-c", `sleep 600 <${device} >/dev/null 2>&1 & echo $!`]).trim();
    expect((await dryRun("DeleteDataset", { id: "t/one" })).error).toContain(`${POOL}/t/one is in use`);
    vmExec(running, ["kill", pid]);
    expect((await dryRun("DeleteDataset", { id: "t/one" })).error).toBeNull();
    expect(zfs("list", "-Hr", "-t", "all", "-o", "name,guid", POOL)).toBe(before);
    expect((await call(daemon.url, "DeleteDataset", { id: "t" })).error).toBeNull();
  });

  test("a rollback behind a snapshot that somebody holds is refused, names it and changes nothing", async () => {
    await must<Volumes>(daemon.url, "CreateVolume", { id: "guests/r", size: 8 });
    for (const tag of ["a", "b", "c", "d", "e"]) zfs("snapshot", `${POOL}/guests/r@${tag}`);
    zfs("hold", "somebody", `${POOL}/guests/r@c`);
    const before = below("guests/r");
    const request = { id: "guests/r@a", destroyMoreRecent: true };
    expect((await call(daemon.url, "RollbackSnapshot", request)).error).toContain("guests/r@c is held");
    expect(below("guests/r")).toBe(before);
    zfs("release", "somebody", `${POOL}/guests/r@c`);
    expect((await call(daemon.url, "RollbackSnapshot", request)).error).toBeNull();
    expect(below("guests/r")).toBe(`${POOL}/guests/r\n${POOL}/guests/r@a\n`);
  });

  test("deleting a filesystem with a held snapshot or a clone below is refused and changes nothing", async () => {
    for (const id of ["g/f/one", "g/f/two", "g/f/three"])
      await must<Volumes>(daemon.url, "CreateVolume", { id, size: 8 });
    zfs("snapshot", `${POOL}/g/f/two@s`);
    zfs("hold", "somebody", `${POOL}/g/f/two@s`);
    const before = below("g");
    expect((await call(daemon.url, "DeleteDataset", { id: "g" })).error).toContain("g/f/two@s is held");
    expect(below("g")).toBe(before);
    zfs("release", "somebody", `${POOL}/g/f/two@s`);
    zfs("clone", `${POOL}/g/f/two@s`, `${POOL}/clone`);
    expect((await call(daemon.url, "DeleteDataset", { id: "g" })).error).toContain(`clones: ${POOL}/clone`);
    expect(below("g")).toBe(before);
    zfs("destroy", `${POOL}/clone`);
    expect((await call(daemon.url, "DeleteDataset", { id: "g" })).error).toBeNull();
    expect(zfs("list", "-Hr", "-o", "name", POOL)).not.toContain(`${POOL}/g/`);
  });

  test("deleting the disks of a guest that runs is refused and changes nothing", async () => {
    const guest = { id: "busy", disks: [{ size: 8 }, { size: 8 }] };
    expect((await call(daemon.url, "CreateGuestDisks", { guest })).error).toBeNull();
    const device = `/dev/zvol/${POOL}/guests/busy/disk-1`;
    const open = `until [ -b ${device} ]; do sleep 0.1; done; sleep 600 <${device} >/dev/null 2>&1 & echo $!`;
    const pid = vmExec(running, ["sh", "-c", open]).trim();
    const refused = await call(daemon.url, "DeleteGuestsDisks", { guest });
    expect(refused.error).toContain(`${POOL}/guests/busy/disk-1 is in use`);
    expect(below("guests/busy")).toContain(`${POOL}/guests/busy/disk-0\n`);
    vmExec(running, ["kill", pid]);
    expect((await call(daemon.url, "DeleteGuestsDisks", { guest })).error).toBeNull();
  });

  test("a destroy that stops half-way all the same says what is gone", async () => {
    // A volume with a snapshot does not tell that it is open.
    for (const id of ["h/one", "h/two"]) await must<Volumes>(daemon.url, "CreateVolume", { id, size: 8 });
    zfs("snapshot", `${POOL}/h/two@s`);
    const device = `/dev/zvol/${POOL}/h/two`;
    const open = `until [ -b ${device} ]; do sleep 0.1; done; sleep 600 <${device} >/dev/null 2>&1 & echo $!`;
    const pid = vmExec(running, ["sh", "-c", open]).trim();
    const { error } = await call(daemon.url, "DeleteDataset", { id: "h" });
    expect(error).toContain("is busy; gone already: ");
    const left = below("h").trim().split("\n");
    const all = ["", "/one", "/two", "/two@s"].map((name) => `${POOL}/h${name}`);
    const gone = String(error).split("gone already: ")[1]?.split(", ");
    expect([...left, ...(gone ?? [])].sort()).toEqual(all);
    vmExec(running, ["kill", pid]);
    expect((await call(daemon.url, "DeleteDataset", { id: "h" })).error).toBeNull();
  });

  test("a held snapshot of many with its name keeps all of them", async () => {
    for (const id of ["k/one", "k/two"]) await must<Volumes>(daemon.url, "CreateVolume", { id, size: 8 });
    zfs("snapshot", "-r", `${POOL}/k@s`);
    zfs("hold", "somebody", `${POOL}/k/two@s`);
    const before = below("k");
    const request = { id: "k@s", recursive: true };
    expect((await call(daemon.url, "DeleteSnapshot", request)).error).toContain("k/two@s is held");
    expect(below("k")).toBe(before);
    zfs("release", "somebody", `${POOL}/k/two@s`);
    expect((await call(daemon.url, "DeleteSnapshot", request)).error).toBeNull();
    expect(below("k")).not.toContain("@");
  });
});
