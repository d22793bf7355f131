import { createCipheriv, createHash } from "node:crypto";
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type DaemonProcess, startDaemonProcess } from "../support/daemon.js";
import { descendantsOf } from "../support/processes.js";
import { call, must, type Snapshots, type Volumes } from "../support/rpc.js";
import { isAlive, until } from "../support/until.js";

interface Job {
  readonly id: string;
  readonly state: string;
  readonly phase: string | null;
  readonly dataset: string;
  readonly bytes: number;
  readonly totalBytes: number | null;
  readonly failure: { readonly code: string; readonly message: string } | null;
  readonly result?: Volumes;
}

const MIB = 1024 * 1024;
const DATA_MIB = 160;
/** The processes of a copy, by what their command lines begin with. */
const PROCESSES = {
  send: String.raw`^\S+ \S+/embedded/send-process\.js`,
  receive: String.raw`^\S+ \S+/embedded/receive-process\.js`,
  copy: String.raw`^\S+ \S+/streams/copy-process\.js`,
};

describe("a copy of a volume", () => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-copies-"));
  const poolFolder = join(folder, "tank");
  let daemon: DaemonProcess;

  const start = () =>
    startDaemonProcess({
      ...{ listen: { port: 0 }, dataDir: join(folder, "data"), timeouts: { graceMs: 200 } },
      pools: [{ name: "tank", driver: "embedded", folder: poolFolder }],
    });

  beforeAll(async () => {
    daemon = await start();
    const { volumes } = await must<Volumes>(daemon.url, "CreateVolume", { id: "big", size: DATA_MIB });
    const cipher = createCipheriv("aes-128-ctr", Buffer.alloc(16, 1), Buffer.alloc(16, 2));
    const file = openSync(String(volumes[0]?.device), "r+");
    for (let at = 0; at < DATA_MIB; at++) writeSync(file, cipher.update(Buffer.alloc(MIB)), 0, MIB, at * MIB);
    closeSync(file);
  });
  afterAll(async () => {
    await daemon?.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  beforeEach(async () => expect(await leftovers()).toEqual(NOTHING));

  const NOTHING = { volumes: ["tank/big"], snapshots: [], files: 1, incoming: [], sockets: [] };
  /** What there is beside the source. */
  async function leftovers() {
    const { volumes } = await must<Volumes>(daemon.url, "ListVolumes", {});
    const { snapshots } = await must<Snapshots>(daemon.url, "ListSnapshots", {});
    return {
      volumes: volumes.map(({ id }) => id),
      snapshots: snapshots.map(({ id }) => id),
      files: readdirSync(join(poolFolder, "volumes")).length,
      incoming: readdirSync(join(poolFolder, "incoming")),
      sockets: readdirSync(join(folder, "data")).filter((name) => name.startsWith(".copy-")),
    };
  }
  const jobOf = async (method: string, params: object): Promise<Job> => {
    const { jobs } = await must<{ readonly jobs: readonly Job[] }>(daemon.url, method, params);
    if (!jobs[0]) throw new Error(`${method}: no job`);
    return jobs[0];
  };

  /** Begins a copy, and stops its send as soon as there is one. @returns its job, and its processes. */
  async function beginStopped() {
    const job = await jobOf("CopyVolume", { id: "big", dest: "copy", background: true });
    const pidsOf = (pattern: string) => descendantsOf(daemon.pid, pattern);
    await until("the send runs", () => {
      const [pid] = pidsOf(PROCESSES.send);
      if (pid !== undefined) process.kill(pid, "SIGSTOP");
      return pid !== undefined && pidsOf(PROCESSES.receive).length > 0;
    });
    const [send = 0] = pidsOf(PROCESSES.send);
    const [receive = 0] = pidsOf(PROCESSES.receive);
    const [copy = 0] = pidsOf(PROCESSES.copy);
    return { job, pids: { send, receive, copy } };
  }

  test("is a job that tells how far it is; until its end it has no name, and its source can't go", async () => {
    const { job, pids } = await beginStopped();
    expect(job).toMatchObject({ dataset: "tank/big", endedAt: null });
    expect((await call(daemon.url, "GetVolume", { id: "copy" })).error).toBe("not found");
    const { snapshots } = await must<Snapshots>(daemon.url, "ListSnapshots", {});
    expect(snapshots.map(({ id }) => id)).toEqual([
      expect.stringMatching(/^tank\/big@imagestore-copy-[0-9a-f]{16}$/),
    ]);
    expect((await call(daemon.url, "DeleteDataset", { id: "big" })).error).toContain("is held by a download");
    expect((await call(daemon.url, "CopyVolume", { id: "big", dest: "copy" })).error).toBe(
      "another copy to tank/copy is under way",
    );
    process.kill(pids.send, "SIGCONT");
    await until("bytes are told", async () => (await jobOf("GetJob", { id: job.id })).bytes > 0);
    const ended = await jobOf("WaitJob", { id: job.id });
    expect(ended).toMatchObject({ state: "done", result: { volumes: [{ id: "tank/copy" }] } });
    expect(ended.bytes).toBeGreaterThanOrEqual(DATA_MIB * MIB * 0.5);
    expect(ended.totalBytes).toBeGreaterThanOrEqual(DATA_MIB * MIB);
    const digest = (id: string) =>
      createHash("sha256")
        .update(readFileSync(join(poolFolder, "zvol", "tank", id)))
        .digest("hex");
    expect(digest("copy")).toBe(digest("big"));
    await must(daemon.url, "DeleteDataset", { id: "copy" });
  });

  test("that is cancelled ends its processes and leaves nothing", async () => {
    const { job, pids } = await beginStopped();
    const ended = await jobOf("CancelJob", { id: job.id });
    expect(ended).toMatchObject({ state: "cancelled", failure: { code: "job.cancelled" } });
    for (const pid of Object.values(pids)) await until("it has ended", () => !isAlive(pid));
    expect(await leftovers()).toEqual(NOTHING);
  });

  test.each(["send", "receive", "copy"] as const)(
    "whose %s process is killed fails and leaves nothing",
    async (which) => {
      const { job, pids } = await beginStopped();
      process.kill(pids[which], "SIGKILL");
      if (which !== "send") process.kill(pids.send, "SIGCONT");
      const ended = await jobOf("WaitJob", { id: job.id });
      expect(ended.state).toMatch(/failed|interrupted/);
      expect(ended.failure?.code).toBe("service.interrupted");
      for (const pid of Object.values(pids)) await until("it has ended", () => !isAlive(pid));
      expect(await leftovers()).toEqual(NOTHING);
    },
  );

  test("whose daemon is killed ends, and the next start leaves nothing of it", async () => {
    const { pids } = await beginStopped();
    daemon.process.kill("SIGKILL");
    await daemon.exited;
    for (const pid of Object.values(pids)) await until("it has ended", () => !isAlive(pid));
    daemon = await start();
    expect(await leftovers()).toEqual(NOTHING);
  });

  test.each([
    "actor.driver.snapshot.begin#1",
    "actor.driver.snapshot.end#1",
    "actor.driver.hold.end#1",
    "actor.driver.setProperties.end#1",
    "actor.driver.rename.begin#1",
  ])("whose daemon is killed at %s leaves nothing after the next start", async (point) => {
    await daemon.stop();
    const trace = join(folder, "trace");
    for (const file of [trace, `${trace}.acted`]) rmSync(file, { force: true });
    const doomed = await startDaemonProcess(
      {
        ...{ listen: { port: 0 }, dataDir: join(folder, "data") },
        pools: [{ name: "tank", driver: "embedded", folder: poolFolder }],
      },
      { IMAGESTORE_TRACE: trace, IMAGESTORE_TRACE_FAULT: `${point}:kill` },
    );
    await must(doomed.url, "CopyVolume", { id: "big", dest: "copy" }).catch(() => {});
    expect(await doomed.exited).toBeNull();
    daemon = await start();
    expect(await leftovers()).toEqual(NOTHING);
  });

  test("that a stop of the daemon meets leaves nothing", async () => {
    await beginStopped();
    await daemon.stop();
    daemon = await start();
    expect(await leftovers()).toEqual(NOTHING);
  });
});
