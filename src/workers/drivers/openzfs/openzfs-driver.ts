import { access } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { fail, failed, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import {
  type DatasetName,
  datasetOf,
  devicePath,
  isSnapshotName,
  type PoolName,
  type SnapshotName,
  tagOf,
  ZVOL_DEVICES,
} from "../../../protocol/storage/names.js";
import type { OpenZfsSettings } from "../../../protocol/storage/pool-settings.js";
import { type Bytes, bytes } from "../../../protocol/storage/units.js";
import type { ActorLog } from "../../../protocol/threads/actor-log.js";
import { blamedNames, failureOf } from "../../processes/command-failures.js";
import {
  type CommandEnd,
  type CommandLimits,
  type RunCommand,
  succeeded,
} from "../../processes/run-command.js";
import type { AnyName, DatasetInfo, MarkedVolume, Properties, Space, Zfs } from "../driver.js";
import { createBatcher } from "./batcher.js";
import { createCoalescer } from "./coalescer.js";
import { createKeyedBatchers } from "./keyed-batchers.js";
import { COLUMNS, infoOf, numberOf, rowsOf } from "./list-rows.js";
import { createLookUp, listNames } from "./look-ups.js";
import { createPoolStateReader } from "./pool-state.js";
import { SNAPSHOT_PROGRAM, writtenByName } from "./snapshot-program.js";

export interface OpenZfsOptions {
  readonly settings: OpenZfsSettings;
  /** Properties of new volumes, clones and images. */
  readonly volumeProperties: Properties;
  /** Time limit of a command. */
  readonly timeoutMs: number;
  readonly log: ActorLog;
}

/** 100,000 snapshots with names of full length and their numbers. */
const LIST_BYTES = 64 * 1024 * 1024;
const SHORT_BYTES = 1024 * 1024;
/** Names in one command: 300 of 255 bytes stay below the 128 KiB that Linux gives one argv string list at least. */
const NAMES_PER_COMMAND = 300;
/** Each waits for a transaction group; two may share one. */
const GROUPS_AT_ONCE = 2;
/** A busy zvol is mostly udev or a disk scan that goes away: pauses between tries. */
const BUSY_PAUSES_MS = [50, 100, 200, 400, 800];
/** Each try loses at most one race, and a name has few parents. */
const PARENT_TRIES = 10;
/** "destroy -r" of many snapshots takes minutes. */
const DESTROY_TIMEOUT_FACTOR = 10;

const MARKS = "imagestore:type,imagestore:fetch";

function propertyFlags(properties: Properties): string[] {
  return Object.entries(properties).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
}

/** Opens a pool of the `zfs` and `zpool` commands of OpenZFS 2.1 or newer. */
export function openOpenZfs(options: OpenZfsOptions, run: RunCommand): Zfs {
  const { settings, volumeProperties, timeoutMs } = options;
  const pool = settings.name;
  const destroyLimits = { timeoutMs: timeoutMs * DESTROY_TIMEOUT_FACTOR };
  const isGrouped = settings.dispatch === "grouped";
  let commandsRun = 0;

  function zfs(args: readonly string[], limits?: Partial<CommandLimits>): Promise<CommandEnd> {
    commandsRun++;
    return run([...settings.zfsCommand, ...args], { timeoutMs, stdoutBytes: SHORT_BYTES, ...limits });
  }

  async function change(args: readonly string[], limits?: Partial<CommandLimits>): Promise<Outcome<null>> {
    for (let attempt = 0; ; attempt++) {
      const end = await zfs(args, limits);
      if (succeeded(end)) return succeed(null);
      const refused = failureOf(end);
      const pauseMs = BUSY_PAUSES_MS[attempt];
      if (refused.failure.code !== "dataset.busy" || pauseMs === undefined) return refused;
      await sleep(pauseMs);
    }
  }

  /**
   * A change that makes missing parents of `target` (`-p`). Where two commands make the same
   * parent at once, zfs tells the slower that the dataset exists, though it means the parent.
   */
  async function changeWithParents(args: readonly string[], target: DatasetName): Promise<Outcome<null>> {
    for (let attempt = 0; ; attempt++) {
      const changed = await change([...args, target]);
      if (changed.ok || changed.failure.code !== "dataset.exists" || attempt === PARENT_TRIES) return changed;
      const found = await find(target);
      if (!found.ok || found.value !== undefined) return changed;
    }
  }

  async function rows(args: readonly string[]): Promise<Outcome<string[][]>> {
    const end = await list(args);
    return succeeded(end) ? succeed(rowsOf(end)) : failureOf(end);
  }

  async function infos(args: readonly string[]): Promise<Outcome<readonly DatasetInfo[]>> {
    const found = await rows(["-o", COLUMNS, ...args]);
    return found.ok ? succeed(found.value.map(infoOf)) : found;
  }

  const list = (args: readonly string[]) => zfs(["list", "-Hp", ...args], { stdoutBytes: LIST_BYTES });

  const states = createPoolStateReader({
    pool,
    command: settings.kstatCommand,
    log: options.log,
    run: async (argv) => {
      commandsRun++;
      const end = await run(argv, { timeoutMs, stdoutBytes: SHORT_BYTES });
      return succeeded(end) ? end.stdout : undefined;
    },
  });

  const find = isGrouped
    ? createLookUp({ list, poolState: states.read, namesPerCommand: NAMES_PER_COMMAND })
    : async (name: AnyName) => (await listNames({ list }, [name])).get(name) ?? failed.notFound;

  /**
   * One command for several changes, all of which happen or none. Where it fails, those
   * that it blames run alone, each for an answer of its own, and the others together.
   */
  async function changeTogether(
    args: (names: readonly SnapshotName[]) => readonly string[],
    names: readonly SnapshotName[],
    limits?: Partial<CommandLimits>,
  ): Promise<readonly Outcome<null>[]> {
    const alone = (name: SnapshotName) => change(args([name]), limits);
    if (names.length <= 1) return Promise.all(names.map(alone));
    const end = await zfs(args(names), limits);
    if (succeeded(end)) return names.map(() => succeed(null));
    // Given up: nobody knows what became of it, so nothing may be tried again.
    if (end.exit.kind !== "exited") return names.map(() => failureOf(end));
    const blamed = blamedNames(end.stderr);
    const others = names.filter((name) => !blamed.has(name) && !blamed.has(datasetOf(name)));
    if (others.length === names.length) return Promise.all(names.map(alone));
    const together = changeTogether(args, others, limits);
    return Promise.all(
      names.map(async (name) => {
        const index = others.indexOf(name);
        return index < 0 ? alone(name) : ((await together)[index] ?? failed.notFound);
      }),
    );
  }

  /** Channel programs need root. */
  let mayRunPrograms = true;

  /**
   * Snapshots of different datasets, with what they have written, from one command. Those
   * that the program does not make are tried by `zfs snapshot`, which tells why.
   */
  async function makeSnapshots(
    names: readonly SnapshotName[],
  ): Promise<readonly Outcome<Bytes | undefined>[]> {
    let made: Map<SnapshotName, Bytes> | undefined;
    if (mayRunPrograms) {
      const end = await zfs(["program", "-j", pool, "-", ...names], { stdin: SNAPSHOT_PROGRAM });
      // Given up: nobody knows what became of it, so nothing may be tried again.
      if (end.exit.kind !== "exited") return names.map(() => failureOf(end));
      made = writtenByName(end, names);
    }
    const others = names.filter((name) => !made?.has(name));
    const outcomes = await changeTogether((group) => ["snapshot", ...group], others);
    // FailedOutcome as a program, and not for what it was to do.
    if (!made && outcomes.some(({ ok }) => ok)) mayRunPrograms = false;
    return names.map((name) => {
      const outcome = outcomes[others.indexOf(name)];
      return outcome && !outcome.ok ? outcome : succeed(made?.get(name));
    });
  }

  /** One snapshot of each dataset, for more in a transaction group are refused. */
  const snapshotTogether = createBatcher<SnapshotName, Outcome<Bytes | undefined>>({
    maxBatches: GROUPS_AT_ONCE,
    maxItems: NAMES_PER_COMMAND,
    keyOf: datasetOf,
    runBatch: makeSnapshots,
  });

  /** `zfs destroy DATASET@a,b` destroys snapshots of one dataset. */
  const destroyTogether = createKeyedBatchers((dataset: DatasetName) =>
    createBatcher<SnapshotName, Outcome<null>>({
      maxBatches: GROUPS_AT_ONCE,
      maxItems: NAMES_PER_COMMAND,
      keyOf: (name) => name,
      runBatch: (names) =>
        changeTogether(
          (group) => ["destroy", `${dataset}@${group.map(tagOf).join(",")}`],
          names,
          destroyLimits,
        ),
    }),
  );

  /** Listings of one root that wait at one moment share a process too. */
  function coalesced<Root extends string, Value>(
    list: (root: Root) => Promise<Value>,
  ): (root: Root) => Promise<Value> {
    if (!isGrouped) return list;
    const join = createKeyedBatchers((root: Root) =>
      createCoalescer<Root, Value>(1, async () => {
        const answer = await list(root);
        return () => answer;
      }),
    );
    return (root: Root) => join(root, root);
  }

  const volumesBelow = coalesced((root: PoolName) => infos(["-t", "volume", "-r", root]));

  return {
    get commandsRun() {
      return commandsRun;
    },

    async checkPool() {
      commandsRun++;
      const limits = { timeoutMs, stdoutBytes: SHORT_BYTES };
      const end = await run([...settings.zpoolCommand, "list", "-Hp", "-o", "health,guid", pool], limits);
      if (!succeeded(end)) {
        const refused = failureOf(end);
        if (refused.failure.code !== "dataset.not_found") return refused;
        return fail("pool.not_found", `pool ${pool} does not exist or is not imported`);
      }
      const [health = "", guid = ""] = end.stdout.trim().split("\t");
      if (isGrouped) await states.open(guid);
      const version = await zfs(["version"]);
      return succeed({
        health,
        version: version.stdout.split("\n")[0]?.trim() || "unknown",
      });
    },

    find,
    listVolumes: () => volumesBelow(pool),
    listSnapshots: coalesced((root: AnyName) => infos(["-t", "snapshot", "-r", root])),
    snapshotsOf: (volume) => infos(["-t", "snapshot", "-d", "1", "-s", "createtxg", volume]),

    async listImages() {
      const found = await rows(["-t", "all", "-r", "-o", `${COLUMNS},${MARKS}`, `${pool}/images`]);
      if (!found.ok) return found;
      const mark = (field: string | undefined) => (field === undefined || field === "-" ? "" : field);
      return succeed(
        found.value.map(
          (row): MarkedVolume => ({ ...infoOf(row), imageType: mark(row[7]), fetchMark: mark(row[8]) }),
        ),
      );
    },

    space: coalesced(async (root: DatasetName): Promise<Outcome<Space>> => {
      const [here, all] = await Promise.all([
        rows(["-o", "available", root]),
        rows(["-t", "volume", "-r", "-o", "volsize,usedbydataset,refreservation,readonly", pool]),
      ]);
      if (!here.ok) return here;
      if (!all.ok) return all;
      let promised = 0n;
      for (const [volsize, held, reservation, readonly] of all.value) {
        // A thick volume's room is taken already; a read-only image never grows.
        if (numberOf(reservation) > 0n || readonly === "on") continue;
        const growth = numberOf(volsize) - numberOf(held);
        if (growth > 0n) promised += growth;
      }
      return succeed({ available: bytes(numberOf(here.value[0]?.[0])), promised: bytes(promised) });
    }),

    ensureFilesystem: (name) => change(["create", "-p", name]),
    createVolume: (name, size: Bytes) =>
      changeWithParents(["create", "-p", ...propertyFlags(volumeProperties), "-V", String(size)], name),
    async snapshot(name, recursive) {
      if (isGrouped && !recursive) return snapshotTogether(name);
      const made = await change(["snapshot", ...(recursive ? ["-r"] : []), name]);
      return made.ok ? succeed(undefined) : made;
    },
    clone: (origin, target) =>
      changeWithParents(["clone", "-p", ...propertyFlags(volumeProperties), origin], target),
    rename: (from, to) => change(["rename", from, to]),
    destroy: (name, recursive) =>
      isGrouped && isSnapshotName(name) && !recursive
        ? destroyTogether(datasetOf(name), name)
        : change(["destroy", ...(recursive ? ["-r"] : []), name], destroyLimits),
    rollback: (name, destroyMoreRecent) => change(["rollback", ...(destroyMoreRecent ? ["-r"] : []), name]),
    hold: (tag, name) => change(["hold", tag, name]),

    async release(tag, name) {
      const released = await change(["release", tag, name]);
      return !released.ok && released.failure.code === "dataset.not_found" ? succeed(null) : released;
    },

    async listHolds(prefix) {
      const snapshots = await rows(["-t", "snapshot", "-r", "-o", "name,userrefs", pool]);
      if (!snapshots.ok) return snapshots;
      const held = snapshots.value.filter(([, refs]) => numberOf(refs) > 0n).map(([name]) => name as string);
      const holds: { name: SnapshotName; tag: string }[] = [];
      for (let at = 0; at < held.length; at += NAMES_PER_COMMAND) {
        const end = await zfs(["holds", "-H", ...held.slice(at, at + NAMES_PER_COMMAND)], {
          stdoutBytes: LIST_BYTES,
        });
        if (!succeeded(end)) return failureOf(end);
        for (const [name, tag] of rowsOf(end)) {
          if (tag?.startsWith(prefix)) holds.push({ name: name as SnapshotName, tag });
        }
      }
      return succeed(holds);
    },

    sendCommand: (name) => [...settings.zfsCommand, "send", name],
    receiveCommand: (target, marks) => [
      ...settings.zfsCommand,
      "receive",
      "-u",
      ...propertyFlags({ ...volumeProperties, readonly: "on", ...marks }),
      target,
    ],

    // zfs itself shows what it has received.
    finishReceive: async () => succeed(null),
    devices: ZVOL_DEVICES,
    close: async () => {},

    async waitForDevice(volume) {
      if (settings.deviceWaitMs === 0) return true;
      const device = devicePath(volume, ZVOL_DEVICES);
      const until = performance.now() + settings.deviceWaitMs;
      for (let pauseMs = 5; ; pauseMs = Math.min(pauseMs * 2, 200)) {
        if (await exists(device)) return true;
        if (performance.now() > until) return false;
        await sleep(pauseMs);
      }
    },
  };
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false;
  }
}
