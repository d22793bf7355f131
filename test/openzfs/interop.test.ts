import { spawn, spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createReadStream, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import type { DatasetName, PoolName, SnapshotName } from "../../src/protocol/storage/names.js";
import { bytes as sizeInBytes } from "../../src/protocol/storage/units.js";
import { createActorLog } from "../../src/protocol/threads/actor-log.js";
import type { Zfs } from "../../src/workers/drivers/driver.js";
import { CLI } from "../support/daemon.js";
import { createPool, destroyPool, type Vm, vmExec } from "../support/vm.js";

type EmbeddedModule = typeof import("../../src/workers/drivers/embedded/embedded-driver.js");

const vm = inject("vm");
const POOL = "interop";
const MIB = 1_048_576;

/** Where the volumes have their data: at the beginning, and at the end. */
const HEAD_BYTES = 6 * MIB;
const TAIL_BYTES = 4096;

/** What `zfs send` may be asked for, and the volume that is sent. */
const SENDS: [title: string, flags: string, volume: string][] = [
  ["plain", "", "mixed"],
  ["compressed", "-c", "mixed"],
  ["with large blocks", "-L", "large"],
  ["with embedded blocks", "-e", "mixed"],
  ["with everything", "-L -c -e", "large"],
  ["of a sparse volume of 1 GiB", "-c", "sparse"],
];

describe.skipIf("skip" in vm)("streams between OpenZFS and embedded pools", () => {
  const running = vm as Vm;
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  let zfs: Zfs;

  const inVm = (script: string) => vmExec(running, ["sh", "-ec", script]);
  const vmSha256 = (device: string) =>
    inVm(`(head -c ${HEAD_BYTES} ${device}; tail -c ${TAIL_BYTES} ${device}) | sha256sum`).split(" ")[0];
  /** Of head and tail; between them there must be nothing but zeros. */
  const sha256 = async (path: string): Promise<string> => {
    const { size } = statSync(path);
    const hash = createHash("sha256");
    const zeros = Buffer.alloc(MIB);
    let at = 0;
    for await (const chunk of createReadStream(path, { highWaterMark: MIB }) as AsyncIterable<Buffer>) {
      const head = Math.min(chunk.length, Math.max(0, HEAD_BYTES - at));
      const tail = Math.max(head, Math.min(chunk.length, size - TAIL_BYTES - at));
      expect(chunk.subarray(head, tail).equals(zeros.subarray(0, tail - head))).toBe(true);
      hash.update(chunk.subarray(0, head)).update(chunk.subarray(tail));
      at += chunk.length;
    }
    return hash.digest("hex");
  };
  /** Runs argv with a file as its stdin or stdout. */
  const through = (argv: readonly string[], files: { input?: string; output?: string }) => {
    const [program = "", ...args] = argv;
    const { status, stdout, stderr } = spawnSync(program, args, {
      env: { ...process.env, OPENZFS_VM_RUN: running.run },
      input: files.input === undefined ? "" : readFileSync(files.input),
      maxBuffer: 256 * MIB,
    });
    if (files.output !== undefined) writeFileSync(files.output, stdout);
    return { status, stderr: stderr.toString() };
  };
  const send = (args: string, name: string): string => {
    const output = join(folder, name);
    const { status, stderr } = through([running.exec, "sh", "-c", `zfs send ${args}`], { output });
    expect(status, stderr).toBe(0);
    return output;
  };
  const receive = async (target: string, input: string) => {
    const name = target as DatasetName;
    const [program = "", ...args] = zfs.receiveCommand(name, {});
    // Not spawnSync: the driver in this process grants the room that the receive asks for.
    const receiver = spawn(program, args, { stdio: ["pipe", "ignore", "pipe"] });
    receiver.stdin.on("error", () => {});
    receiver.stdin.end(readFileSync(input));
    let stderr = "";
    receiver.stderr.on("data", (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    const [status] = await once(receiver, "close");
    if (status !== 0) return stderr;
    const finished = await zfs.finishReceive(name);
    return finished.ok ? "" : finished.failure.message;
  };
  const device = (target: string) => join(zfs.devices, target);

  beforeAll(async () => {
    createPool(running, POOL, "/dev/vdl");
    const { openEmbeddedZfs } = (await import(
      new URL("../../compiled/workers/drivers/embedded/embedded-driver.js", import.meta.url).pathname
    )) as EmbeddedModule;
    const log = createActorLog(() => {}, false);
    const opened = await openEmbeddedZfs(
      { name: "tank" as PoolName, driver: "embedded", folder: join(folder, "pool") },
      log,
    );
    if (!opened.ok) throw new Error(opened.failure.message);
    zfs = opened.value;
    // Noise, text that compresses, a block small enough to be embedded, holes, and the end of the volume.
    const fill = (device: string) => `
      until [ -b ${device} ]; do sleep 0.1; done
      dd if=/dev/urandom of=${device} bs=64k count=9 conv=notrunc
      yes 'the quick brown fox' | head -c 1000000 | dd of=${device} bs=1M seek=2 conv=notrunc
      echo tiny | dd of=${device} bs=1M seek=5 conv=notrunc
      dd if=/dev/urandom of=${device} bs=4k seek=$(($(blockdev --getsize64 ${device}) / 4096 - 1)) count=1 conv=notrunc,fsync`;
    inVm(`
      zfs create -s -V 32m -o compression=lz4 ${POOL}/mixed
      zfs create -s -V 32m -o compression=lz4 -o volblocksize=128k ${POOL}/large
      zfs create -s -V 1g -o compression=lz4 ${POOL}/sparse
      ${["mixed", "large", "sparse"].map((name) => fill(`/dev/zvol/${POOL}/${name}`)).join("\n")}
      sync
      zfs snapshot ${POOL}/mixed@1 ${POOL}/large@1 ${POOL}/sparse@1`);
  }, 300_000);
  afterAll(async () => {
    await zfs?.close();
    destroyPool(running, POOL);
    rmSync(folder, { recursive: true, force: true });
  });

  test.each(SENDS)(
    "a stream %s is taken by an embedded pool, byte for byte",
    async (title, flags, volume) => {
      const target = `tank/images/${title.replaceAll(" ", "-")}`;
      const file = send(`${flags} ${POOL}/${volume}@1`, "full.zfs");
      expect(await receive(target, file)).toBe("");
      expect(await sha256(device(target))).toBe(vmSha256(`/dev/zvol/${POOL}/${volume}`));
      const found = await zfs.find(`${target}@1` as SnapshotName);
      const guid = inVm(`zfs get -Hp -o value guid ${POOL}/${volume}@1`).trim();
      expect(found).toMatchObject({ value: { guid, type: "snapshot" } });
    },
  );

  test("an increment is taken onto its base, and onto nothing else", async () => {
    const target = "tank/images/grown";
    const volume = `/dev/zvol/${POOL}/mixed`;
    expect(await receive(target, send(`${POOL}/mixed@1`, "base.zfs"))).toBe("");
    inVm(`
      dd if=/dev/urandom of=${volume} bs=64k seek=40 count=5 conv=notrunc
      dd if=/dev/zero of=${volume} bs=64k count=3 conv=notrunc,fsync
      blkdiscard -o 2097152 -l 1048576 ${volume}
      sync; zfs snapshot ${POOL}/mixed@2`);
    for (const flags of ["", "-c", "-e -L -c"]) {
      const increment = send(`${flags} -i @1 ${POOL}/mixed@2`, "increment.zfs");
      expect(await receive("tank/images/none", increment)).toMatch(/destination '.*' does not exist/);
      expect(await receive("tank/images/with-large-blocks", increment)).toMatch(
        /does not\nmatch incremental source/,
      );
      expect(await receive(target, increment)).toBe("");
      expect(await sha256(device(target))).toBe(vmSha256(volume));
      expect(await receive(target, increment)).toMatch(/does not\nmatch incremental source/);
      const rolledBack = await zfs.rollback(`${target}@1` as SnapshotName, true);
      expect(rolledBack.ok).toBe(true);
    }
  });

  test("a stream of an embedded pool is taken by zfs receive, and read by zstream", async () => {
    const name = "tank/guests/g/disk-0";
    expect(await zfs.createVolume(name as DatasetName, sizeInBytes(48 * MIB))).toMatchObject({ ok: true });
    {
      await using file = await open(device(name), "r+");
      await file.write(randomBytes(3 * MIB), 0, 3 * MIB, 2 * MIB);
      await file.write("the last bytes", 48 * MIB - 14);
    }
    expect(await zfs.snapshot(`${name}@s` as SnapshotName, false)).toMatchObject({ ok: true });
    const output = join(folder, "embedded.zfs");
    expect(through(zfs.sendCommand(`${name}@s` as SnapshotName), { output }).stderr).toBe("");
    expectTaken(output, `${POOL}/from-embedded`);
    expect(vmSha256(`/dev/zvol/${POOL}/from-embedded`)).toBe(await sha256(device(name)));
  });

  test.each([512, 4096, 16_384, 131_072])(
    "a stream of image pack with blocks of %i is taken by zfs receive, and read by zstream",
    async (volblocksize) => {
      const raw = join(folder, "disk.raw");
      await using file = await open(raw, "w");
      await file.truncate(8 * MIB);
      await file.write(randomBytes(MIB), 0, MIB, MIB + 512);
      await file.write("end", 8 * MIB - 3);
      const output = join(folder, "packed.zfs");
      const args = ["image", "pack", raw, "-o", output, "--volblocksize", String(volblocksize)];
      expect(through([process.execPath, CLI, ...args], {})).toEqual({ status: 0, stderr: "" });
      expectTaken(output, `${POOL}/packed-${volblocksize}`);
      expect(vmSha256(`/dev/zvol/${POOL}/packed-${volblocksize}`)).toBe(await sha256(raw));
    },
  );

  function expectTaken(stream: string, target: string): void {
    const dumped = through([running.exec, "zstream", "dump", "-v"], { input: stream });
    expect(dumped).toEqual({ status: 0, stderr: "" });
    const received = through([running.exec, "zfs", "receive", target], { input: stream });
    expect(received).toEqual({ status: 0, stderr: "" });
    inVm(`until [ -b /dev/zvol/${target} ]; do sleep 0.1; done`);
  }
});
