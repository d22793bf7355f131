import { join } from "node:path";
import type { ActorLog } from "../../../protocol/threads/actor-log.js";
import type { Catalog } from "./catalog.js";
import { DISK_FILE } from "./child-messages.js";
import { endOwner } from "./folder-owner.js";
import { type PartialState, readPartialState } from "./partial-state.js";
import { lookAt } from "./pool-survey.js";
import type { VolumeFiles } from "./volume-files.js";

/** What has come of a stream that broke in an earlier run. */
export interface FoundPartial {
  /** The name of its folder in `incoming/`. */
  readonly folder: string;
  readonly state: PartialState;
}

/** What a start does with a folder in `incoming/`. */
type Fate = FoundPartial | "worthless" | "put aside";

async function fateOf(
  catalog: Pick<Catalog, "find" | "findById">,
  path: string,
  folder: string,
): Promise<Fate> {
  // Nothing can go on beside a process that may still write.
  if (!(await endOwner(path))) return "put aside";
  const state = await readPartialState(path).catch(() => "damaged" as const);
  if (state === "none") return "worthless";
  if (state === "damaged") return "put aside";
  // Its data has become a dataset's, or its volume is gone: the catalog and the folder say the same.
  if (!lookAt(join(path, DISK_FILE))) return "worthless";
  const { existing, target } = state;
  const isWanted = existing
    ? catalog.findById(existing.id) !== undefined
    : catalog.find(target) === undefined;
  return isWanted ? { folder, state } : "worthless";
}

/**
 * Finds the streams that broke and can go on, once the processes that received them have ended. A folder whose state
 * can't be believed is moved to `lost/`, with `keepOthers` also one that seems to be of no use.
 */
export async function findKeptPartials(
  catalog: Pick<Catalog, "find" | "findById">,
  files: Pick<VolumeFiles, "incomingFolders" | "incomingPath" | "setIncomingAside">,
  keepOthers: boolean,
  log: ActorLog,
): Promise<readonly FoundPartial[]> {
  const kept: FoundPartial[] = [];
  for (const folder of await files.incomingFolders()) {
    const path = files.incomingPath(folder);
    const fate = await fateOf(catalog, path, folder);
    if (typeof fate !== "string") kept.push(fate);
    if (fate !== "put aside" && !(keepOthers && fate === "worthless" && lookAt(join(path, DISK_FILE))))
      continue;
    await files.setIncomingAside(folder);
    log.error("what has come of a stream can't be gone on with, and is set aside", { folder });
  }
  return kept;
}
