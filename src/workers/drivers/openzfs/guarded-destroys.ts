import {
  type FailedOutcome,
  type Failure,
  fail,
  failed,
  type Outcome,
  succeed,
} from "../../../protocol/storage/failures.js";
import {
  type DatasetName,
  datasetOf,
  isSnapshotName,
  type SnapshotName,
  tagOf,
} from "../../../protocol/storage/names.js";
import type { DoomedRecord } from "../../../protocol/storage/records.js";
import { bytes } from "../../../protocol/storage/units.js";
import { failureOf, newerExist, snapshotHeld } from "../../processes/command-failures.js";
import { type CommandLimits, succeeded } from "../../processes/run-command.js";
import type { Zfs } from "../driver.js";
import { createLibraryDestroys, type Doomed, type LibraryDestroys } from "./library-destroys.js";
import type { LibraryWay } from "./library-way.js";
import { numberOf, rowsOf } from "./list-rows.js";
import { programResult } from "./program-result.js";
import { withHolders } from "./snapshot-holders.js";
import { LIST_OUTPUT_BYTES, NAMES_PER_COMMAND, retryWhileBusy, type ZfsCommands } from "./zfs-commands.js";

/**
 * Destroys of several datasets at once. zfs destroys one after the other and stops at the first
 * that it can't: so what may be in the way is looked for before, and a destroy that stops
 * half-way all the same says what is gone.
 */
interface GuardedDestroys {
  /** Destroys a dataset and all below it. Fails: dataset.has_clones, snapshot.held, dataset.busy. */
  destroyTree(name: DatasetName): Promise<Outcome<null>>;
  /** Rolls back, and destroys the newer snapshots. Fails as destroyTree does. */
  rollBackTo(name: SnapshotName): Promise<Outcome<null>>;
  /** What a change would destroy now, bookmarks only of a rollback. Fails as the change does, as far as a look tells. */
  findDoomed: Zfs["findDoomed"];
  /**
   * A clone or a hold in the way of destroying a snapshot, or all of its tag, if a list shows one.
   * OpenZFS before 2.3.3 says of a held snapshot only that it is busy.
   */
  findObstacle(name: SnapshotName, recursive: boolean): Promise<FailedOutcome | undefined>;
  /**
   * The failure to destroy a snapshot, or all of its tag. "Busy" gives way to what is in the way, and
   * a hold is told with its tags.
   */
  explain(name: SnapshotName, recursive: boolean, refused: FailedOutcome): Promise<FailedOutcome>;
}

const DOOMED_COLUMNS = "name,userrefs,clones,createtxg,type";
/** What a dry run tells besides: of a dataset what its own data takes, of a snapshot what it alone keeps. */
const SPACE_COLUMNS = "used,usedbydataset";

/** Most datasets of a destroy that are asked whether they are in use, the volumes first. */
const MAX_ASKED = 3_000;

/** Most names in a message. */
const MAX_NAMED = 20;

/**
 * A channel program that only reads, and returns those of its arguments that are in use: open
 * volumes, and what is being sent or received. 16 is EBUSY. A volume with snapshots must not be
 * among the arguments: it always counts as busy.
 */
const USED_PROGRAM = `
local used = {}
for _, name in ipairs((...)["argv"]) do
  if zfs.check.destroy(name) == 16 then used[#used + 1] = name end
end
return used
`;

export function createGuardedDestroys(
  pool: string,
  commands: ZfsCommands,
  library: LibraryWay,
  limits: Partial<CommandLimits>,
): GuardedDestroys {
  const byLibrary = createLibraryDestroys(pool, library);

  async function listDoomed(args: readonly string[]): Promise<Outcome<readonly Doomed[]>> {
    const end = await commands.zfs(["list", "-Hp", "-o", DOOMED_COLUMNS, ...args], {
      stdoutBytes: LIST_OUTPUT_BYTES,
    });
    if (!succeeded(end)) return failureOf(end);
    return succeed(rowsOf(end).map(doomedOf));
  }

  const listTree = async (name: DatasetName) =>
    (await byLibrary.listTree(name)) ?? listDoomed(["-t", "filesystem,volume,snapshot", "-r", name]);

  /** As listDoomed, with the space that each gives back. */
  async function listWithSpace(args: readonly string[]): Promise<Outcome<readonly SizedDoomed[]>> {
    const end = await commands.zfs(["list", "-Hp", "-o", `${DOOMED_COLUMNS},${SPACE_COLUMNS}`, ...args], {
      stdoutBytes: LIST_OUTPUT_BYTES,
    });
    if (!succeeded(end)) return failureOf(end);
    return succeed(
      rowsOf(end).map((row) => {
        const [used, ofDataset] = row.slice(5);
        const own = row[4] === "snapshot" ? used : ofDataset;
        return {
          ...doomedOf(row),
          used: own === undefined || own === "-" ? undefined : bytes(numberOf(own)),
        };
      }),
    );
  }

  /** The first of `doomed` that is in use; undefined also where zfs refuses programs. */
  async function findUsed(doomed: readonly Doomed[]): Promise<string | undefined> {
    const snapshots = doomed.filter(({ type }) => type === "snapshot");
    const withSnapshots = new Set(snapshots.map(({ name }) => name.slice(0, name.indexOf("@"))));
    const volumes = doomed.filter(({ type, name }) => type === "volume" && !withSnapshots.has(name));
    const asked = [...volumes, ...snapshots].slice(0, MAX_ASKED).map(({ name }) => name);
    for (let at = 0; at < asked.length; at += NAMES_PER_COMMAND) {
      const names = asked.slice(at, at + NAMES_PER_COMMAND);
      const found = await byLibrary.findUsed(names);
      if (found) return found;
      if (found === "") continue;
      const end = await commands.zfs(["program", "-n", "-j", pool, "-", ...names], { stdin: USED_PROGRAM });
      if (!succeeded(end)) return undefined;
      const [used] = Object.values(programResult(end.stdout) ?? {});
      if (typeof used === "string") return used;
    }
    return undefined;
  }

  /**
   * Refuses if anything is in the way of destroying these. `what`: whose clones they are, in the message. `isTried`:
   * nothing will be destroyed that could fail.
   */
  async function check<T extends Doomed>(
    doomed: readonly T[],
    what: string,
    isTried = false,
  ): Promise<Outcome<readonly T[]>> {
    const obstacle = findObstacle(doomed, what);
    if (obstacle) return obstacle;
    // One alone is destroyed or not, and zfs says why not.
    const used = doomed.length > 1 || isTried ? await findUsed(doomed) : undefined;
    if (used === undefined) return succeed(doomed);
    return fail("dataset.busy", `${used} is in use: it is open, or being sent or received`);
  }

  /** Lists and checks what a change destroys, makes the change, and says what is gone if it fails. */
  async function guard(
    list: () => Promise<Outcome<readonly Doomed[]>>,
    what: string,
    args: readonly string[],
    destroyAll: LibraryDestroys["destroyAll"] = async () => undefined,
  ): Promise<Outcome<null>> {
    const checked = await retryWhileBusy(async () => {
      const doomed = await list();
      return doomed.ok ? check(doomed.value, what) : doomed;
    });
    if (!checked.ok) return withHolders(checked, commands);
    const ended = (await destroyAll(checked.value)) ?? (await commands.change(args, limits));
    if (ended.ok) return ended;
    const changed = await withHolders(ended, commands);
    const left = await list();
    if (!left.ok && left.failure.code !== "dataset.not_found") return changed;
    const leftNames = new Set(left.ok ? left.value.map(({ name }) => name) : []);
    const gone = checked.value.map(({ name }) => name).filter((name) => !leftNames.has(name));
    return gone.length === 0 ? changed : { ok: false, failure: withGone(changed.failure, gone) };
  }

  async function obstacleOf(name: SnapshotName, recursive: boolean): Promise<FailedOutcome | undefined> {
    const tag = name.slice(name.indexOf("@"));
    const scope = recursive ? ["-r", datasetOf(name)] : [name];
    const listed = await listDoomed(["-t", "snapshot", ...scope]);
    if (!listed.ok) return undefined;
    return findObstacle(
      listed.value.filter((each) => each.name.endsWith(tag)),
      `${name} has`,
    );
  }

  /** What is destroyed with a name, with the space of each. */
  async function listDestroyed(
    name: DatasetName | SnapshotName,
    recursive: boolean,
  ): Promise<Outcome<readonly SizedDoomed[]>> {
    if (isSnapshotName(name)) {
      const tag = `@${tagOf(name)}`;
      const scope = recursive ? ["-r", datasetOf(name)] : [name];
      const listed = await listWithSpace(["-t", "snapshot", ...scope]);
      return listed.ok ? succeed(listed.value.filter((each) => each.name.endsWith(tag))) : listed;
    }
    const listed = await listWithSpace(["-t", "filesystem,volume,snapshot", "-r", name]);
    const hasChildren = listed.ok && listed.value.length > 1 && !recursive;
    return hasChildren ? fail("command.failed", `cannot destroy '${name}': it has children`) : listed;
  }

  /** The snapshots and bookmarks that a rollback destroys. Fails: dataset.not_found, snapshot.newer_exist. */
  async function listNewer(
    name: SnapshotName,
    destroyMoreRecent: boolean,
  ): Promise<Outcome<readonly SizedDoomed[]>> {
    const listed = await listWithSpace(["-t", "snapshot,bookmark", "-d", "1", datasetOf(name)]);
    if (!listed.ok) return listed;
    const target = listed.value.find((each) => each.name === name);
    if (!target) return failed.notFound;
    const newer = listed.value.filter(({ createtxg }) => createtxg > target.createtxg);
    if (newer.length === 0 || destroyMoreRecent) return succeed(newer);
    return newerExist(name, newer.map((each) => each.name).join(", "));
  }

  return {
    async findDoomed(change) {
      const [what, list] =
        "destroy" in change
          ? [`${change.destroy} has`, () => listDestroyed(change.destroy, change.recursive)]
          : [
              `snapshots newer than ${change.rollback} have`,
              () => listNewer(change.rollback, change.destroyMoreRecent),
            ];
      const checked = await retryWhileBusy(async () => {
        const doomed = await list();
        return doomed.ok ? check(doomed.value, what, true) : doomed;
      });
      if (!checked.ok) return withHolders(checked, commands);
      return succeed(checked.value.map(({ name, used }) => ({ name, used })));
    },
    findObstacle: obstacleOf,
    destroyTree: (name) =>
      guard(() => listTree(name), `${name} has`, ["destroy", "-r", name], byLibrary.destroyAll),

    rollBackTo(name) {
      const newer = async (): Promise<Outcome<readonly Doomed[]>> => {
        const listed = await listDoomed(["-t", "snapshot", "-d", "1", datasetOf(name)]);
        if (!listed.ok) return listed;
        const target = listed.value.find((each) => each.name === name);
        return succeed(target ? listed.value.filter(({ createtxg }) => createtxg > target.createtxg) : []);
      };
      return guard(newer, `snapshots newer than ${name} have`, ["rollback", "-r", name]);
    },

    async explain(name, recursive, refused) {
      const obstacle = refused.failure.code === "dataset.busy" && (await obstacleOf(name, recursive));
      return withHolders(obstacle || refused, commands);
    },
  };
}

type SizedDoomed = Doomed & Pick<DoomedRecord, "used">;

/** Reads a row of DOOMED_COLUMNS. More may follow. */
function doomedOf([name = "", userrefs, clones = "-", createtxg, type = ""]: readonly string[]): Doomed {
  return {
    name,
    isHeld: numberOf(userrefs) > 0n,
    clones: clones === "-" || clones === "" ? [] : clones.split(","),
    createtxg: numberOf(createtxg),
    type,
    isMountable: type === "filesystem",
  };
}

/** A clone of one of these that is not among them, or a hold of one. */
function findObstacle(doomed: readonly Doomed[], what: string): FailedOutcome | undefined {
  const names = new Set<string>(doomed.map(({ name }) => name));
  const clones = doomed.flatMap((each) => each.clones).filter((clone) => !names.has(clone));
  if (clones.length > 0) return fail("dataset.has_clones", `${what} clones: ${clones.sort().join(", ")}`);
  const held = doomed.find(({ isHeld }) => isHeld);
  return held && snapshotHeld(held.name);
}

function withGone(failure: Failure, gone: readonly string[]): Failure {
  const more = gone.length > MAX_NAMED ? ` and ${gone.length - MAX_NAMED} more` : "";
  return {
    ...failure,
    message: `${failure.message}; gone already: ${gone.slice(0, MAX_NAMED).join(", ")}${more}`,
  };
}
