import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fail, type Outcome, succeed } from "../../../../src/protocol/storage/failures.js";
import type { ComponentId, DatasetName, SnapshotName } from "../../../../src/protocol/storage/names.js";
import type {
  FetchOrder,
  FetchOutcome,
  FetchReport,
  Operation,
  OperationHandlers,
} from "../../../../src/protocol/storage/operations.js";
import type { CompleteImage, DiskRecord, GuestRecord } from "../../../../src/protocol/storage/records.js";
import { bytes } from "../../../../src/protocol/storage/units.js";
import { reconcile } from "../../../../src/workers/actor/reconcile.js";
import type { Records } from "../../../../src/workers/actor/record-file.js";
import {
  createMemoryActor,
  createMemoryRecords,
  type MemoryActor,
  openRecordsOrThrow,
  POOL,
  receiveOf,
  scratchFolder,
} from "../../../support/memory-actor.js";
import { createMemoryZfs, type MemoryZfs } from "../../../support/memory-zfs.js";
import { turn, until } from "../../../support/until.js";

const MIB = 1_048_576n;
const IMAGE_BYTES = bytes(8n * MIB);
const PLENTY = bytes(2n ** 50n);

const dataset = (name: string) => name as DatasetName;
const snapshot = (name: string) => name as SnapshotName;

/** A fetch that leaves a complete image in the pool, as `zfs receive` would. */
const goodFetch =
  (zfs: MemoryZfs) =>
  async (order: FetchOrder): Promise<Outcome<FetchReport>> => {
    await turn();
    const { target, marks } = receiveOf(order);
    if (zfs.has(target)) return fail("dataset.exists", "dataset already exists");
    zfs.receive(target, { type: "volume", size: IMAGE_BYTES, snapshots: ["s", "later"] }, marks);
    return succeed({ receivedBytes: 1, streamBytes: 1 });
  };

interface Options {
  readonly capacity?: bigint;
  readonly images?: readonly string[];
  readonly fetch?: (zfs: MemoryZfs) => (order: FetchOrder) => Promise<FetchOutcome>;
}

function image(id: string): CompleteImage {
  return {
    id,
    type: "kvm",
    volume: dataset(`tank/images/${id}`),
    snapshot: snapshot(`tank/images/${id}@s`),
    size: IMAGE_BYTES,
    status: "complete",
  };
}

function start({ capacity = PLENTY, images = [], fetch = goodFetch }: Options = {}): MemoryActor {
  const zfs = createMemoryZfs(POOL, bytes(capacity));
  for (const name of ["tank/images", "tank/guests"]) zfs.put(name);
  for (const id of images) {
    zfs.receive(dataset(`tank/images/${id}`), { type: "volume", size: IMAGE_BYTES, snapshots: ["s"] }, {});
  }
  return createMemoryActor(zfs, createMemoryRecords(images.map(image)), fetch(zfs));
}

/** Calls the handler of an operation, as the mailbox does. */
function ask(handlers: OperationHandlers, operation: Operation): Promise<Outcome<unknown>> {
  const handle = handlers[operation.op] as (ask: Operation) => Promise<Outcome<unknown>>;
  return handle(operation);
}

const disk = (changes: Partial<DiskRecord> = {}): DiskRecord => ({
  bus: "",
  device: "",
  size: bytes(0),
  volume: "",
  image: "",
  source: "",
  ...changes,
});

const guest = (id: string, ...disks: DiskRecord[]): GuestRecord => ({ id, disks, rest: {} });

// --- a model of what answers claim, for operations one after the other ----------

type Model = Map<string, { readonly kind: "volume" | "snapshot" | "filesystem"; readonly origin?: string }>;

const below = (name: string, root: string) =>
  name === root || name.startsWith(`${root}/`) || name.startsWith(`${root}@`);

/** The model after an operation that has succeeded. A failed operation must not change the pool. */
function applied(model: Model, operation: Operation): Model {
  const next: Model = new Map(model);
  const withParents = (name: string, entry: { kind: "volume"; origin?: string }) => {
    const parts = name.split("/");
    for (let length = 1; length < parts.length; length++) {
      const parent = parts.slice(0, length).join("/");
      if (!next.has(parent)) next.set(parent, { kind: "filesystem" });
    }
    if (!next.has(name)) next.set(name, entry);
  };
  const remove = (gone: (name: string) => boolean) => {
    for (const name of [...next.keys()]) if (gone(name)) next.delete(name);
  };
  switch (operation.op) {
    case "PromoteVolume": {
      const { name } = operation;
      const { origin = "" } = next.get(name) ?? {};
      const source = origin.slice(0, origin.indexOf("@"));
      // A map keeps the order in which the snapshots were made.
      const all = [...next.keys()].filter((each) => each.startsWith(`${source}@`));
      const older = all.slice(0, all.indexOf(origin) + 1);
      const move = (each = "") => (older.includes(each) ? `${name}${each.slice(source.length)}` : each);
      const before = next.get(source)?.origin;
      const entries = [...next].map(([each, { kind, origin: from }]) => {
        const now = each === name ? before : each === source ? origin : from;
        return [move(each), { kind, ...(now ? { origin: move(now) } : {}) }] as const;
      });
      next.clear();
      // The older snapshots come first.
      for (const [each, entry] of entries.filter(([, { kind }]) => kind !== "snapshot"))
        next.set(each, entry);
      for (const [each, entry] of entries.filter(([each]) => older.map(move).includes(each)))
        next.set(each, entry);
      for (const [each, entry] of entries) if (!next.has(each)) next.set(each, entry);
      break;
    }
    case "CloneSnapshot":
      withParents(operation.target, { kind: "volume", origin: operation.name });
      break;
    case "CreateVolume":
      withParents(operation.name, { kind: "volume" });
      break;
    case "RenameVolume": {
      const { name, target } = operation;
      const move = (each: string) => (below(each, name) ? `${target}${each.slice(name.length)}` : each);
      const entry = next.get(name);
      if (entry?.kind !== "volume" || name === target) break;
      withParents(target, { ...entry, kind: "volume" });
      for (const [each, { kind, origin }] of [...next]) {
        if (each === target) continue;
        next.delete(each);
        if (each !== name) next.set(move(each), { kind, ...(origin ? { origin: move(origin) } : {}) });
      }
      break;
    }
    case "CloneImage":
      withParents(operation.target, { kind: "volume", origin: `tank/images/${operation.id}@s` });
      break;
    case "DeleteDataset": {
      const [root = "", tag] = operation.name.split("@");
      remove((name) =>
        tag === undefined ? below(name, root) : below(name, root) && name.endsWith(`@${tag}`),
      );
      break;
    }
    case "DeleteImage":
      remove((name) => below(name, `tank/images/${operation.id}`));
      break;
    case "CreateSnapshot": {
      const tag = operation.snapshot.split("@")[1];
      for (const [name, { kind }] of model) {
        if (kind === "snapshot" || !below(name, operation.dataset)) continue;
        if (operation.recursive || name === operation.dataset)
          next.set(`${name}@${tag}`, { kind: "snapshot" });
      }
      break;
    }
    case "RollbackSnapshot": {
      const [root] = operation.name.split("@");
      // A map keeps the order in which the snapshots were made.
      const all = [...next.keys()].filter((name) => name.startsWith(`${root}@`));
      for (const newer of all.slice(all.indexOf(operation.name) + 1)) next.delete(newer);
      break;
    }
    case "DeleteSnapshot": {
      const [root = "", tag] = operation.name.split("@");
      remove((name) =>
        operation.recursive ? below(name, root) && name.endsWith(`@${tag}`) : name === operation.name,
      );
      break;
    }
    case "CreateGuestDisks":
      for (const [index, each] of operation.guest.disks.entries()) {
        const name = `tank/guests/${operation.guest.id}/disk-${index}`;
        withParents(
          name,
          each.image === "" ? { kind: "volume" } : { kind: "volume", origin: `tank/images/${each.image}@s` },
        );
      }
      break;
    case "DeleteGuestsDisks":
      remove((name) => below(name, `tank/guests/${operation.guest.id}`));
  }
  return next;
}

const seen = (zfs: MemoryZfs) =>
  Object.entries(zfs.state()).map(([name, text]) => {
    const [kind, , origin] = text.split(" ");
    return [name, kind, origin ?? ""].join(" ");
  });

const claimed = (model: Model) =>
  [...model].map(([name, { kind, origin }]) => [name, kind, origin ?? ""].join(" ")).sort();

const volumeName = fc
  .constantFrom(
    "tank/v",
    "tank/w",
    "tank/d/v",
    "tank/guests/g/disk-0",
    "tank/guests/g/disk-1",
    "tank/v/below",
  )
  .map(dataset);
const anyDataset = fc.oneof(
  volumeName,
  fc.constantFrom("tank/d", "tank/guests/g", "tank/images/i").map(dataset),
);
const tag = fc.constantFrom("s", "t");
const anySnapshot = fc.tuple(anyDataset, tag).map(([name, each]) => snapshot(`${name}@${each}`));
const ownSnapshot = fc.tuple(volumeName, tag).map(([name, each]) => snapshot(`${name}@${each}`));
const imageId = fc.constantFrom("i", "j", "none");
const someDisks = fc.array(
  fc.oneof(
    fc.bigInt({ min: 1n, max: 4n }).map((size) => disk({ size: bytes(size * MIB) })),
    imageId.map((id) => disk({ image: id })),
  ),
  { minLength: 1, maxLength: 2 },
);
const guestId = fc.constantFrom("g", "h");

const change: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({
    op: fc.constant("CreateVolume" as const),
    name: volumeName,
    size: fc.constantFrom(bytes(MIB), bytes(2n * MIB)),
  }),
  fc.record({
    op: fc.constant("DeleteDataset" as const),
    name: fc.oneof(anyDataset, anySnapshot),
  }),
  fc.record({ op: fc.constant("CloneImage" as const), id: imageId, target: volumeName }),
  fc.record({ op: fc.constant("RenameVolume" as const), name: volumeName, target: volumeName }),
  fc.record({
    op: fc.constant("ResizeVolume" as const),
    name: volumeName,
    size: fc.constantFrom(bytes(MIB), bytes(2n * MIB)),
    allowDataLoss: fc.boolean(),
  }),
  fc.record({ op: fc.constant("PromoteVolume" as const), name: volumeName }),
  fc.record({ op: fc.constant("CloneSnapshot" as const), name: ownSnapshot, target: volumeName }),
  fc.record({ op: fc.constant("DeleteImage" as const), id: imageId }),
  fc.tuple(anyDataset, tag, fc.boolean()).map(([name, each, recursive]) => ({
    op: "CreateSnapshot" as const,
    dataset: name,
    snapshot: snapshot(`${name}@${each}`),
    recursive,
  })),
  fc.record({ op: fc.constant("DeleteSnapshot" as const), name: anySnapshot, recursive: fc.boolean() }),
  fc.record({
    op: fc.constant("RollbackSnapshot" as const),
    name: anySnapshot,
    destroyMoreRecent: fc.boolean(),
  }),
  fc
    .tuple(guestId, someDisks)
    .map(([id, disks]) => ({ op: "CreateGuestDisks" as const, guest: guest(id, ...disks) })),
  guestId.map((id) => ({ op: "DeleteGuestsDisks" as const, guest: guest(id) })),
);

const question: fc.Arbitrary<Operation> = fc.oneof(
  fc.constant({ op: "ListVolumes" as const }),
  fc.constant({ op: "ListImages" as const, type: "" }),
  fc.record({ op: fc.constant("GetVolume" as const), name: anyDataset }),
  fc.record({ op: fc.constant("GetSnapshot" as const), name: anySnapshot }),
  anyDataset.map((root) => ({ op: "ListSnapshots" as const, root })),
  fc
    .tuple(guestId, someDisks)
    .map(([id, disks]) => ({ op: "VerifyDisks" as const, guest: guest(id, ...disks) })),
);

/** VerifyDisks looks at each disk by itself: beside a change of its guest, its answer may be of two moments. */
const questionOfOneMoment = question.filter(({ op }) => op !== "VerifyDisks");

/** How many turns of the event loop the calls of the pool take, used over and over. */
const paces = fc.noShrink(fc.array(fc.nat({ max: 3 }), { minLength: 7, maxLength: 31 }));

function paced(pace: readonly number[]): () => Promise<void> {
  let calls = 0;
  return async () => {
    const turns = pace[calls++ % pace.length] ?? 0;
    for (let taken = 0; taken < turns; taken++) await turn();
  };
}

/** Records and pool agree: an image is recorded exactly if its snapshot exists. */
function expectRecordsAgree({ zfs, records }: MemoryActor): void {
  for (const { id, snapshot: name } of records.images.values()) {
    expect({ id, there: zfs.has(name ?? "") }).toEqual({ id, there: true });
  }
}

describe("one operation at a time", () => {
  test("a success has made of the pool what its answer claims, a failure nothing", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(change, question), { maxLength: 25 }), async (operations) => {
        const actor = start({ images: ["i", "j"] });
        let model: Model = new Map();
        for (const [name, text] of Object.entries(actor.zfs.state())) {
          const [kind = "filesystem"] = text.split(" ");
          model.set(name, { kind: kind as "filesystem" });
        }
        for (const operation of operations) {
          const before = claimed(model);
          const outcome = await ask(actor.handlers, operation);
          if (outcome.ok) model = applied(model, operation);
          expect(seen(actor.zfs), `after ${operation.op}`).toEqual(outcome.ok ? claimed(model) : before);
          expectRecordsAgree(actor);
          expect(actor.locks.size).toBe(0);
        }
      }),
      { numRuns: 300 },
    );
  });

  test("deleting a snapshot through DeleteDataset forgets the images that lose theirs by it", async () => {
    const actor = start({ images: ["i", "j"] });
    await ask(actor.handlers, {
      op: "CreateSnapshot",
      dataset: dataset("tank/images"),
      snapshot: snapshot("tank/images@t"),
      recursive: false,
    });
    actor.zfs.put("tank/images@s");
    const outcome = await ask(actor.handlers, { op: "DeleteDataset", name: snapshot("tank/images@s") });
    expect(outcome.ok).toBe(true);
    expect(actor.zfs.has("tank/images/i@s")).toBe(false);
    expectRecordsAgree(actor);
  });
});

/** All permutations of a few things. */
function orders<T>(items: readonly T[]): T[][] {
  if (items.length <= 1) return [[...items]];
  return items.flatMap((item, index) =>
    orders([...items.slice(0, index), ...items.slice(index + 1)]).map((rest) => [item, ...rest]),
  );
}

/** An outcome as text. Of a failure only its message, because the rest may depend on the timing. */
function outcomeText(outcome: Outcome<unknown>): string {
  const value: unknown = outcome.ok ? outcome.value : outcome.failure.message;
  return JSON.stringify([outcome.ok, value], (_key, each: unknown) =>
    typeof each === "bigint" ? String(each) : each,
  );
}

const copyOf = (records: Records) => createMemoryRecords(records.images.values());

describe("operations at once", () => {
  test("answer and leave the pool as in some order one after the other", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(change, { maxLength: 5 }),
        fc.array(fc.oneof({ weight: 3, arbitrary: change }, { weight: 1, arbitrary: questionOfOneMoment }), {
          minLength: 2,
          maxLength: 3,
        }),
        paces,
        async (before, atOnce, pace) => {
          const actor = start({ images: ["i", "j"] });
          for (const operation of before) await ask(actor.handlers, operation);
          actor.zfs.pause = paced(pace);
          const from = { zfs: actor.zfs.copy(), records: copyOf(actor.records) };

          const outcomes = await Promise.all(atOnce.map((operation) => ask(actor.handlers, operation)));
          const result = JSON.stringify([
            outcomes.map(outcomeText),
            actor.zfs.state(),
            [...actor.records.images.keys()],
          ]);
          expect(actor.locks.size).toBe(0);

          const possible: string[] = [];
          for (const order of orders(atOnce.map((operation, index) => ({ operation, index })))) {
            const zfs = from.zfs.copy();
            const other = createMemoryActor(zfs, copyOf(from.records), goodFetch(zfs));
            const answers: string[] = [];
            for (const { operation, index } of order)
              answers[index] = outcomeText(await ask(other.handlers, operation));
            possible.push(JSON.stringify([answers, zfs.state(), [...other.records.images.keys()]]));
          }
          expect(possible).toContain(result);
        },
      ),
      { numRuns: 300 },
    );
  });

  test("and fetches that go well or badly leave nothing that a start would have to mend", async () => {
    const requested = fc.record({
      op: fc.constant("RequestImage" as const),
      id: fc.constantFrom("i", "j", "k").map((id) => id as ComponentId),
      type: fc.constant("kvm"),
      source: fc.constant(""),
    });
    const fetched = fc.constantFrom("good", "cut short", "nothing", "no snapshot");
    const step = fc.oneof({ weight: 3, arbitrary: change }, { weight: 2, arbitrary: requested });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(step, { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 3 }),
        fc.array(fetched, { minLength: 1, maxLength: 5 }),
        paces,
        async (rounds, fetches, pace) => {
          using folder = scratchFolder();
          const records = await openRecordsOrThrow(folder.path);
          const zfs = createMemoryZfs(POOL, PLENTY);
          for (const name of ["tank/images", "tank/guests"]) zfs.put(name);
          zfs.pause = paced(pace);
          let count = 0;
          const actor = createMemoryActor(zfs, records, async (order) => {
            const how = fetches[count++ % fetches.length];
            await zfs.pause();
            if (how === "good") return goodFetch(zfs)(order);
            const { target, marks } = receiveOf(order);
            const stream = { type: "volume" as const, size: IMAGE_BYTES };
            if (how === "cut short") zfs.receive(target, { ...stream, snapshots: ["s"] }, marks);
            if (how === "no snapshot") {
              zfs.receive(target, { ...stream, snapshots: [] }, marks);
              return succeed({ receivedBytes: 1, streamBytes: 1 });
            }
            return fail("image.cut_short", "cut short");
          });
          for (const round of rounds)
            await Promise.all(round.map((operation) => ask(actor.handlers, operation)));
          expect(actor.locks.size).toBe(0);
          const known = new Map(records.images);
          await records.close();

          const reopened = await openRecordsOrThrow(folder.path);
          expect(reopened.images).toEqual(known);
          const report = await reconcile({
            pool: POOL,
            zfs,
            records: reopened,
            log: actor.log,
            originalDatabase: `${folder.path}/none.db`,
            liveTags: [],
            trash: new Set(),
            releaseLater: () => {},
            runId: "run",
          });
          await reopened.close();
          // An image without a record may be left with other snapshots: the next start adopts it.
          expect(report).toMatchObject({
            ok: true,
            value: { dropped: [], partialsRemoved: [], holdsReleased: 0 },
          });
          expect(actor.log.lines.filter(({ level }) => level === "error")).toEqual([]);
        },
      ),
      { numRuns: 60 },
    );
  });

  test("of two calls that delete one image, one fails with not found", async () => {
    const { handlers } = start({ images: ["i"] });
    const outcomes = await Promise.all([
      handlers.DeleteImage({ id: "i" }),
      handlers.DeleteImage({ id: "i" }),
    ]);
    expect(outcomes.map(({ ok }) => ok).sort()).toEqual([false, true]);
  });

  test("disks that are there already are not counted twice while the others of their guest are made", async () => {
    const { handlers, zfs } = start({ capacity: 10n * MIB });
    const createVolume = zfs.createVolume;
    let letGo = () => {};
    const waiting = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const begun = new Promise<void>((resolve) => {
      zfs.createVolume = async (name, size) => {
        if (name.endsWith("a/disk-2")) {
          resolve();
          await waiting;
        }
        return createVolume(name, size);
      };
    });
    const sized = (mib: bigint) => disk({ size: bytes(mib * MIB) });
    const first = handlers.CreateGuestDisks({ guest: guest("a", sized(2n), sized(2n), sized(2n)) });
    await begun;
    // 6 MiB are free, and 2 of these are promised to the third disk.
    const tooLarge = await handlers.CreateGuestDisks({ guest: guest("c", sized(5n)) });
    expect(tooLarge).toMatchObject({ failure: { code: "pool.no_space" } });
    expect(await handlers.CreateGuestDisks({ guest: guest("b", sized(3n)) })).toMatchObject({ ok: true });
    letGo();
    expect(await first).toMatchObject({ ok: true });
  });

  test("creations never promise more room than there is", async () => {
    const request = fc.record({
      id: fc.constantFrom("a", "b", "c", "d", "e"),
      disks: fc.array(
        fc.oneof(
          fc.constant(disk({ image: "i" })),
          fc.bigInt({ min: 1n, max: 20n }).map((size) => disk({ size: bytes(size * MIB) })),
        ),
        { minLength: 1, maxLength: 3 },
      ),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(request, { minLength: 2, maxLength: 5, selector: ({ id }) => id }),
        paces,
        async (requests, pace) => {
          const { handlers, zfs } = start({ images: ["i"], capacity: 40n * MIB });
          zfs.pause = paced(pace);
          const outcomes = await Promise.all(
            requests.map(({ id, disks }) => handlers.CreateGuestDisks({ guest: guest(id, ...disks) })),
          );
          for (const outcome of outcomes) {
            if (!outcome.ok) expect(outcome.failure.message).toBe("no space left on device");
          }
          const space = await zfs.space(dataset("tank/guests"));
          if (!space.ok) throw new Error(space.failure.message);
          expect(space.value.available - space.value.promised >= 0n).toBe(true);
          // A guest has all its disks or none.
          for (const [index, { id, disks }] of requests.entries()) {
            const there = disks.filter((_, each) => zfs.has(`tank/guests/${id}/disk-${each}`)).length;
            expect(there).toBe(outcomes[index]?.ok ? disks.length : 0);
          }
        },
      ),
    );
  });
});

describe("volumes of whole blocks", () => {
  test("are answered with the size that they have, again too, and a guest's disks as well", async () => {
    const actor = start();
    const { handlers, zfs } = actor;
    const createVolume = zfs.createVolume;
    zfs.volumeSize = (size) => bytes(((size + 2n * MIB - 1n) / (2n * MIB)) * 2n * MIB);
    // As zfs does, which rounds by itself.
    zfs.createVolume = (name, size) => createVolume(name, zfs.volumeSize(size));
    const name = dataset("tank/v");
    for (const size of [3n, 3n, 4n]) {
      const created = await handlers.CreateVolume({ name, size: bytes(size * MIB) });
      expect(created).toMatchObject({ value: { size: 4n * MIB } });
    }
    expect(await handlers.CreateVolume({ name, size: bytes(5n * MIB) })).toMatchObject({
      failure: { code: "dataset.exists" },
    });
    const asked = guest("g", disk({ size: bytes(MIB) }));
    const rounded = { value: { disks: [{ size: 2n * MIB }] } };
    expect(await handlers.VerifyDisks({ guest: asked })).toMatchObject(rounded);
    expect(await handlers.CreateGuestDisks({ guest: asked })).toMatchObject(rounded);
    expect(await handlers.CreateGuestDisks({ guest: asked })).toMatchObject(rounded);
  });
});

describe("the size of a volume", () => {
  const name = dataset("tank/v");
  const resize = ({ handlers }: MemoryActor, mib: bigint, allowDataLoss = false) =>
    handlers.ResizeVolume({ name, size: bytes(mib * MIB), allowDataLoss });

  test("grows, and shrinks only where data may be lost, which the refusal says with both sizes", async () => {
    const actor = start();
    await actor.handlers.CreateVolume({ name, size: bytes(8n * MIB) });
    expect(await resize(actor, 16n)).toMatchObject({ value: { name, size: 16n * MIB } });
    expect(await resize(actor, 16n)).toMatchObject({ value: { size: 16n * MIB } });
    expect(await resize(actor, 8n)).toMatchObject({
      failure: {
        code: "dataset.would_shrink",
        message: "the volume would shrink; allowDataLoss lets it",
        about: { field: "size", found: "16 MiB", wanted: "8 MiB" },
      },
    });
    expect(await resize(actor, 8n, true)).toMatchObject({ value: { size: 8n * MIB } });
  });

  test("does not grow beyond the room that there is, and the refusal says how much is wanted", async () => {
    const actor = start({ capacity: 32n * MIB });
    await actor.handlers.CreateVolume({ name, size: bytes(8n * MIB) });
    expect(await resize(actor, 64n)).toMatchObject({
      failure: { code: "pool.no_space", about: { found: "24 MiB free in pool tank", wanted: "56 MiB" } },
    });
  });

  test("is that of a volume, and of nothing else", async () => {
    const actor = start();
    expect(await resize(actor, 1n)).toMatchObject({ failure: { code: "dataset.not_found" } });
    actor.zfs.put(name);
    expect(await resize(actor, 1n)).toMatchObject({ failure: { message: "not a volume" } });
  });
});

describe("a clone", () => {
  test("of an image is not promoted, for the image would lose its snapshot", async () => {
    const { handlers, zfs } = start({ images: ["i"] });
    await handlers.CloneImage({ id: "i", target: dataset("tank/v") });
    expect(await handlers.PromoteVolume({ name: dataset("tank/v") })).toMatchObject({
      failure: {
        code: "dataset.protected",
        message: "tank/v is a clone of an image, which would lose tank/images/i@s",
      },
    });
    expect(zfs.has("tank/images/i@s")).toBe(true);
  });

  test("whose origin is renamed while it waits for its locks is promoted all the same", async () => {
    const { handlers, zfs } = start();
    const [v, w, c] = ["tank/v", "tank/w", "tank/c"].map(dataset) as [DatasetName, DatasetName, DatasetName];
    await handlers.CreateVolume({ name: v, size: bytes(MIB) });
    await handlers.CreateSnapshot({ dataset: v, snapshot: snapshot("tank/v@s"), recursive: false });
    await handlers.CloneSnapshot({ name: snapshot("tank/v@s"), target: c });
    const [renamed, promoted] = await Promise.all([
      handlers.RenameVolume({ name: v, target: w }),
      handlers.PromoteVolume({ name: c }),
    ]);
    expect(renamed.ok).toBe(true);
    expect(promoted.ok).toBe(true);
    expect(zfs.state()).toMatchObject({ "tank/w": expect.stringContaining("tank/c@s") });
    expect(zfs.has("tank/c@s")).toBe(true);
  });
});

describe("guests", () => {
  test("the disks of a new guest are volumes and clones, with their places in the answer", async () => {
    const { handlers, zfs } = start({ images: ["i"] });
    const wanted = guest("g", disk({ image: "i", bus: "b" }), disk({ size: bytes(2n * MIB) }));
    const created = await handlers.CreateGuestDisks({ guest: { ...wanted, rest: { nics: "[1]" } } });
    expect(created).toEqual(
      succeed({
        id: "g",
        rest: { nics: "[1]" },
        disks: [
          disk({
            image: "i",
            bus: "b",
            size: IMAGE_BYTES,
            volume: "tank/guests/g/disk-0",
            source: "/dev/zvol/tank/guests/g/disk-0",
          }),
          disk({
            size: bytes(2n * MIB),
            volume: "tank/guests/g/disk-1",
            source: "/dev/zvol/tank/guests/g/disk-1",
          }),
        ],
      }),
    );
    expect(zfs.state()).toMatchObject({
      "tank/guests/g/disk-0": `volume ${IMAGE_BYTES} tank/images/i@s`,
      "tank/guests/g/disk-1": `volume ${2n * MIB}`,
    });
    const before = zfs.state();
    expect(await handlers.CreateGuestDisks({ guest: wanted })).toMatchObject({ ok: true });
    expect(zfs.state()).toEqual(before);
  });

  test.each([0, 1, 2])(
    "when disk %i fails those made before it are gone, and those of others stay",
    async (failing) => {
      const { handlers, zfs } = start({ images: ["i"] });
      const before = zfs.state();
      zfs.intercept = (call, name) =>
        (call === "clone" || call === "createVolume") && name.endsWith(`disk-${failing}`)
          ? fail("dataset.busy", "busy")
          : undefined;
      const wanted = guest("g", disk({ image: "i" }), disk({ size: bytes(MIB) }), disk({ image: "i" }));
      expect(await handlers.CreateGuestDisks({ guest: wanted })).toMatchObject({
        failure: { code: "dataset.busy" },
      });
      expect(zfs.state()).toEqual(before);
    },
  );

  test("when a further disk fails those that were there before stay", async () => {
    const { handlers, zfs } = start();
    const first = guest("g", disk({ size: bytes(MIB) }));
    await handlers.CreateGuestDisks({ guest: first });
    const before = zfs.state();
    zfs.intercept = (call, name) =>
      call === "createVolume" && name.endsWith("disk-2") ? fail("dataset.busy", "busy") : undefined;
    const more = guest("g", ...Array.from({ length: 3 }, () => disk({ size: bytes(MIB) })));
    expect((await handlers.CreateGuestDisks({ guest: more })).ok).toBe(false);
    expect(zfs.state()).toEqual(before);
  });

  test("whichever command is refused, a guest gets all of its disks or none", async () => {
    await fc.assert(
      fc.asyncProperty(someDisks, fc.boolean(), fc.nat({ max: 12 }), async (disks, repeated, refused) => {
        const { handlers, zfs } = start({ images: ["i", "j"] });
        if (repeated) await handlers.CreateGuestDisks({ guest: guest("g", disk({ size: bytes(MIB) })) });
        const before = zfs.state();
        let calls = 0;
        zfs.intercept = (call) =>
          call !== "destroy" && calls++ === refused ? fail("command.failed", "refused") : undefined;
        const outcome = await handlers.CreateGuestDisks({ guest: guest("g", ...disks) });
        if (!outcome.ok) expect(zfs.state()).toEqual(before);
        else for (const { volume } of outcome.value.disks) expect(zfs.has(volume)).toBe(true);
      }),
    );
  });

  test("a disk that was made although its command was given up goes too", async () => {
    const { handlers, zfs } = start();
    const before = zfs.state();
    zfs.intercept = (call, name) => {
      if (call !== "createVolume" || !name.endsWith("disk-1")) return undefined;
      zfs.put(name, { type: "volume", volsize: bytes(MIB) });
      return fail("command.timed_out", "killed; the change may still happen");
    };
    const wanted = guest("g", disk({ size: bytes(MIB) }), disk({ size: bytes(MIB) }));
    expect(await handlers.CreateGuestDisks({ guest: wanted })).toMatchObject({
      failure: { code: "command.timed_out" },
    });
    expect(zfs.state()).toEqual(before);
  });

  test("a disk that was made before a bug goes, with those before it", async () => {
    const { handlers, zfs } = start();
    const before = zfs.state();
    const { createVolume } = zfs;
    zfs.createVolume = async (name, size) => {
      const created = await createVolume(name, size);
      if (name.endsWith("disk-1")) throw new Error("a bug");
      return created;
    };
    const wanted = guest("g", disk({ size: bytes(MIB) }), disk({ size: bytes(MIB) }));
    expect(await handlers.CreateGuestDisks({ guest: wanted })).toMatchObject({
      failure: { code: "internal" },
    });
    expect(zfs.state()).toEqual(before);
  });

  test("a disk that is kept is answered with the size that it has", async () => {
    const { handlers, zfs } = start();
    const wanted = (size: bigint) => guest("g", disk({ size: bytes(size) }));
    await handlers.CreateGuestDisks({ guest: wanted(MIB) });
    const again = await handlers.CreateGuestDisks({ guest: wanted(4n * MIB) });
    expect(zfs.state()).toMatchObject({ "tank/guests/g/disk-0": `volume ${MIB}` });
    if (again.ok) expect(again.value.disks[0]?.size).toBe(MIB);
  });

  test("VerifyDisks fills in sizes and changes nothing", async () => {
    const { handlers, zfs } = start({ images: ["i"] });
    const before = zfs.state();
    expect(await handlers.VerifyDisks({ guest: guest("g", disk({ image: "i" })) })).toEqual(
      succeed(guest("g", disk({ image: "i", size: IMAGE_BYTES }))),
    );
    expect(zfs.state()).toEqual(before);
  });

  test("a guest that needs more room than there is, is refused and promises nothing", async () => {
    const { handlers } = start({ capacity: 10n * MIB });
    const large = guest("g", disk({ size: bytes(11n * MIB) }));
    for (let round = 0; round < 3; round++) {
      for (const outcome of [
        await handlers.VerifyDisks({ guest: large }),
        await handlers.CreateGuestDisks({ guest: large }),
      ]) {
        expect(outcome).toMatchObject({
          failure: { code: "pool.no_space", message: "no space left on device" },
        });
      }
    }
    expect(
      (await handlers.CreateGuestDisks({ guest: guest("h", disk({ size: bytes(10n * MIB) })) })).ok,
    ).toBe(true);
  });

  test("deleting a guest without disks is a success with no disks", async () => {
    const { handlers } = start();
    expect(await handlers.DeleteGuestsDisks({ guest: guest("none", disk()) })).toEqual(
      succeed(guest("none")),
    );
  });
});

describe("requesting an image", () => {
  const id = "new" as ComponentId;
  const request = { id, type: "kvm", source: "" };

  test("fetches it once for all who ask, and publishes and records it", async () => {
    let fetches = 0;
    const actor = start({
      fetch: (zfs) => (order) => {
        fetches++;
        return goodFetch(zfs)(order);
      },
    });
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, () => actor.handlers.RequestImage(request)),
    );
    expect(outcomes).toEqual(Array(50).fill(succeed(image("new"))));
    expect(fetches).toBe(1);
    expect(actor.records.images.get("new")).toEqual(image("new"));
    expect(Object.keys(actor.zfs.state()).filter((name) => name.includes(".partial"))).toEqual([]);
    expect(await actor.handlers.RequestImage(request)).toEqual(succeed(image("new")));
    expect(fetches).toBe(1);
  });

  test("asks for the bytes of a digest, and notes that with the image", async () => {
    const orders: FetchOrder[] = [];
    const { handlers } = start({
      fetch: (zfs) => (order) => {
        orders.push(order);
        return goodFetch(zfs)(order);
      },
    });
    const digest = "ab".repeat(32);
    expect(await handlers.RequestImage({ ...request, digest, size: 5 })).toMatchObject({ ok: true });
    expect(orders).toMatchObject([{ digest, size: 5 }]);
    expect(orders.map(receiveOf)).toMatchObject([{ marks: { "imagestore:digest": `sha256:${digest}` } }]);
  });

  describe("with several sources", () => {
    const sources = ["http://mirror.example/a", "http://mirror.example/b?key=1", "http://mirror.example/c"];
    const asked = { ...request, sources };

    function startWith(fetchFrom: (order: FetchOrder, zfs: MemoryZfs) => Promise<FetchOutcome>) {
      const orders: FetchOrder[] = [];
      const actor = start({
        fetch: (zfs) => (order) => {
          orders.push(order);
          return fetchFrom(order, zfs);
        },
      });
      return { ...actor, orders };
    }

    test("is taken from the first that has it, and that is noted", async () => {
      const { handlers, zfs, orders } = startWith(async (order, pool) => {
        if (order.url.endsWith("/b?key=1")) return goodFetch(pool)(order);
        pool.receive(receiveOf(order).target, { type: "volume", size: IMAGE_BYTES, snapshots: [] }, {});
        return { ...fail("image.cut_short", "cut short"), spent: { requests: 4, bytes: 70 } };
      });
      expect(await handlers.RequestImage(asked)).toEqual(succeed(image("new")));
      expect(orders.map(({ url }) => url)).toEqual(sources.slice(0, 2));
      expect(orders.map(({ spent }) => spent)).toEqual([undefined, { requests: 4, bytes: 70 }]);
      expect(orders.map(({ alternates }) => alternates)).toEqual([undefined, undefined]);
      expect(receiveOf(orders[1] as FetchOrder).marks["imagestore:source"]).toBe("http://mirror.example/b?…");
      expect(Object.keys(zfs.state()).filter((name) => name.includes(".partial"))).toEqual([]);
    });

    test("may go on from those that follow where a digest proves the bytes", async () => {
      const { handlers, orders } = startWith((order, zfs) => goodFetch(zfs)(order));
      await handlers.RequestImage({ ...asked, digest: "ab".repeat(32) });
      expect(orders[0]?.alternates?.map(({ url }) => url)).toEqual(sources.slice(1));
    });

    test("fails with a reason that a repeat may mend, and tells all", async () => {
      const codes = ["image.source_not_found", "image.unreachable", "image.bad_stream"] as const;
      const { handlers, zfs, orders } = startWith(async ({ url }) =>
        fail(codes[sources.indexOf(url)] ?? "internal", `no luck at ${url}`),
      );
      const before = zfs.state();
      const outcome = await handlers.RequestImage(asked);
      expect(outcome).toMatchObject({ failure: { code: codes[1], message: `no luck at ${sources[1]}` } });
      const detail = outcome.ok ? "" : outcome.failure.detail;
      for (const [at, code] of codes.entries())
        expect(detail).toContain(`${code}: no luck at ${sources[at]}`);
      expect(orders).toHaveLength(3);
      expect(zfs.state()).toEqual(before);
    });

    test.each(["pool.no_space", "service.interrupted", "command.failed"] as const)(
      "is not looked for elsewhere after %s",
      async (code) => {
        const { handlers, orders } = startWith(async () => fail(code, "no luck"));
        expect(await handlers.RequestImage(asked)).toMatchObject({ failure: { code } });
        expect(orders).toHaveLength(1);
      },
    );

    test("is refused before anything is fetched where one of them is not allowed", async () => {
      const { handlers, orders } = startWith((order, zfs) => goodFetch(zfs)(order));
      const outcome = await handlers.RequestImage({
        ...asked,
        sources: [...sources, "http://evil.example/x"],
      });
      expect(outcome).toMatchObject({ failure: { code: "image.source_refused" } });
      expect(orders).toEqual([]);
    });
  });

  test("shows it as pending meanwhile, and neither deletes nor clones it", async () => {
    const landings: (() => void)[] = [];
    const { handlers } = start({
      fetch: (zfs) => async (order) => {
        await new Promise<void>((resolve) => landings.push(resolve));
        return goodFetch(zfs)(order);
      },
    });
    const fetched = handlers.RequestImage(request);
    const pending = { id: "new", type: expect.any(String), size: 0n, status: "pending" };
    expect(await handlers.GetImage({ id: "new" })).toEqual(succeed(pending));
    expect(await handlers.ListImages({ type: "" })).toEqual(succeed([pending]));
    expect(await handlers.DeleteImage({ id: "new" })).toMatchObject({ failure: { code: "dataset.busy" } });
    expect(await handlers.CloneImage({ id: "new", target: dataset("tank/x") })).toMatchObject({
      failure: { code: "dataset.busy" },
    });
    await until("the fetch is under way", () => landings.length === 1);
    landings[0]?.();
    expect(await fetched).toMatchObject({ ok: true });
  });

  test.each([
    ["a filesystem", { type: "filesystem" as const, size: IMAGE_BYTES, snapshots: ["s"] }],
    ["a volume without a snapshot", { type: "volume" as const, size: IMAGE_BYTES, snapshots: [] }],
  ])("refuses a stream that holds %s, and leaves nothing of it", async (_what, stream) => {
    const actor = start({
      fetch: (zfs) => async (order) => {
        zfs.receive(receiveOf(order).target, stream, {});
        return succeed({ receivedBytes: 1, streamBytes: 1 });
      },
    });
    const before = actor.zfs.state();
    expect(await actor.handlers.RequestImage(request)).toMatchObject({
      failure: { code: "image.bad_stream" },
    });
    expect(actor.zfs.state()).toEqual(before);
    expect(actor.records.images.size).toBe(0);
    expect(await actor.handlers.GetImage({ id: "new" })).toMatchObject({ failure: { message: "not found" } });
  });

  test("removes what a failed fetch has left, and may be asked again", async () => {
    let fails = true;
    const actor = start({
      fetch: (zfs) => async (order) => {
        if (!fails) return goodFetch(zfs)(order);
        zfs.receive(receiveOf(order).target, { type: "volume", size: IMAGE_BYTES, snapshots: ["s"] }, {});
        return fail("image.cut_short", "cut short");
      },
    });
    const before = actor.zfs.state();
    expect(await actor.handlers.RequestImage(request)).toMatchObject({
      failure: { code: "image.cut_short" },
    });
    expect(actor.zfs.state()).toEqual(before);
    fails = false;
    expect(await actor.handlers.RequestImage(request)).toMatchObject({ ok: true });
  });

  test.each(["fetch", "finishReceive", "snapshotsOf", "rename"] as const)(
    "removes what it has received when a bug is in %s",
    async (step) => {
      const bug = () => Promise.reject(new Error("a bug"));
      const actor = start({
        fetch: (zfs) => async (order) => {
          const fetched = await goodFetch(zfs)(order);
          if (step !== "fetch") zfs[step] = bug;
          return step === "fetch" ? bug() : fetched;
        },
      });
      const before = actor.zfs.state();
      expect(await actor.handlers.RequestImage(request)).toMatchObject({ failure: { code: "internal" } });
      expect(actor.zfs.state()).toEqual(before);
    },
  );

  test("is recorded when its publication is done although its command was given up", async () => {
    const actor = start();
    const { handlers, zfs, records } = actor;
    const rename = zfs.rename.bind(zfs);
    zfs.rename = async (from, to) => {
      await rename(from, to);
      return fail("service.interrupted", "the command was lost");
    };
    expect(await handlers.RequestImage(request)).toMatchObject({
      ok: true,
      value: { id: "new", status: "complete" },
    });
    expect(zfs.has("tank/images/new@s")).toBe(true);
    expect([...records.images.keys()]).toEqual(["new"]);
    expectRecordsAgree(actor);
  });

  test("is gone when its publication was given up and is not done", async () => {
    const actor = start();
    actor.zfs.rename = async () => fail("service.interrupted", "the command was lost");
    expect((await actor.handlers.RequestImage(request)).ok).toBe(false);
    expect([...actor.records.images.keys()]).toEqual([]);
    expect(Object.keys(actor.zfs.state())).toEqual(["tank", "tank/guests", "tank/images"]);
  });

  test("is not kept from fetching by what an earlier fetch left and could not remove", async () => {
    let fails = true;
    const { handlers, zfs } = start({
      fetch: (pool) => async (order) => {
        if (!fails) return goodFetch(pool)(order);
        const { target, marks } = receiveOf(order);
        pool.receive(target, { type: "volume", size: IMAGE_BYTES, snapshots: [] }, marks);
        return fail("image.cut_short", "cut short");
      },
    });
    zfs.intercept = (call) => (call === "destroy" ? fail("dataset.busy", "busy") : undefined);
    expect(await handlers.RequestImage(request)).toMatchObject({ failure: { code: "image.cut_short" } });
    zfs.intercept = () => undefined;
    fails = false;
    expect(await handlers.RequestImage(request)).toEqual(succeed(image("new")));
  });

  test("adopts an image that others have put there, without a fetch", async () => {
    const actor = start({ fetch: () => () => Promise.reject(new Error("fetched")) });
    actor.zfs.receive(
      dataset("tank/images/new"),
      { type: "volume", size: IMAGE_BYTES, snapshots: ["s"] },
      {},
    );
    expect(await actor.handlers.RequestImage(request)).toEqual(succeed(image("new")));
  });

  test("adopts none that is deleted meanwhile", async () => {
    await fc.assert(
      fc.asyncProperty(paces, fc.boolean(), async (pace, wholeVolume) => {
        const actor = start();
        const { zfs, handlers } = actor;
        const volume = dataset("tank/images/new");
        zfs.receive(volume, { type: "volume", size: IMAGE_BYTES, snapshots: ["s"] }, {});
        zfs.pause = paced(pace);
        const name = wholeVolume ? volume : snapshot("tank/images/new@s");
        await Promise.all([handlers.DeleteDataset({ name }), handlers.RequestImage(request)]);
        expectRecordsAgree(actor);
      }),
    );
  });

  test("refuses when something else has its name", async () => {
    const actor = start({ fetch: () => () => Promise.reject(new Error("fetched")) });
    actor.zfs.put("tank/images/new", { type: "filesystem" });
    expect(await actor.handlers.RequestImage(request)).toMatchObject({ failure: { code: "dataset.exists" } });
  });

  test.each(["ftp://mirror.example/x", "http://evil.example/x", "file:///etc/passwd", "x"])(
    "from the source %s is refused without a fetch",
    async (source) => {
      const { handlers } = start({ fetch: () => () => Promise.reject(new Error("fetched")) });
      expect(await handlers.RequestImage({ ...request, source })).toMatchObject({
        failure: { code: "image.source_refused" },
      });
    },
  );

  test("goes to the image service, or to a source whose host is allowed", async () => {
    const urls: string[] = [];
    const { handlers } = start({
      fetch: (zfs) => (order) => {
        urls.push(order.url);
        return goodFetch(zfs)(order);
      },
    });
    await handlers.RequestImage({ ...request, id: "a b" as ComponentId });
    await handlers.RequestImage({ ...request, source: "https://mirror.example/deep/x?y=1" });
    expect(urls).toEqual(["http://127.0.0.1:1/images/a%20b/download", "https://mirror.example/deep/x?y=1"]);
  });

  /** An actor whose fetches end when `land` is called. */
  function startHeld(images: readonly string[] = []) {
    let land: () => void = () => {};
    const landed = new Promise<void>((resolve) => {
      land = resolve;
    });
    const actor = start({
      images,
      fetch: (zfs) => async (order) => {
        await landed;
        return goodFetch(zfs)(order);
      },
    });
    return { ...actor, land: () => land() };
  }

  test.each([
    [
      "a recursive snapshot of the pool",
      { op: "CreateSnapshot", dataset: "tank", snapshot: "tank@r", recursive: true },
    ],
    [
      "a recursive snapshot of the images",
      { op: "CreateSnapshot", dataset: "tank/images", snapshot: "tank/images@r", recursive: true },
    ],
    ["a recursive deletion of snapshots", { op: "DeleteSnapshot", name: "tank@old", recursive: true }],
    ["a deletion of a dataset", { op: "DeleteDataset", name: "tank/work" }],
  ] as const)("does not hold up %s, which does not stop it either", async (_, operation) => {
    const { handlers, zfs, locks, land } = startHeld();
    zfs.put("tank/work");
    await handlers.CreateSnapshot({
      dataset: dataset("tank"),
      snapshot: snapshot("tank@old"),
      recursive: true,
    });
    const fetching = handlers.RequestImage(request);
    const changed = await ask(handlers, operation as unknown as Operation);
    expect(changed.ok).toBe(true);
    land();
    expect(await fetching).toMatchObject({ ok: true, value: { id: "new", status: "complete" } });
    expect(locks.size).toBe(0);
  });

  test("holds no lock while it moves data", async () => {
    const { handlers, locks, land } = startHeld();
    const fetching = handlers.RequestImage(request);
    await until("it fetches", () => locks.size === 0);
    await Promise.all(Array.from({ length: 20 }, turn));
    expect(locks.size).toBe(0);
    land();
    expect((await fetching).ok).toBe(true);
  });

  test("stops nothing in any order: random changes of the pool beside it all answer, and so does it", async () => {
    const names = ["tank", "tank/images", "tank/guests", "tank/a", "tank/a/b", "tank/images/i"];
    const change = fc.record({
      op: fc.constantFrom(
        "CreateSnapshot",
        "DeleteSnapshot",
        "CreateVolume",
        "DeleteDataset",
        "CloneImage",
        "CreateGuestDisks",
        "DeleteImage",
        "RollbackSnapshot",
      ),
      name: fc.constantFrom(...names),
      recursive: fc.boolean(),
    });
    let landedFirst = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(change, { minLength: 1, maxLength: 12 }),
        fc.nat(12),
        paces,
        async (changes, landAt, pace) => {
          const actor = startHeld(["i"]);
          const { handlers, zfs, locks, land } = actor;
          zfs.pause = paced(pace);
          const fetching = handlers.RequestImage(request);
          const answers = changes.map(({ op, name, recursive }, index) => {
            if (index === landAt) land();
            const tag = `${name}@t${index % 3}`;
            const asks = {
              CreateSnapshot: { dataset: name, snapshot: tag, recursive },
              DeleteSnapshot: { name: tag, recursive },
              CreateVolume: { name: `${name}/v${index % 2}`, size: 8n * MIB },
              DeleteDataset: { name: `${name}/v${index % 2}` },
              CloneImage: { id: "i", target: `tank/a/clone${index % 2}` },
              CreateGuestDisks: {
                guest: { id: "g", disks: [disk({ size: bytes(MIB) }), disk({ image: "i" })], rest: {} },
              },
              DeleteImage: { id: "i" },
              RollbackSnapshot: { name: tag, destroyMoreRecent: recursive },
            };
            return ask(handlers, { op, ...asks[op] } as unknown as Operation);
          });
          if (landAt < changes.length) landedFirst++;
          // Nothing waits for the fetch, so all answer before it has landed, or after.
          await Promise.all(answers);
          land();
          expect((await fetching).ok).toBe(true);
          expect(locks.size).toBe(0);
          expectRecordsAgree(actor);
        },
      ),
      { numRuns: 100, timeout: 20_000 },
    );
    expect(landedFirst).toBeGreaterThan(10);
  });

  test("is refused at once when as many as may are fetched and wait", async () => {
    const landings: (() => void)[] = [];
    const { handlers } = start({
      fetch: (zfs) => async (order) => {
        await new Promise<void>((resolve) => landings.push(resolve));
        return goodFetch(zfs)(order);
      },
    });
    const ids = ["a", "b", "c", "d"].map((each) => each as ComponentId);
    const fetched = ids.map((each) => handlers.RequestImage({ ...request, id: each }));
    expect(await handlers.RequestImage({ ...request, id: "e" as ComponentId })).toMatchObject({
      failure: { code: "service.overloaded", message: "resource temporarily unavailable" },
    });
    for (let landed = 0; landed < ids.length; landed++) {
      await until("a fetch is under way", () => landings.length > 0);
      landings.shift()?.();
    }
    expect((await Promise.all(fetched)).every(({ ok }) => ok)).toBe(true);
  });
});

describe("images", () => {
  test("deleting one that has clones names them and changes nothing", async () => {
    const actor = start({ images: ["i"] });
    await actor.handlers.CloneImage({ id: "i", target: dataset("tank/guests/a") });
    await actor.handlers.CloneImage({ id: "i", target: dataset("tank/guests/b") });
    const before = actor.zfs.state();
    expect(await actor.handlers.DeleteImage({ id: "i" })).toMatchObject({
      failure: {
        code: "dataset.has_clones",
        message: expect.stringContaining("tank/guests/a, tank/guests/b"),
      },
    });
    expect(actor.zfs.state()).toEqual(before);
    expect(actor.records.images.has("i")).toBe(true);
  });

  test("a repeated clone is answered, another's dataset is not", async () => {
    const { handlers } = start({ images: ["i", "j"] });
    const target = dataset("tank/guests/c");
    const first = await handlers.CloneImage({ id: "i", target });
    expect(first).toEqual(succeed({ name: target, size: IMAGE_BYTES, device: "/dev/zvol/tank/guests/c" }));
    expect(await handlers.CloneImage({ id: "i", target })).toEqual(first);
    expect(await handlers.CloneImage({ id: "j", target })).toMatchObject({
      failure: { code: "dataset.exists" },
    });
  });

  test("a clone is not claimed whose name another clone has made its parent meanwhile", async () => {
    const { handlers, zfs } = start({ images: ["i"] });
    zfs.intercept = (call, name) => {
      if (call === "clone" && name === "tank/v") zfs.put("tank/v", { type: "filesystem" });
      return undefined;
    };
    expect(await handlers.CloneImage({ id: "i", target: dataset("tank/v") })).toMatchObject({
      failure: { code: "dataset.exists" },
    });
  });

  test("are listed by type", async () => {
    const { handlers } = start({ images: ["i"] });
    expect(await handlers.ListImages({ type: "kvm" })).toEqual(succeed([image("i")]));
    expect(await handlers.ListImages({ type: "container" })).toEqual(succeed([]));
  });
});

describe("snapshots", () => {
  const volume = dataset("tank/v");
  const at = (tag: string) => snapshot(`tank/v@${tag}`);

  async function withSnapshots(...tags: string[]): Promise<MemoryActor> {
    const actor = start();
    await actor.handlers.CreateVolume({ name: volume, size: bytes(MIB) });
    for (const tag of tags) {
      await actor.handlers.CreateSnapshot({ dataset: volume, snapshot: at(tag), recursive: false });
    }
    return actor;
  }

  test("a rollback behind newer ones is refused and names each of them", async () => {
    const { handlers, zfs } = await withSnapshots("a", "b", "c");
    const before = zfs.state();
    expect(await handlers.RollbackSnapshot({ name: at("a"), destroyMoreRecent: false })).toMatchObject({
      failure: { code: "snapshot.newer_exist", message: expect.stringContaining("tank/v@b, tank/v@c") },
    });
    expect(zfs.state()).toEqual(before);
  });

  test("a rollback that may removes the newer ones and answers the one it went to", async () => {
    const { handlers, zfs } = await withSnapshots("a", "b", "c");
    expect(await handlers.RollbackSnapshot({ name: at("a"), destroyMoreRecent: true })).toMatchObject({
      ok: true,
      value: { name: "tank/v@a" },
    });
    expect(Object.keys(zfs.state()).filter((name) => name.includes("@"))).toEqual(["tank/v@a"]);
  });

  test("a rollback that removes an image's snapshot forgets the image", async () => {
    const zfs = createMemoryZfs(POOL, PLENTY);
    for (const name of ["tank/images", "tank/guests"]) zfs.put(name);
    const stream = { type: "volume" as const, size: IMAGE_BYTES, snapshots: ["older", "s"] };
    zfs.receive(dataset("tank/images/i"), stream, {});
    const actor = createMemoryActor(zfs, createMemoryRecords([image("i")]), goodFetch(zfs));
    const name = snapshot("tank/images/i@older");
    expect((await actor.handlers.RollbackSnapshot({ name, destroyMoreRecent: true })).ok).toBe(true);
    expectRecordsAgree(actor);
  });

  test("the deletion of one of POOL/images alone forgets no image whose own has the same name", async () => {
    const { handlers, zfs, records } = start({ images: ["i"] });
    zfs.put("tank/images@s");
    const deleted = await handlers.DeleteSnapshot({ name: snapshot("tank/images@s"), recursive: false });
    expect(deleted).toMatchObject({ ok: true });
    expect([...records.images.keys()]).toEqual(["i"]);
    zfs.put("tank/images@s");
    await handlers.DeleteSnapshot({ name: snapshot("tank/images@s"), recursive: true });
    expect([...records.images.keys()]).toEqual([]);
  });

  test.each(["DeleteDataset", "DeleteImage", "DeleteSnapshot", "RollbackSnapshot"] as const)(
    "an image whose snapshot went with a %s that stopped half-way is forgotten",
    async (op) => {
      const { handlers, zfs, records } = start({ images: ["i", "other"] });
      const name = snapshot("tank/images/i@s");
      zfs.put("tank/images/i@older", { createtxg: 0n });
      zfs.intercept = (call) => {
        if (call !== "destroy" && call !== "rollback") return undefined;
        zfs.intercept = () => undefined;
        void zfs.destroy(name, false);
        return fail("dataset.busy", "something else was in the way");
      };
      zfs.pause = async () => {};
      const outcome = {
        DeleteDataset: () => handlers.DeleteDataset({ name: dataset("tank/images/i") }),
        DeleteImage: () => handlers.DeleteImage({ id: "i" }),
        DeleteSnapshot: () => handlers.DeleteSnapshot({ name, recursive: true }),
        RollbackSnapshot: () =>
          handlers.RollbackSnapshot({ name: snapshot("tank/images/i@older"), destroyMoreRecent: true }),
      }[op];
      expect(await outcome()).toMatchObject({ failure: { code: "dataset.busy" } });
      expect(zfs.has(name)).toBe(false);
      expect([...records.images.keys()]).toEqual(["other"]);
    },
  );

  test("a recursive one answers all that were made, and its deletion all that went", async () => {
    const { handlers, zfs } = await withSnapshots();
    const root = dataset("tank/d");
    for (const name of ["tank/d/x", "tank/d/y"]) {
      await handlers.CreateVolume({ name: dataset(name), size: bytes(MIB) });
    }
    const all = [
      { name: "tank/d/x@s", written: 4096n },
      { name: "tank/d/y@s", written: 4096n },
      { name: "tank/d@s", written: 4096n },
    ];
    const named = snapshot("tank/d@s");
    const made = await handlers.CreateSnapshot({ dataset: root, snapshot: named, recursive: true });
    expect(made).toEqual(succeed(all));
    expect(await handlers.DeleteSnapshot({ name: named, recursive: true })).toEqual(succeed(all));
    expect(Object.keys(zfs.state()).filter((name) => name.includes("@"))).toEqual([]);
  });
});

describe("GetPool", () => {
  test("has the pool's usage, and the space that VerifyDisks counts with", async () => {
    const { handlers } = start({ capacity: 100n * MIB });
    expect((await handlers.CreateVolume({ name: dataset("tank/v"), size: bytes(8n * MIB) })).ok).toBe(true);
    const space = await start({ capacity: 100n * MIB }).zfs.space(dataset("tank/guests"));
    const pool = await handlers.GetPool({});
    if (!pool.ok || !space.ok) throw new Error("refused");
    const { size, allocated, free, available } = pool.value;
    expect(pool.value).toMatchObject({ name: "tank", driver: "openzfs", health: "ONLINE", fragmentation: 7 });
    expect(allocated + free).toBe(size);
    expect(available).toBe(space.value.available - 8n * MIB);
  });

  test.each(["poolUsage", "space"])("fails where %s does", async (broken) => {
    const { handlers, zfs } = start();
    zfs.intercept = (call) => (call === broken ? fail("pool.unavailable", "suspended") : undefined);
    expect(await handlers.GetPool({})).toEqual(fail("pool.unavailable", "suspended"));
  });
});
