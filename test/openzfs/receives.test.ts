import { spawnSync } from "node:child_process";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { type DaemonProcess, startDaemonProcess, vmPool } from "../support/daemon.js";
import { must } from "../support/rpc.js";
import { askReceive, receiveUrl, sendAll, sendTo } from "../support/stream-client.js";
import { until } from "../support/until.js";
import { createPool, destroyPool, type Vm, vmExec } from "../support/vm.js";

const vm = inject("vm");
const POOL = "receives";
const MIB = 1024 * 1024;
const SOURCE = "guests/source/disk";

/** Each command of the VM may take seconds on a busy machine. */
describe.skipIf("skip" in vm)("streams that clients send, on OpenZFS", { timeout: 400_000 }, () => {
  const running = vm as Vm;
  let daemon: DaemonProcess;
  let [full, increment] = [Buffer.alloc(0), Buffer.alloc(0)];

  const inVm = (script: string) => vmExec(running, ["sh", "-c", script]);
  const write = (at: number, mib: number) =>
    inVm(`until [ -b /dev/zvol/${POOL}/${SOURCE} ]; do sleep 0.1; done
      dd if=/dev/urandom of=/dev/zvol/${POOL}/${SOURCE} bs=1M seek=${at} count=${mib} conv=fsync 2>/dev/null`);
  const digest = (snapshot: string) =>
    inVm(`zfs clone '${POOL}/${snapshot}' ${POOL}/look && until [ -b /dev/zvol/${POOL}/look ]; do sleep 0.1; done
      sha256sum /dev/zvol/${POOL}/look | cut -c1-64; until zfs destroy ${POOL}/look 2>/dev/null; do sleep 0.2; done`).trim();
  const incoming = () => inVm(`zfs list -Ho name -r ${POOL} | grep incoming || true`).trim();
  const download = async (query: string) => {
    const reply = await fetch(`${daemon.url}/snapshots/download?id=${query}`);
    expect(reply.status).toBe(200);
    return Buffer.from(await reply.arrayBuffer());
  };
  const send = (id: string, body: Buffer, more = "") => sendAll(receiveUrl(daemon, id, more), body);
  const stateOf = async (id: string) => (await askReceive(receiveUrl(daemon, id))).json.receives?.[0];

  /** The stream of a token, by the VM's own zfs. */
  function restOf(token: string): Buffer {
    const { status, stdout } = spawnSync(running.exec, ["zfs", "send", "-t", token], {
      env: { ...process.env, OPENZFS_VM_RUN: running.run },
      maxBuffer: 64 * MIB,
      stdio: ["ignore", "pipe", "ignore"],
    });
    return status === 0 ? stdout : Buffer.alloc(0);
  }

  /** Sends 12 MiB of a stream of 16, and goes away. */
  async function cut(id: string): Promise<void> {
    const { request } = sendTo(receiveUrl(daemon, id), { "content-length": full.length });
    request.write(full.subarray(0, 12 * MIB));
    await until("most has come", async () => ((await stateOf(id))?.bytes ?? 0) > 11 * MIB, 120_000);
    request.destroy();
    await until("what has come is kept", async () => (await stateOf(id))?.state === "broken", 120_000);
  }

  beforeAll(async () => {
    createPool(running, POOL, "/dev/vdl");
    daemon = await startDaemonProcess(
      { listen: { port: 0 }, pools: [vmPool(running, POOL)], log: { level: "error" } },
      { OPENZFS_VM_RUN: running.run },
    );
    await must(daemon.url, "CreateVolume", { id: SOURCE, size: 32 });
    write(0, 16);
    await must(daemon.url, "CreateSnapshot", { id: SOURCE, dest: "s1" });
    write(20, 2);
    await must(daemon.url, "CreateSnapshot", { id: SOURCE, dest: "s2" });
    full = await download(`${SOURCE}@s1`);
    increment = await download(`${SOURCE}@s2&from=@s1`);
  }, 400_000);
  afterAll(async () => {
    const status = await daemon?.stop();
    destroyPool(running, POOL);
    expect(status).toBe(0);
  }, 400_000);

  test("a full stream and an increment become a volume, and a snapshot in the way goes by force alone", async () => {
    const id = "guests/copy/disk";
    const first = await send(id, full);
    expect(first).toMatchObject({
      status: 200,
      json: { received: { snapshot: `${POOL}/${id}@s1`, full: true, destroyed: [] } },
    });
    expect(digest(`${id}@s1`)).toBe(digest(`${SOURCE}@s1`));
    await must(daemon.url, "CreateSnapshot", { id, dest: "own" });
    const refused = await send(id, increment);
    expect(refused).toMatchObject({ status: 409, json: { error: { data: { reason: "dataset.diverged" } } } });
    const second = await send(id, increment, "&force=1");
    expect(second).toMatchObject({
      status: 200,
      json: { received: { full: false, destroyed: [`${POOL}/${id}@own`] } },
    });
    expect(digest(`${id}@s2`)).toBe(digest(`${SOURCE}@s2`));
    expect(incoming()).toBe("");
  });

  test("of a stream that is cut the token is told, and the rest of it ends what has come", async () => {
    const id = "guests/cut/disk";
    await cut(id);
    expect(await stateOf(id)).toMatchObject({ token: expect.stringMatching(/^1-/), resumable: true });
    const other = await send(id, full);
    expect(other).toMatchObject({ status: 409, json: { error: { data: { reason: "dataset.exists" } } } });
    // A receive that was killed behind a prefix goes on for a moment: its token may be a newer one by then.
    let rest = 0;
    await until(
      "the rest is received",
      async () => {
        const { token } = (await stateOf(id)) ?? {};
        if (typeof token !== "string") return false;
        const stream = restOf(token);
        if (stream.length === 0) return false;
        rest = stream.length;
        return (await send(id, stream)).status === 200;
      },
      200_000,
    );
    expect(rest).toBeLessThan(full.length - MIB);
    expect(await stateOf(id)).toMatchObject({ state: "none", token: null });
    expect(digest(`${id}@s1`)).toBe(digest(`${SOURCE}@s1`));
  });

  test("what has come of a stream is given up by DELETE, and no other stream goes on with it", async () => {
    const id = "guests/given-up/disk";
    await cut(id);
    const { token } = (await stateOf(id)) ?? {};
    expect(incoming()).toMatch(/^receives\/images\/\.incoming-[0-9a-f]{32}$/);
    expect((await askReceive(receiveUrl(daemon, id), "DELETE")).status).toBe(200);
    expect(await stateOf(id)).toMatchObject({ state: "none", token: null });
    expect(incoming()).toBe("");
    const late = await send(id, restOf(String(token)));
    expect(late).toMatchObject({ status: 400, json: { error: { data: { reason: "stream.invalid" } } } });
    expect(incoming()).toBe("");
  });
});
