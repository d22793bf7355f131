import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Outcome, succeed } from "../../../../src/protocol/storage/failures.js";
import type { DatasetName } from "../../../../src/protocol/storage/names.js";
import type {
  FetchReport,
  Operation,
  OperationHandlers,
} from "../../../../src/protocol/storage/operations.js";
import { bytes } from "../../../../src/protocol/storage/units.js";
import { createMemoryActor, createMemoryRecords, POOL, receiveOf } from "../../../support/memory-actor.js";
import { createMemoryZfs } from "../../../support/memory-zfs.js";
import { turn } from "../../../support/until.js";

const MIB = 1_048_576n;
const SIZE = bytes(8n * MIB);
const SCHEDULES = Number(process.env.SCHEDULES ?? 300);
/** Turns of the event loop after which a call that has not been answered never will be. */
const MOST_TURNS = 3_000;

const ROOTS = ["tank", "tank/images", "tank/guests"];
const NAMES = [...ROOTS, "tank/a", "tank/a/b", "tank/images/i", "tank/guests/g", "tank/guests/g/disk-0"];

/** A call of an actor. */
type Step = { readonly ask: Operation };

const asked = (operation: object): Step => ({ ask: operation as Operation });
const anyName = fc.constantFrom(...NAMES);
const root = fc.constantFrom(...ROOTS);
const tag = fc.constantFrom("t0", "t1");
const index = fc.constantFrom(0, 1);
const noDisk = { bus: "", device: "", size: bytes(0), volume: "", image: "", source: "" };

/** Calls of every kind that changes the pool, those on the tops of all others more often. */
const step: fc.Arbitrary<Step> = fc.oneof(
  fc
    .constantFrom("new", "i", "other")
    .map((id) => asked({ op: "RequestImage", id, type: "kvm", source: "" })),
  fc
    .tuple(fc.oneof(root, anyName), tag, fc.boolean())
    .map(([name, each, recursive]) =>
      asked({ op: "CreateSnapshot", dataset: name, snapshot: `${name}@${each}`, recursive }),
    ),
  fc
    .tuple(fc.oneof(root, anyName), tag, fc.boolean())
    .map(([name, each, recursive]) => asked({ op: "DeleteSnapshot", name: `${name}@${each}`, recursive })),
  fc
    .oneof(
      anyName,
      fc.tuple(root, tag).map(([name, each]) => `${name}@${each}`),
    )
    .map((name) => asked({ op: "DeleteDataset", name })),
  fc
    .tuple(anyName, index)
    .map(([name, each]) => asked({ op: "CreateVolume", name: `${name}/v${each}`, size: SIZE })),
  fc
    .tuple(anyName, tag, fc.boolean())
    .map(([name, each, destroyMoreRecent]) =>
      asked({ op: "RollbackSnapshot", name: `${name}@${each}`, destroyMoreRecent }),
    ),
  index.map((each) => asked({ op: "CloneImage", id: "i", target: `tank/a/clone${each}` })),
  fc.constantFrom("i", "new").map((id) => asked({ op: "DeleteImage", id })),
  fc.constantFrom("i", "").map((image) =>
    asked({
      op: "CreateGuestDisks",
      guest: {
        id: "g",
        disks: [
          { ...noDisk, size: bytes(MIB) },
          { ...noDisk, image, size: bytes(MIB) },
        ],
        rest: {},
      },
    }),
  ),
  fc.constant(asked({ op: "DeleteGuestsDisks", guest: { id: "g", disks: [], rest: {} } })),
  fc
    .tuple(anyName, index)
    .map(([name, each]) =>
      asked({ op: "RenameVolume", name: `${name}/v${each}`, target: `tank/a/v${1 - each}` }),
    ),
  fc
    .tuple(anyName, index)
    .map(([name, each]) =>
      asked({ op: "ResizeVolume", name: `${name}/v${each}`, size: SIZE, allowDataLoss: true }),
    ),
);

/** How many turns of the event loop the calls of the pool take, used over and over. */
const paces = fc.noShrink(fc.array(fc.nat({ max: 3 }), { minLength: 7, maxLength: 31 }));

/** An actor with an image, whose fetches end when `land` is called. */
function start(pace: readonly number[]) {
  const zfs = createMemoryZfs(POOL, bytes(2n ** 50n));
  for (const name of ["tank/images", "tank/guests", "tank/a"]) zfs.put(name);
  zfs.receive("tank/images/i" as DatasetName, { type: "volume", size: SIZE, snapshots: ["s"] }, {});
  let calls = 0;
  zfs.pause = async () => {
    for (let turns = pace[calls++ % pace.length] ?? 0; turns > 0; turns--) await turn();
  };
  let land: () => void = () => {};
  const landed = new Promise<void>((resolve) => {
    land = resolve;
  });
  const fetch = async (order: Parameters<typeof receiveOf>[0]): Promise<Outcome<FetchReport>> => {
    await landed;
    const { target, marks } = receiveOf(order);
    zfs.receive(target, { type: "volume", size: SIZE, snapshots: ["s"] }, marks);
    return succeed({ receivedBytes: 1, streamBytes: 1 });
  };
  const actor = createMemoryActor(zfs, createMemoryRecords(), fetch);
  return { ...actor, land: () => land() };
}

type Started = ReturnType<typeof start>;

function run({ handlers }: Started, each: Step): Promise<unknown> {
  const handle = handlers[each.ask.op] as (ask: Operation) => ReturnType<OperationHandlers["ListVolumes"]>;
  return handle(each.ask);
}

/** Waits for calls. @returns the steps that have no answer when nothing moves any more. */
async function unanswered(steps: readonly Step[], calls: readonly Promise<unknown>[]): Promise<Step[]> {
  const left = new Set(steps.keys());
  for (const [at, call] of calls.entries()) void call.then(() => left.delete(at));
  for (let turns = 0; left.size > 0 && turns < MOST_TURNS; turns++) await turn();
  return steps.filter((_, at) => left.has(at));
}

const isFetch = (each: Step) => "ask" in each && each.ask.op === "RequestImage";

describe("with fetches under way", () => {
  test(`in ${SCHEDULES} random schedules every change answers before they land, and every fetch after`, async () => {
    let fetches = 0;
    let changes = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 2, maxLength: 16 }),
        paces,
        fc.nat({ max: 3 }),
        async (steps, pace, gap) => {
          const actor = start(pace);
          const first = asked({ op: "RequestImage", id: "first", type: "kvm", source: "" });
          const all = [first, ...steps];
          const calls: Promise<unknown>[] = [];
          for (const each of all) {
            calls.push(run(actor, each));
            for (let turns = 0; turns < gap; turns++) await turn();
          }
          fetches += all.filter(isFetch).length;
          changes += all.length;
          // Two fetches run at once and two wait: those that wait for a slot answer later.
          const waiting = await unanswered(all, calls);
          expect(waiting.filter((each) => !isFetch(each))).toEqual([]);
          expect(actor.locks.size).toBe(0);
          actor.land();
          expect(await unanswered(all, calls)).toEqual([]);
          expect(actor.locks.size).toBe(0);
        },
      ),
      { numRuns: SCHEDULES },
    );
    expect(fetches).toBeGreaterThan(SCHEDULES);
    expect(changes).toBeGreaterThan(3 * SCHEDULES);
  });
});
