import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { vmPool } from "../support/daemon.js";
import { type InProcessDaemon, startInProcess } from "../support/in-process.js";
import { call, must, type Snapshots } from "../support/rpc.js";
import { createPool, destroyPool, type Vm, vmExec } from "../support/vm.js";

const vm = inject("vm");
const POOL = "counted";
const DATASETS = 64;
const READ_DATASETS = 20;
const TAGS_EACH = 10;
const GUESTS = 6;
const READS = 1_000;
const STATS_MS = 60_000;

/** What a change costs is told by counts, which hold on any machine, and not by times. */
describe.skipIf("skip" in vm)("processes started for many requests at once", () => {
  const running = vm as Vm;
  const datasets = Array.from({ length: DATASETS }, (_, index) => `d${index}`);
  const names = datasets
    .slice(0, READ_DATASETS)
    .flatMap((dataset) => Array.from({ length: TAGS_EACH }, (_, tag) => `${dataset}@t${tag}`));
  let server: InProcessDaemon;

  beforeAll(async () => {
    createPool(running, POOL, "/dev/vde");
    const tags = Array.from({ length: TAGS_EACH }, (_, tag) => `t${tag}`).join(" ");
    vmExec(running, [
      "sh",
      "-ec",
      `for d in ${datasets.join(" ")}; do zfs create ${POOL}/$d; done
       for t in ${tags}; do
         zfs snapshot $(for d in ${datasets.slice(0, READ_DATASETS).join(" ")}; do echo ${POOL}/$d@$t; done)
       done`,
    ]);
    process.env.OPENZFS_VM_RUN = running.run;
    server = await startInProcess({ pools: [vmPool(running, POOL)] });
  });
  afterAll(async () => {
    await server?.stop();
    destroyPool(running, POOL);
  });

  /** How many commands the actor ran for `work`. */
  async function counted<T>(work: () => Promise<T>): Promise<{ commands: number; result: T }> {
    const [actor] = server.daemon.actors.values();
    const commandsRun = async () => (await actor?.stats(STATS_MS))?.commandsRun ?? 0;
    const before = await commandsRun();
    const result = await work();
    return { commands: (await commandsRun()) - before, result };
  }

  test(`${READS} look-ups of ${names.length} snapshots take at most 20`, async () => {
    const { commands, result } = await counted(() =>
      Promise.all(
        Array.from({ length: READS }, (_, index) => {
          const id = names[index % names.length] as string;
          return must<Snapshots>(server.url, "GetSnapshot", { id }).then(({ snapshots }) => ({
            id,
            snapshots,
          }));
        }),
      ),
    );
    for (const { id, snapshots } of result)
      expect(snapshots.map((each) => each.id)).toEqual([`${POOL}/${id}`]);
    expect(commands).toBeLessThanOrEqual(20);
  });

  test(`${DATASETS} snapshots of ${DATASETS} datasets take at most 8, and each is answered and there`, async () => {
    const { commands, result } = await counted(() =>
      Promise.all(
        datasets.map((id) => must<Snapshots>(server.url, "CreateSnapshot", { id, dest: "grouped" })),
      ),
    );
    const made = result.flatMap(({ snapshots }) => snapshots.map(({ id }) => id));
    expect(made).toEqual(datasets.map((dataset) => `${POOL}/${dataset}@grouped`));
    const listed = vmExec(running, ["zfs", "list", "-Hp", "-t", "snapshot", "-o", "name", "-r", POOL]);
    expect(listed.split("\n").filter((name) => name.endsWith("@grouped"))).toHaveLength(DATASETS);
    expect(commands).toBeLessThanOrEqual(8);
  });

  test("the deletion of all snapshots of a dataset at once takes at most 8", async () => {
    const doomed = names.filter((name) => name.startsWith("d0@"));
    const { commands, result } = await counted(() =>
      Promise.all(doomed.map((id) => must<Snapshots>(server.url, "DeleteSnapshot", { id }))),
    );
    expect(result.flatMap(({ snapshots }) => snapshots.map(({ id }) => id))).toEqual(
      doomed.map((id) => `${POOL}/${id}`),
    );
    expect(commands).toBeLessThanOrEqual(8);
    const left = await must<Snapshots>(server.url, "ListSnapshots", { id: "d0" });
    expect(left.snapshots.map(({ id }) => id)).toEqual([`${POOL}/d0@grouped`]);
  });

  test(`${GUESTS} guests with two disks each take at most one a disk, and eight more`, async () => {
    const guests = Array.from({ length: GUESTS }, (_, index) => ({
      id: `g${index}`,
      disks: [{ size: 8 }, { size: 8 }],
    }));
    const { commands } = await counted(() =>
      Promise.all(guests.map((guest) => must(server.url, "CreateGuestDisks", { guest }))),
    );
    expect(commands).toBeLessThanOrEqual(2 * GUESTS + 8);
    const removed = await counted(() =>
      Promise.all(guests.map(({ id }) => must(server.url, "DeleteGuestsDisks", { guest: { id } }))),
    );
    expect(removed.commands).toBeLessThanOrEqual(2 * GUESTS + 8);
  });

  test("one that can't be made spoils a group for nobody else", async () => {
    const { commands, result } = await counted(() =>
      Promise.all(
        datasets.map((id, index) =>
          call<Snapshots>(server.url, "CreateSnapshot", { id, dest: index === 7 ? "grouped" : "mixed" }),
        ),
      ),
    );
    const errors = result.map(({ error }) => error);
    expect(errors.filter((error) => error !== null)).toEqual(["dataset already exists"]);
    expect(errors[7]).toBe("dataset already exists");
    expect(commands).toBeLessThanOrEqual(10);
  });

  test("no answer is older than its question, however many others wait", async () => {
    let isOver = false;
    const others = Array.from({ length: 50 }, async (_, index) => {
      while (!isOver) await call(server.url, "GetSnapshot", { id: names[index] as string });
    });
    try {
      for (let round = 0; round < 5; round++) {
        const id = `d1@round-${round}`;
        expect((await call(server.url, "GetSnapshot", { id })).error).toBe("not found");
        await must(server.url, "CreateSnapshot", { id: "d1", dest: `round-${round}` });
        const [seen, listed] = await Promise.all([
          must<Snapshots>(server.url, "GetSnapshot", { id }),
          must<Snapshots>(server.url, "ListSnapshots", { id: "d1" }),
        ]);
        expect(seen.snapshots).toHaveLength(1);
        expect(listed.snapshots.map((each) => each.id)).toContain(`${POOL}/${id}`);
        await must(server.url, "DeleteSnapshot", { id });
        expect((await call(server.url, "GetSnapshot", { id })).error).toBe("not found");
      }
    } finally {
      isOver = true;
      await Promise.all(others);
    }
  });
});
