import { expect, test } from "vitest";
import { createCountKeeper } from "../../../../../src/workers/drivers/openzfs/dataset-counts.js";
import { turn } from "../../../../support/until.js";

/** A keeper of a pool whose snapshots are `names`, and the lists that it made. */
function keeperOf(pool: { names: readonly string[]; isBroken: boolean }) {
  const lists: (readonly string[])[] = [];
  let time = 0;
  const keeper = createCountKeeper(
    "tank",
    async (argv) => {
      lists.push(argv);
      const stdout = pool.names.map((name) => `${name}\n`).join("");
      const code = pool.isBroken ? 1 : 0;
      return { argv, stdout: pool.isBroken ? "" : stdout, stderr: "", exit: { kind: "exited", code }, ms: 1 };
    },
    () => time,
  );
  const after = async (ms: number) => {
    time += ms;
    const told = keeper.counts();
    await turn();
    return told;
  };
  return { keeper, lists, after };
}

test("snapshots are counted by a list of names, at the first question and once in five minutes of questions", async () => {
  const pool = { names: ["tank/a@1", "tank/a@2"], isBroken: false };
  const { lists, after } = keeperOf(pool);
  expect(await after(0)).toEqual({ volumes: undefined, snapshots: undefined });
  pool.names = [];
  for (let minutes = 0; minutes < 4; minutes++)
    expect(await after(60_000)).toEqual({ volumes: undefined, snapshots: 2 });
  expect(lists).toEqual([["-t", "snapshot", "-r", "-o", "name", "-s", "name", "tank"]]);
  await after(60_000);
  expect(await after(1)).toMatchObject({ snapshots: 0 });
  expect(lists.length).toBe(2);
});

test("a count that fails leaves the last one, and is not tried at each question", async () => {
  const pool = { names: ["tank/a@1"], isBroken: false };
  const { lists, after } = keeperOf(pool);
  await after(0);
  pool.isBroken = true;
  await after(300_000);
  expect(await after(1)).toMatchObject({ snapshots: 1 });
  expect(lists.length).toBe(2);
});

test("volumes are as many as the last list of all had", async () => {
  const { keeper } = keeperOf({ names: [], isBroken: false });
  keeper.sawVolumes(3);
  keeper.sawVolumes(2);
  expect(keeper.counts()).toMatchObject({ volumes: 2 });
});
