import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { beforeChanges, changesByHand, type LookUpMethod, tellLookUp } from "../support/changes-by-hand.js";
import { vmPool } from "../support/daemon.js";
import { type InProcessDaemon, startInProcess } from "../support/in-process.js";
import { must, type Snapshots } from "../support/rpc.js";
import { createPool, destroyPool, fillVolume, type Vm, vmExec } from "../support/vm.js";

const vm = inject("vm");
const POOL = "looked";
const DISK = "/dev/vdf";
const MIB = 1024 * 1024;
const WRITTEN_TO = 8;

describe.skipIf("skip" in vm)("on a pool whose changes the kernel tells", () => {
  const running = vm as Vm;
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  const commands = join(folder, "commands");
  let server: InProcessDaemon;

  const zfs = (...args: string[]) => vmExec(running, ["zfs", ...args]);
  const inVm = (script: string) => vmExec(running, ["sh", "-ec", script]);

  /** The daemon, whose commands of zfs leave a line with their verb each. */
  function start(inFront: readonly string[]): Promise<InProcessDaemon> {
    process.env.OPENZFS_VM_RUN = running.run;
    const counted = ["sh", "-c", `echo "$3" >>"$0"; exec "$@"`, commands];
    return startInProcess({
      pools: [
        {
          ...vmPool(running, POOL),
          zfsCommand: [...counted, ...inFront],
          kstatCommand: [running.exec, "cat"],
        },
      ],
    });
  }

  /** Verbs of the commands of zfs that `work` started. */
  async function verbsOf(work: () => Promise<unknown>): Promise<string[]> {
    writeFileSync(commands, "");
    await work();
    return readFileSync(commands, "utf8").split("\n").filter(Boolean);
  }

  beforeAll(async () => {
    createPool(running, POOL, DISK);
    inVm(beforeChanges(POOL));
    server = await start([running.exec, "zfs"]);
  });
  afterAll(async () => {
    await server?.stop();
    destroyPool(running, POOL);
    rmSync(folder, { recursive: true, force: true });
  });

  const told = (method: LookUpMethod, id: string) => tellLookUp(server.url, POOL, method, id);

  test("look-ups of a pool at rest start next to no process", async () => {
    const rounds = 30;
    const verbs = await verbsOf(async () => {
      for (let round = 0; round < rounds; round++) {
        expect(await Promise.all([told("GetSnapshot", "a@s1"), told("GetVolume", "none")])).toEqual([
          "a@s1 0",
          "not found",
        ]);
      }
    });
    // A pool at rest commits an empty transaction group now and then, and for that moment is in motion.
    expect(verbs.length).toBeLessThanOrEqual(rounds / 3);
  });

  test.each(changesByHand(POOL, DISK))(
    "%s, made by hand, is seen by the next look-up",
    async (_what, method, id, before, change, after) => {
      expect(await told(method, id)).toBe(before);
      expect(await told(method, id)).toBe(before);
      inVm(change);
      expect(await told(method, id)).toBe(after);
    },
  );

  test("changes made by hand are seen at once, however many look-ups are under way", async () => {
    let isOver = false;
    const others = Array.from({ length: 20 }, async () => {
      while (!isOver) await told("GetSnapshot", "b@round");
    });
    try {
      for (let round = 0; round < 4; round++) {
        zfs("snapshot", `${POOL}/b@round`);
        expect(await told("GetSnapshot", "b@round")).toBe("b@round 0");
        zfs("destroy", `${POOL}/b@round`);
        expect(await told("GetSnapshot", "b@round")).toBe("not found");
        if (round % 2 === 1) await sleep(300);
      }
    } finally {
      isOver = true;
      await Promise.all(others);
    }
  });

  const written = Array.from({ length: WRITTEN_TO }, (_, index) => `w${index}`);

  /** CreateSnapshot on all volumes at once. @returns what the answers say was written, MiB. */
  async function snapshotAll(url: string, dest: string): Promise<number[]> {
    const made = await Promise.all(written.map((id) => must<Snapshots>(url, "CreateSnapshot", { id, dest })));
    return made.flatMap(({ snapshots }) => snapshots.map(({ size }) => size));
  }

  function listedMib(tag: string): number[] {
    const names = written.map((id) => `${POOL}/${id}@${tag}`);
    const listed = zfs("list", "-Hp", "-o", "written", ...names);
    return listed
      .trim()
      .split("\n")
      .map((bytes) => Math.floor(Number(bytes) / MIB));
  }

  test("what new snapshots have written is told as zfs list tells it, while guests write", async () => {
    inVm(written.map((id) => `zfs create -s -V 64M ${POOL}/${id}`).join("\n"));
    for (const id of written) fillVolume(running, `${POOL}/${id}`, 2);
    const stop = "/tmp/guests-are-off";
    const writers = written.map(
      (id, index) => `(while [ ! -e ${stop} ]; do
        dd if=/dev/urandom of=/dev/zvol/${POOL}/${id} bs=256k count=${index + 1} seek=$((RANDOM % 100)) conv=notrunc 2>/dev/null
        sleep 0.3
      done) >/dev/null 2>&1 </dev/null &`,
    );
    inVm(`rm -f ${stop}\n${writers.join("\n")}`);
    try {
      const verbs = await verbsOf(async () => {
        for (const tag of ["t0", "t1"]) {
          const told = await snapshotAll(server.url, tag);
          expect(told).toEqual(listedMib(tag));
          if (tag === "t0") expect(Math.min(...told)).toBeGreaterThanOrEqual(2);
          await sleep(1_000);
        }
      });
      expect(new Set(verbs)).toEqual(new Set(["program"]));
      expect(verbs.length).toBeLessThanOrEqual(4);
    } finally {
      inVm(`touch ${stop}; sleep 0.5`);
    }
  });

  test("a user who may snapshot and not run programs makes them with zfs snapshot", async () => {
    await server.stop();
    const user = 65534;
    // Names of these tests have no blanks.
    const asUser = join(folder, "as-user");
    writeFileSync(asUser, `exec "${running.exec}" su nobody -c "zfs $*"\n`);
    inVm(`grep -q ^nobody /etc/passwd || echo 'nobody:x:${user}:${user}::/:/bin/sh' >>/etc/passwd
          chmod 666 /dev/zfs
          for f in guests images; do zfs create -p ${POOL}/$f; done
          zfs allow -u ${user} snapshot,mount ${POOL}`);
    server = await start(["sh", asUser]);
    const verbs = await verbsOf(async () => {
      expect(await snapshotAll(server.url, "u0")).toEqual(listedMib("u0"));
      expect(await snapshotAll(server.url, "u1")).toEqual(listedMib("u1"));
    });
    expect(verbs.filter((verb) => verb === "program").length).toBeLessThanOrEqual(2);
    expect(verbs).toContain("snapshot");
  });
});
