import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { type DaemonProcess, startDaemonProcess, vmPool } from "../support/daemon.js";
import { type FollowedEvents, followEvents } from "../support/event-client.js";
import { type Images, must } from "../support/rpc.js";
import { isAlive, until } from "../support/until.js";
import { createPool, destroyPool, type Vm, vmExec } from "../support/vm.js";

const vm = inject("vm");
const POOL = "byhand";
const DISK = "/dev/vdk";
/** A name of zpool in the VM, by which the followers of this daemon are told from those of others. */
const ZPOOL = "/tmp/zpool-byhand";
/** All but jobs, of which a slow machine has more. */
const TOPICS = "image,volume,snapshot,guest,pool,download";
/** How soon a change by hand is told. */
const SOON_MS = 2_000;

/** The changes by hand, in this order, and what is told of each. */
const CHANGES: readonly (readonly [what: string, script: string, told: readonly string[]])[] = [
  ["a volume", "zfs create -s -V 8M P/a", ["volume created P/a"]],
  ["a snapshot", "zfs snapshot P/a@s1", ["snapshot created P/a@s1"]],
  ["a recursive snapshot", "zfs snapshot -r P/a@s2", ["snapshot created P/a@s2"]],
  ["a snapshot's new name", "zfs rename P/a@s2 @s3", ["snapshot deleted P/a@s2", "snapshot created P/a@s3"]],
  ["a property", "zfs set compression=off P/a", ["volume changed P/a"]],
  ["a property's end", "zfs inherit compression P/a", ["volume changed P/a"]],
  ["a user property", "zfs set note:x='say \"hi\" = there' P/a", ["volume changed P/a"]],
  ["a rollback", "zfs rollback -r P/a@s1", ["snapshot deleted P/a@s3", "volume rolled-back P/a"]],
  ["a clone", "zfs clone P/a@s1 'P/c 1:x'", ["volume created P/c 1:x"]],
  ["a promoted clone", "zfs promote 'P/c 1:x'", ["volume changed P/c 1:x"]],
  ["a volume's new name", "zfs rename 'P/c 1:x' P/d", ["volume deleted P/c 1:x", "volume created P/d"]],
  [
    "a received volume",
    "zfs send P/d@s1 | zfs receive -u P/r",
    ["volume created P/r", "snapshot created P/r@s1"],
  ],
  [
    "a received increment",
    "zfs snapshot P/d@s2; zfs send -i @s1 P/d@s2 | zfs receive -F -u P/r",
    ["snapshot created P/d@s2", "volume changed P/r", "snapshot created P/r@s2"],
  ],
  [
    "a channel program",
    "echo 'zfs.sync.snapshot(\"P/d@p\")' | zfs program P - >/dev/null",
    ["snapshot created P/d@p"],
  ],
  [
    "a guest's filesystem and disk",
    "zfs create P/guests/g; zfs create -s -V 8M P/guests/g/disk-0",
    ["guest created P/guests/g", "volume created P/guests/g/disk-0"],
  ],
  ["an image", "zfs create -s -V 8M P/images/i", ["image created P/images/i"]],
  [
    "a recursive destruction",
    "zfs destroy -r P/guests/g; zfs destroy P/images/i",
    ["volume deleted P/guests/g/disk-0", "guest deleted P/guests/g", "image deleted P/images/i"],
  ],
  ["a destroyed snapshot", "zfs destroy P/r@s1", ["snapshot deleted P/r@s1"]],
  ["a destroyed volume", "zfs destroy -r P/r", ["snapshot deleted P/r@s2", "volume deleted P/r"]],
  ["a property of the pool", "zpool set comment=x P", ["pool changed P properties"]],
];

describe.skipIf("skip" in vm)("events of changes that no call made", () => {
  const running = vm as Vm;
  let daemon: DaemonProcess;
  let events: FollowedEvents;

  const inPool = (text: string) => text.replaceAll(/\bP\b/g, POOL);
  const byHand = (script: string) => vmExec(running, ["sh", "-ec", inPool(script)]);
  /** The stream of the image that is asked for. */
  let image = Buffer.alloc(0);
  const service = createServer((_request, response) => void response.end(image));

  beforeAll(async () => {
    createPool(running, POOL, DISK);
    byHand(`ln -sf "$(command -v zpool)" ${ZPOOL}`);
    await once(service.listen(0, "127.0.0.1"), "listening");
    const imageService = `127.0.0.1:${(service.address() as AddressInfo).port}`;
    daemon = await startDaemonProcess(
      {
        listen: { port: 0 },
        pools: [{ ...vmPool(running, POOL), zpoolCommand: [running.exec, ZPOOL] }],
        imageService,
        log: { level: "info" },
      },
      { OPENZFS_VM_RUN: running.run },
    );
    events = await followEvents(daemon.url, TOPICS);
    await until("changes are followed", isFollowed);
  });
  afterAll(async () => {
    events?.stop();
    service.close();
    if (daemon?.process.exitCode === null && daemon.process.signalCode === null) await daemon.stop();
    destroyPool(running, POOL);
  });

  async function isFollowed(): Promise<boolean> {
    const metrics = await (await fetch(`${daemon.url}/metrics`)).text();
    return metrics.includes(`imagestore_outside_events_followed{pool="${POOL}"} 1`);
  }

  /** The process that follows, on this machine: the ssh that runs `zpool events` in the VM. */
  function follower(): number | undefined {
    const { stdout } = spawnSync("ps", ["-eo", "pid=,args="], { encoding: "utf8" });
    const line = stdout
      .split("\n")
      .find(
        (each) =>
          each.includes(`ControlPath=${running.run}/ssh`) && each.includes(`'${ZPOOL}' 'events' '-v' '-f'`),
      );
    return line === undefined ? undefined : Number(line.trim().split(" ")[0]);
  }

  /** Waits until all of it is told, after what was told before. */
  async function untilTold(expected: readonly string[], from: number, limitMs?: number): Promise<void> {
    await until(
      `${expected.join(", ")} in ${events.told().slice(from).join(", ")}`,
      () => expected.every((each) => events.told().slice(from).includes(each)),
      limitMs,
    );
  }

  test.each(CHANGES)("%s is told within 2 s, and nothing else", async (_what, script, told) => {
    const from = events.told().length;
    byHand(script);
    const expected = told.map(inPool);
    await untilTold(expected, from, SOON_MS);
    // What is received is told when it begins, and changes until it is whole.
    const isMore = (each: string) => !each.includes(" changed ") || expected.includes(each);
    expect(events.told().slice(from).filter(isMore)).toEqual(expected);
    for (const { origin, caller, requestId } of events.all().slice(from))
      expect([origin, caller, requestId]).toEqual(["outside", null, null]);
  });

  test("holds, bookmarks and the daemon's own properties are not told", async () => {
    const from = events.told().length;
    byHand("zfs hold x P/d@p; zfs release x P/d@p; zfs bookmark P/d@p P/d#b; zfs destroy P/d#b");
    byHand("zfs set imagestore:x=y P/d; zfs inherit imagestore:x P/d; zfs snapshot P/d@after-holds");
    await untilTold([`snapshot created ${POOL}/d@after-holds`], from);
    expect(events.told().slice(from)).toHaveLength(1);
  });

  test("each call has the events of the call, and no other", async () => {
    const from = events.told().length;
    const call = (method: string, params: object) => must(daemon.url, method, params);
    const sent = ["zfs", "send", `${POOL}/d@p`];
    image = spawnSync(running.exec, sent, { env: { ...process.env, OPENZFS_VM_RUN: running.run } }).stdout;
    const callsOfVolumes = async () => {
      await call("CreateVolume", { id: "own/deep/v", size: 8 });
      await call("CreateSnapshot", { id: "own/deep/v", dest: "s1" });
      await call("CreateSnapshot", { id: "own", dest: "s2", recursive: true });
      await call("RollbackSnapshot", { id: "own/deep/v@s1", destroyMoreRecent: true });
      await call("CloneSnapshot", { id: "own/deep/v@s1", dest: "own/c" });
      await call("PromoteVolume", { id: "own/c" });
      await call("ResizeVolume", { id: "own/c", size: 16 });
      await call("SetVolume", { id: "own/c", compression: "off" });
      await call("RenameVolume", { id: "own/c", dest: "own/new/d" });
      await call("DeleteSnapshot", { id: "own/deep@s2" });
      await fetch(`${daemon.url}/snapshots/download?id=own/new/d@s1`).then((reply) => reply.arrayBuffer());
      await call("DeleteDataset", { id: "own" });
    };
    const callsOfGuests = async () => {
      await call("CreateGuestDisks", { guest: { id: "g2", disks: [{ size: 8 }] } });
      await call("SnapshotGuest", { id: "g2", dest: "n" });
      await call("DeleteGuestsDisks", { guest: { id: "g2" } });
    };
    const callsOfImages = async () => {
      expect((await must<Images>(daemon.url, "RequestImage", { id: "i2", type: "kvm" })).images).toHaveLength(
        1,
      );
      await call("CloneImage", { id: "i2", dest: "cloned" });
      await call("DeleteDataset", { id: "cloned" });
      await call("DeleteImage", { id: "i2" });
    };
    await Promise.all([callsOfVolumes(), callsOfGuests(), callsOfImages()]);
    byHand("zfs snapshot P/d@after-calls");
    await untilTold([`snapshot created ${POOL}/d@after-calls`], from);
    const told = events
      .told()
      .slice(from)
      .map((each) => each.replaceAll(`${POOL}/`, ""));
    const volumes = [
      "volume created own/deep/v",
      "snapshot created own/deep/v@s1",
      "snapshot created own@s2",
      "snapshot created own/deep@s2",
      "snapshot created own/deep/v@s2",
      "snapshot rolled-back own/deep/v@s1",
      "volume created own/c",
      "volume changed own/c",
      "volume changed own/c",
      "volume changed own/c",
      "volume deleted own/c",
      "volume created own/new/d",
      "snapshot deleted own/deep@s2",
      "download started own/new/d@s1",
      "download ended own/new/d@s1",
      "volume deleted own",
    ];
    const guests = [
      "guest created guests/g2",
      "volume created guests/g2/disk-0",
      "snapshot created guests/g2@n",
      "snapshot created guests/g2/disk-0@n",
      "guest deleted guests/g2",
    ];
    const images = [
      "image created images/i2",
      "volume created cloned",
      "volume deleted cloned",
      "image deleted images/i2",
    ];
    expect(told.filter((each) => / own\b/.test(each))).toEqual(volumes);
    expect(told.filter((each) => each.includes(" guests/"))).toEqual(guests);
    expect(told.filter((each) => / images\/| cloned$/.test(each))).toEqual(images);
    expect(told.at(-1)).toBe("snapshot created d@after-calls");
    expect(told).toHaveLength(volumes.length + guests.length + images.length + 1);
  });

  test("what a call has made and others then change is told", async () => {
    const from = events.told().length;
    await must(daemon.url, "CreateSnapshot", { id: "d", dest: "again" });
    byHand("zfs destroy P/d@again; zfs snapshot P/d@again");
    await until("three events", () => events.told().length - from >= 3, SOON_MS);
    const [own, ...outside] = events.all().slice(from);
    expect(own?.origin).toBe("call");
    expect(outside.map(({ action, origin }) => [action, origin])).toEqual([
      ["deleted", "outside"],
      ["created", "outside"],
    ]);
  });

  test("scrubs are told", async () => {
    const from = events.told().length;
    byHand("zpool scrub P");
    await untilTold([`pool changed ${POOL} scrub_start`, `pool changed ${POOL} scrub_finish`], from);
  });

  test("a killed follower goes on where it was: nothing is lost and nothing told twice", async () => {
    const from = events.told().length;
    process.kill(follower() as number, "SIGKILL");
    byHand("zfs snapshot P/d@killed");
    await untilTold([`snapshot created ${POOL}/d@killed`], from);
    await until("another follows", () => follower() !== undefined);
    byHand("zfs snapshot P/d@after-kill");
    await untilTold([`snapshot created ${POOL}/d@after-kill`], from);
    expect(events.told().slice(from)).toHaveLength(2);
  });

  test("what the kernel has forgotten meanwhile is told as missed", async () => {
    const from = events.told().length;
    process.kill(follower() as number, "SIGKILL");
    byHand("zfs snapshot P/d@forgotten; zpool events -c >/dev/null");
    await untilTold([`pool changed ${POOL} missed`], from);
    expect(events.told().slice(from)).toHaveLength(1);
    byHand("zfs snapshot P/d@after-gap");
    await untilTold([`snapshot created ${POOL}/d@after-gap`], from);
  });

  test("a stopped follower is found by a call, and replaced", async () => {
    const from = events.told().length;
    await until("one follows", () => follower() !== undefined);
    const replaced = follower() as number;
    const inVm = byHand(`ps -o pid,args | grep '${ZPOOL} events -v -[f]' | tail -n 1`).trim().split(/\s+/)[0];
    try {
      byHand(`kill -STOP ${inVm}; zfs snapshot P/d@unseen`);
      await must(daemon.url, "CreateSnapshot", { id: "d", dest: "own" });
      await untilTold([`snapshot created ${POOL}/d@unseen`], from);
    } finally {
      byHand(`kill -KILL ${inVm}`);
    }
    expect(isAlive(replaced)).toBe(false);
    expect([...events.told().slice(from)].sort()).toEqual([
      `snapshot created ${POOL}/d@own`,
      `snapshot created ${POOL}/d@unseen`,
    ]);
  });

  test("a storm is told in few events, and what comes after it too", async () => {
    const from = events.told().length;
    byHand(
      `echo 'for i = 1, 300 do zfs.sync.set_prop("P/d", "note:n" .. i, "x") end' | zfs program P - >/dev/null`,
    );
    byHand("zfs snapshot P/d@after-storm");
    await untilTold([`snapshot created ${POOL}/d@after-storm`], from);
    expect(events.told().length - from).toBeLessThan(100);
  });

  test("an export and an import are told", async () => {
    const from = events.told().length;
    byHand("zpool export P; zpool import P");
    const whats = ["pool_export", "pool_import", "missed"];
    await untilTold(
      whats.map((what) => `pool changed ${POOL} ${what}`),
      from,
    );
  });

  test("its state is a metric", async () => {
    const metrics = await (await fetch(`${daemon.url}/metrics`)).text();
    expect(metrics).toContain(`imagestore_outside_events_followed{pool="${POOL}"} 1`);
    const [, restarts] =
      new RegExp(`imagestore_outside_events_restarts{pool="${POOL}"} (\\d+)`).exec(metrics) ?? [];
    expect(Number(restarts)).toBeGreaterThanOrEqual(3);
  });

  test("a killed daemon leaves no follower behind", async () => {
    const left = follower() as number;
    daemon.process.kill("SIGKILL");
    await until("it has ended", () => !isAlive(left));
    // That of the VM finds out when it next writes, and its ssh has noticed by then that nobody reads.
    let turn = 0;
    await until("none runs in the VM", () => {
      byHand(`zfs set note:turn=${turn++} P/d`);
      return !byHand("ps").includes(`${ZPOOL} events`);
    });
  });
});
