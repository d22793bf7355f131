import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { failed, type Outcome, succeed } from "../../../../src/protocol/storage/failures.js";
import type { ComponentId, DatasetName, SnapshotName } from "../../../../src/protocol/storage/names.js";
import type { FetchReport, Operation } from "../../../../src/protocol/storage/operations.js";
import type { CompleteImage, PulledVolume, VolumeRecord } from "../../../../src/protocol/storage/records.js";
import { bytes } from "../../../../src/protocol/storage/units.js";
import type { CommandReport, WorkReport } from "../../../../src/protocol/threads/work-report.js";
import { createDatasetLocks } from "../../../../src/workers/actor/dataset-locks.js";
import { createFetchQueue } from "../../../../src/workers/actor/fetch-queue.js";
import { startImageLooks } from "../../../../src/workers/actor/image-looks.js";
import { createMailbox } from "../../../../src/workers/actor/mailbox.js";
import { openPool } from "../../../../src/workers/actor/open-pool.js";
import type { ActorContext } from "../../../../src/workers/actor/operations/context.js";
import { createWorkBoard, type WorkBoard } from "../../../../src/workers/actor/work-board.js";
import type { PreparedCopies, Zfs } from "../../../../src/workers/drivers/driver.js";
import { createKeptLog, createMemoryRecords, POOL, scratchFolder } from "../../../support/memory-actor.js";
import { createMemoryZfs } from "../../../support/memory-zfs.js";
import { until } from "../../../support/until.js";

/** Short, and yet longer than a busy machine takes from the move of some bytes to the look at it. */
const LATE_MS = 100;
const TIMEOUTS = { commandMs: 1, dnsMs: 1, imageLookMs: 2 ** 30, lateMs: LATE_MS };
const volume = `${POOL}/guests/g1/disk-0` as DatasetName;
const other = `${POOL}/guests/g1` as DatasetName;
const never = () => new Promise<never>(() => {});

/** An actor as its thread makes it, on a pool in memory. Nothing checks its work but the test. */
async function openActor(
  change: (zfs: Zfs) => Partial<Zfs> = () => ({}),
  fetch: ActorContext["fetch"] = never,
  commands: readonly CommandReport[] = [],
  onBoard: (board: WorkBoard) => void = () => {},
) {
  const folder = scratchFolder();
  const memory = createMemoryZfs(POOL, bytes(2n ** 40n));
  memory.put(volume, { type: "volume", volsize: bytes(1024n) });
  memory.put(`${volume}@s1`);
  const zfs: Zfs = Object.assign(Object.create(memory) as Zfs, change(memory));
  const log = createKeptLog();
  const reports: (readonly WorkReport[])[] = [];
  const board = createWorkBoard(
    { timeouts: TIMEOUTS, log, commands: async () => commands, onLate: (late) => void reports.push(late) },
    2 ** 30,
  );
  onBoard(board);
  const mailbox = createMailbox(board);
  const closers: (() => Promise<void>)[] = [];
  const opened = await openPool({
    settings: {
      pool: { name: POOL, driver: "embedded", folder: folder.path },
      node: {
        dataDir: folder.path,
        imageService: "127.0.0.1:1",
        imageSources: [],
        peers: {},
        dnsServers: [],
        numFetchers: 1,
        maxPending: 4,
        backups: {},
        volumeProperties: {},
        log: { level: "warn" },
        limits: { commands: 1, destroyCommands: 1, readCommands: 1, holdCommands: 1, replyBytes: 1_000 },
        timeouts: TIMEOUTS,
      },
      runId: "run",
    },
    zfs,
    locks: createDatasetLocks(),
    board,
    fetches: createFetchQueue<CompleteImage>(1, 4),
    pulls: createFetchQueue<PulledVolume>(1, 4),
    copies: createFetchQueue<VolumeRecord>(1, 4),
    log,
    liveTags: [],
    turns: createFetchQueue<null>(1, 4),
    transfers: { fetch, store: async () => failed.stopping },
    announce: () => {},
    onRecords: (records) => void closers.push(records.close),
  });
  if (!opened.ok) throw new Error(opened.failure.message);
  mailbox.open(opened.value.handlersFor);
  return {
    board,
    log,
    /** What main was told, the newest last. */
    reports,
    run: (operation: Operation) => mailbox.run(operation),
    /** Checks until there is late work. @returns it. */
    late: async () => {
      await until("late work is reported", async () => {
        await board.check();
        return (reports.at(-1)?.length ?? 0) > 0;
      });
      return reports.at(-1) ?? [];
    },
    [Symbol.asyncDispose]: async () => {
      board.close();
      for (const close of closers) await close();
      folder[Symbol.dispose]();
    },
  };
}

const create: Operation = { op: "CreateVolume", name: volume, size: bytes(1024n) };

describe("an operation that never ends", () => {
  test("is named with its dataset, its locks, what it waits for and the commands", async () => {
    const argv = ["zfs", "create", "-p", "-V", "1024", volume];
    const command: CommandReport = { argv, pid: 4711, state: "running", ms: 9 };
    const unrelated: CommandReport = { ...command, argv: ["zfs", "list", `${volume}0`] };
    await using actor = await openActor(() => ({ createVolume: never }), never, [command, unrelated]);
    void actor.run(create);
    const [work] = await actor.late();
    expect(work).toMatchObject({
      name: "CreateVolume",
      datasets: [volume],
      locks: [
        `${POOL} subtree shared`,
        `${POOL}/guests subtree shared`,
        `${POOL}/guests/g1 subtree shared`,
        `${volume} subtree shared`,
        `${volume} self owned`,
      ],
      waitsFor: [{ kind: "driver", what: `createVolume ${volume}` }],
      commands: [command],
    });
    expect(work?.lateMs).toBeGreaterThan(0);
    const lines = actor.log.lines.filter(({ level }) => level === "warn");
    expect(lines.map(({ message }) => message)).toEqual(["an operation is late"]);
    expect(lines[0]?.fields).toMatchObject({ name: "CreateVolume", datasets: [volume] });
  });

  test("is named by the work that waits for its lock", async () => {
    await using actor = await openActor(() => ({ createVolume: never }));
    void actor.run(create);
    void actor.run({ op: "DeleteDataset", name: other });
    let waiting: WorkReport | undefined;
    await until("the delete waits for its lock", async () => {
      waiting = (await actor.late()).find(({ name }) => name === "DeleteDataset");
      return waiting !== undefined;
    });
    const [stuck] = await actor.board.list();
    expect(waiting?.waitsFor).toMatchObject([
      { kind: "lock", what: `${other} subtree owned`, heldBy: [stuck?.id] },
    ]);
    expect(waiting?.locks).toEqual([`${POOL} subtree shared`, `${POOL}/guests subtree shared`]);
  });

  test("is logged again only when its age has doubled, and when it has ended", async () => {
    let answer: (outcome: Outcome<null>) => void = () => {};
    const created = new Promise<Outcome<null>>((resolve) => {
      answer = resolve;
    });
    await using actor = await openActor(() => ({ createVolume: () => created }));
    const running = actor.run(create);
    await actor.late();
    const messages = () =>
      actor.log.lines.flatMap(({ level, message }) => (level === "warn" ? [message] : []));
    const [first] = actor.log.lines.flatMap(({ message, fields }) =>
      message === "an operation is late" ? [Number(fields.ms)] : [],
    );
    await until("the work is reported again", async () => {
      await actor.board.check();
      return messages().length > 1;
    });
    const second = Number(actor.log.lines.at(-1)?.fields.ms);
    expect(second).toBeGreaterThanOrEqual(2 * Number(first) - 2);
    answer(succeed(null));
    await running;
    expect(messages().at(-1)).toBe("a late operation has ended");
    expect(actor.reports.at(-1)).toEqual([]);
  });

  test.each<[string, Partial<Zfs>, Operation, string]>([
    [
      "a hold",
      { hold: never },
      { op: "OpenSend", name: `${volume}@s1` as SnapshotName },
      `acquire ${volume}@s1`,
    ],
    [
      "the release of a hold",
      { release: never },
      { op: "CloseSend", name: `${volume}@s1` as SnapshotName, tag: "imagestore:x" },
      `release ${volume}@s1 imagestore:x`,
    ],
    [
      "a device",
      { waitForDevice: never },
      { op: "CreateVolume", name: volume, size: bytes(1024n) },
      `waitForDevice ${volume}`,
    ],
  ])("waits for %s, and says so", async (_, broken, operation, what) => {
    await using actor = await openActor(() => broken);
    void actor.run(operation);
    const [work] = await actor.late();
    expect(work?.waitsFor.map((wait) => wait.what)).toEqual([what]);
  });

  test("a read is named too, although what it waits for is not noted", async () => {
    await using actor = await openActor((zfs) => ({
      findSize: (name) => (name.endsWith("@s1") ? never() : zfs.findSize(name)),
    }));
    void actor.run({ op: "GetSnapshot", name: `${volume}@s1` as SnapshotName });
    expect(await actor.late()).toMatchObject([{ name: "GetSnapshot", datasets: [`${volume}@s1`] }]);
  });
});

/** Work whose bytes move when the test says so. */
function moving<T>() {
  let move: (() => void) | undefined;
  const start = (onMoved: () => void = () => {}) => {
    move = onMoved;
    return new Promise<T>(() => {});
  };
  return { start, move: () => move?.() };
}

describe("an operation whose bytes may move for hours", () => {
  const request: Operation = { op: "RequestImage", id: "i1" as ComponentId, type: "", source: "" };
  const snapshot: Operation = {
    op: "CreateSnapshot",
    dataset: volume,
    snapshot: `${volume}@s2` as SnapshotName,
    recursive: false,
  };

  test.each([
    ["a fetch", "stream", request, "http://127.0.0.1:1/images/i1/download"],
    ["a copy", "copy", snapshot, "prepareCopies"],
  ] as const)(
    "%s is late once they stand still, and no longer when they move on",
    async (_, kind, operation, what) => {
      const bytesOf = { stream: moving<Outcome<FetchReport>>(), copy: moving<Outcome<PreparedCopies>>() };
      await using actor = await openActor(
        () => ({ prepareCopies: (_changes, onMoved) => bytesOf.copy.start(onMoved) }),
        (_order, _cancelled, onMoved) => bytesOf.stream.start(onMoved),
      );
      void actor.run(operation);
      await until("it waits for bytes", async () => {
        const [work] = await actor.board.list();
        return work?.waitsFor.some((wait) => wait.kind === kind) === true;
      });
      // Work that begins later, and does nothing, is late before it.
      const start = actor.board.begin("GetPool");
      await until("the other work is late", async () => {
        bytesOf[kind].move();
        await actor.board.check();
        return actor.reports.flat().some(({ id }) => id === start.id);
      });
      expect(new Set(actor.reports.flat().map(({ name }) => name))).toEqual(new Set(["GetPool"]));
      actor.board.end(start);
      const [late] = await actor.late();
      expect(late).toMatchObject({ name: operation.op, waitsFor: [{ kind, what }] });
      expect(late?.waitsFor[0]?.stillMs).toBeGreaterThan(0);
      bytesOf[kind].move();
      await actor.board.check();
      expect(actor.reports.at(-1)).toEqual([]);
    },
  );

  test("those that wait for another fetch are not late: that one is", async () => {
    await using actor = await openActor();
    void actor.run(request);
    void actor.run(request);
    void actor.run({ ...request, id: "i2" as ComponentId });
    await until("the fetch runs", async () => {
      const [first] = await actor.board.list();
      return first?.waitsFor.some(({ kind }) => kind === "stream") === true;
    });
    const works = await actor.board.list();
    expect(works.map(({ waitsFor }) => waitsFor.map(({ kind, what }) => `${kind} ${what}`))).toEqual([
      ["stream http://127.0.0.1:1/images/i1/download"],
      ["queue image i1"],
      ["queue image i2"],
    ]);
    const late = await actor.late();
    expect(late.map(({ id }) => id)).toEqual([works[0]?.id]);
  });
});

test("the work of a start is watched as operations are", async () => {
  /** Lets the pool be checked, which the start waits for. */
  let letCheck: () => void = () => {};
  const checks = new Promise<void>((resolve) => {
    letCheck = resolve;
  });
  const opening = openActor(
    (zfs) => ({ checkPool: () => checks.then(() => zfs.checkPool()) }),
    never,
    [],
    (board) =>
      until("the start is late", async () => {
        const [start] = await board.list();
        // After the look: so a check has reported what was late then.
        await board.check();
        return start?.lateMs !== undefined;
      }).then(letCheck),
  );
  await using actor = await opening;
  expect(actor.reports[0]).toMatchObject([
    { name: "open", waitsFor: [{ kind: "driver", what: "checkPool" }] },
  ]);
  expect(await actor.board.list()).toEqual([]);
});

test("so is a look at the images", async () => {
  await using actor = await openActor();
  const end = startImageLooks({
    pool: POOL,
    zfs: { driver: "openzfs", find: never, changeState: never, destroy: never },
    records: createMemoryRecords(),
    locks: createDatasetLocks(),
    trash: new Set(),
    log: actor.log,
    everyMs: 1,
    board: actor.board,
  });
  expect(await actor.late()).toMatchObject([{ name: "look", waitsFor: [{ what: "changeState" }] }]);
  end();
});

test("the board lists work in the order of its begin, whichever ends first", async () => {
  await using actor = await openActor();
  const { board } = actor;
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(9), { maxLength: 30 }), async (steps) => {
      const running: ReturnType<typeof board.begin>[] = [];
      for (const step of steps) {
        const [ended] = step < 5 ? running.splice(step, 1) : [];
        if (ended) board.end(ended);
        else running.push(board.begin("GetPool"));
      }
      expect((await board.list()).map(({ id }) => id)).toEqual(running.map(({ id }) => id));
      expect(board.size).toBe(running.length);
      const oldest = await board.list(3, []);
      expect(oldest.map(({ id }) => id)).toEqual(running.slice(0, 3).map(({ id }) => id));
      for (const work of running) board.end(work);
      expect(await board.list()).toEqual([]);
    }),
  );
});

test("a command is for the requests on the datasets that it names, and late work names its request", async () => {
  const log = createKeptLog();
  const board = createWorkBoard(
    { timeouts: TIMEOUTS, log, commands: async () => [], onLate: () => {} },
    2 ** 30,
  );
  const size = bytes(1n);
  board.begin("CreateVolume", { op: "CreateVolume", name: volume, size, requestId: "r1" });
  board.begin("CreateVolume", { op: "CreateVolume", name: volume, size, requestId: "r2" });
  board.begin("CreateVolume", { op: "CreateVolume", name: other, size, requestId: "r3" });
  const ended = board.begin("CreateVolume", { op: "CreateVolume", name: volume, size, requestId: "r4" });
  board.begin("CreateVolume", { op: "CreateVolume", name: volume, size });
  board.end(ended);
  expect(board.requestsOf(["zfs", "create", volume])).toEqual(["r1", "r2"]);
  expect(board.requestsOf(["zfs", "destroy", other])).toEqual(["r3"]);
  expect(board.requestsOf(["zpool", "list"])).toEqual([]);
  const ids = (await board.list()).map(({ requestId }) => requestId);
  expect(ids).toEqual(["r1", "r2", "r3", undefined]);
  board.close();
});

test("thousands of late works are all counted, and the oldest hundred are told whole", async () => {
  const log = createKeptLog();
  const reports: (readonly WorkReport[])[] = [];
  const command: CommandReport = { argv: ["zfs", "create", volume], state: "running", ms: 1 };
  /** How often a word of a command was compared. */
  let looks = 0;
  const argv = new Proxy(command.argv, {
    get: (words, key) => {
      if (key === "some") looks++;
      return Reflect.get(words, key);
    },
  });
  const board = createWorkBoard(
    {
      timeouts: TIMEOUTS,
      log,
      commands: async () => [{ ...command, argv }],
      onLate: (late) => void reports.push(late),
    },
    2 ** 30,
  );
  const works = Array.from({ length: 3_000 }, () => {
    const work = board.begin("CreateVolume", { op: "CreateVolume", name: volume, size: bytes(1n) });
    work.onLockWait(`${volume} one`);
    work.dueAt = 0;
    return work;
  });
  await board.check();
  const told = reports.at(-1) ?? [];
  expect(told).toHaveLength(works.length);
  expect(told[99]).toMatchObject({ commands: [{ argv: command.argv }], waitsFor: [{ heldBy: [] }] });
  expect(told[100]).toMatchObject({ id: 101, datasets: [volume], commands: [] });
  expect(told[100]?.waitsFor[0]).not.toHaveProperty("heldBy");
  // In the log and in what main is told.
  expect(looks).toBe(200);
  const late = log.lines.filter(({ message }) => message === "an operation is late");
  expect(late).toHaveLength(100);
  expect(log.lines.at(-1)).toMatchObject({ message: "more operations are late", fields: { count: 2_900 } });
  board.close();
});
