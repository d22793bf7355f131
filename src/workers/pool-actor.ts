import { fileURLToPath } from "node:url";
import * as comlink from "comlink";
import { failed, type Outcome, succeed } from "../protocol/storage/failures.js";
import type { ImageNews } from "../protocol/storage/known-images.js";
import { childOf } from "../protocol/storage/names.js";
import type { FetchReport, Operation, OperationHandlers } from "../protocol/storage/operations.js";
import type { PoolSettings } from "../protocol/storage/pool-settings.js";
import type { ImageRecord } from "../protocol/storage/records.js";
import type {
  ActorControl,
  ActorTask,
  FetchRequest,
  LogLine,
  SpawnReport,
} from "../protocol/threads/actor-contract.js";
import { createActorLog } from "../protocol/threads/actor-log.js";
import { createChildTable } from "../protocol/threads/child-table.js";
import { comlinkEndpoint } from "../protocol/threads/comlink-endpoint.js";
import { openLink } from "../protocol/threads/link.js";
import { createDatasetLocks } from "./actor/dataset-locks.js";
import { createFetchQueue } from "./actor/fetch-queue.js";
import type { ActorContext } from "./actor/operations/context.js";
import { guestOperations } from "./actor/operations/guests.js";
import { createHolds } from "./actor/operations/holds.js";
import { imageOperations } from "./actor/operations/images.js";
import { snapshotOperations } from "./actor/operations/snapshots.js";
import { volumeOperations } from "./actor/operations/volumes.js";
import { reconcile } from "./actor/reconcile.js";
import { openRecords, type Records } from "./actor/record-file.js";
import type { Zfs } from "./drivers/driver.js";
import { openEmbeddedZfs } from "./drivers/embedded/embedded-driver.js";
import { openOpenZfs } from "./drivers/openzfs/openzfs-driver.js";
import { type CommandEnd, limitCommands } from "./processes/run-command.js";
import { type Runner, startRunner } from "./processes/runner-link.js";
import { createSlots } from "./processes/slots.js";

const RUNNER = fileURLToPath(new URL("./runner.js", import.meta.url));

/** How long a crashed actor waits for SQLite to finish what it is at. */
const CRASH_CLOSE_MS = 5_000;

/** Where mistify-agent-image kept its records of the pool. */
function originalDatabaseOf({ name, driver, originalDatabase }: PoolSettings): string | undefined {
  if (originalDatabase !== undefined || driver === "embedded") return originalDatabase;
  return `/${name}/images/.images.db`;
}

/**
 * The actor of one pool: the only writer of its pool. Runs as the one task of a
 * piscina thread of its own, and ends when main closes its port.
 */
export default function runPoolActor(task: ActorTask): Promise<void> {
  const { settings, hot, control, children } = task;
  const { node, runId } = settings;
  const { name: pool } = settings.pool;
  const log = createActorLog((...line: LogLine) => task.log.postMessage(line), node.log.level === "debug");
  let runner: Runner | undefined;
  const locks = createDatasetLocks();
  const fetches = createFetchQueue<ImageRecord>(node.numFetchers, node.maxPending, (id, isUnderWay) =>
    tell(isUnderWay ? { fetching: id } : { settled: id }),
  );
  let zfs: Zfs | undefined;
  let records: Records | undefined;
  let handlers: OperationHandlers | undefined;
  let underWay = 0;
  let idle: (() => void)[] = [];

  async function answer(ask: unknown): Promise<Outcome<unknown>> {
    if (!handlers) return failed.interrupted;
    const operation = ask as Operation;
    underWay++;
    try {
      // The union of names and asks is checked where operations are made; here one call serves all.
      const handle = handlers[operation.op] as (ask: Operation) => Promise<Outcome<unknown>>;
      return await handle(operation);
    } finally {
      if (--underWay === 0) for (const resolve of idle.splice(0)) resolve();
    }
  }

  const link = openLink(hot, answer, failed.interrupted);

  /** Main answers GetImage and ListImages itself, by what it is told here. */
  function tell(news: ImageNews): void {
    link.notify(news);
  }

  function told(opened: Records): Records {
    return {
      ...opened,
      putImage: (image) => {
        tell({ put: image });
        return opened.putImage(image);
      },
      dropImage: (id) => {
        tell({ drop: id });
        return opened.dropImage(id);
      },
    };
  }

  function reportCommand({ argv, exit, ms, stderr, spawnMs }: CommandEnd): void {
    log.debug("command", { argv, exit, ms: Math.round(ms), stderr });
    if (spawnMs !== undefined) task.log.postMessage({ spawnMs } satisfies SpawnReport);
  }

  async function openDriver(): Promise<Outcome<Zfs>> {
    const { pool: poolSettings } = settings;
    if (poolSettings.driver === "openzfs") {
      const { volumeProperties } = node;
      const { commandMs: timeoutMs } = node.timeouts;
      runner = startRunner({ script: RUNNER, children: createChildTable(children), log });
      const run = limitCommands(createSlots(node.limits.commands), runner.run, reportCommand);
      return succeed(openOpenZfs({ settings: poolSettings, volumeProperties, timeoutMs, log }, run));
    }
    return openEmbeddedZfs(poolSettings, log);
  }

  function createHandlers(driver: Zfs, opened: Records, liveTags: readonly string[]): OperationHandlers {
    const context: ActorContext = {
      pool,
      zfs: driver,
      locks,
      records: opened,
      log,
      runId,
      fetch: (order) => link.call<FetchReport>({ fetch: order } satisfies FetchRequest),
    };
    return {
      ...imageOperations(context, fetches, node),
      ...volumeOperations(context),
      ...snapshotOperations(context, createHolds(context, liveTags)),
      ...guestOperations(context, fetches),
    };
  }

  async function openPool(liveTags: readonly string[]): ReturnType<ActorControl["open"]> {
    const driver = await openDriver();
    if (!driver.ok) return driver;
    zfs = driver.value;
    const checked = await zfs.checkPool();
    if (!checked.ok) return checked;
    for (const name of ["images", "guests"]) {
      const ensured = await zfs.ensureFilesystem(childOf(pool, name));
      if (!ensured.ok) return ensured;
    }
    const opened = await openRecords(node.dataDir, pool, log);
    if (!opened.ok) return opened;
    records = opened.value;
    const originalDatabase = originalDatabaseOf(settings.pool);
    const reconciled = await reconcile({ pool, zfs, records, log, originalDatabase, liveTags });
    if (!reconciled.ok) return reconciled;
    handlers = createHandlers(zfs, told(records), liveTags);
    tell({ all: [...records.images.values()] });
    return succeed(checked.value);
  }

  async function closeFiles(): Promise<void> {
    handlers = undefined;
    await Promise.all([records?.close(), zfs?.close(), runner?.close()]);
  }

  const controls: ActorControl = {
    async open(liveTags) {
      const opened = await openPool(liveTags);
      if (!opened.ok) await closeFiles();
      return opened;
    },
    stats: () => ({ commandsRun: zfs?.commandsRun ?? 0 }),
    drain: (graceMs) =>
      new Promise((resolve) => {
        if (underWay === 0) return resolve(true);
        const timer = setTimeout(() => resolve(false), graceMs);
        idle.push(() => {
          clearTimeout(timer);
          resolve(true);
        });
      }),
    close: closeFiles,
    crash() {
      setImmediate(() => {
        throw new Error("a crash that was asked for");
      });
    },
  };
  comlink.expose(controls, comlinkEndpoint(control));

  // A bug outside of any call. sqlite3 aborts the whole process when a thread ends with one of
  // its statements under way (docs/decisions/records.md): so close the file first, then end,
  // and by that fail the calls that wait.
  process.once("uncaughtException", (error) => {
    log.error("the actor crashed", { error: error.stack ?? String(error) });
    const patience = new Promise((resolve) => setTimeout(resolve, CRASH_CLOSE_MS));
    // Not from within SQLite's own callback either: hence setImmediate.
    void Promise.race([closeFiles(), patience]).finally(() => setImmediate(() => process.exit(1)));
  });

  return new Promise((resolve) => hot.on("close", resolve)).then(() => {
    idle = [];
    control.close();
    task.log.close();
  });
}
