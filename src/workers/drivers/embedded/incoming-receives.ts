import { existsSync } from "node:fs";
import { join } from "node:path";
import type { DatasetName } from "../../../protocol/storage/names.js";
import type { Catalog } from "./catalog.js";
import { REPORT_FILE } from "./child-messages.js";
import { findOwner } from "./folder-owner.js";
import type { FoundPartial } from "./kept-partials.js";
import { hasPartialState, readPartialState } from "./partial-state.js";
import { writePartialToken } from "./partial-token.js";
import type { ReceiveGrants } from "./receive-grants.js";
import { forgetRoom } from "./receive-room.js";
import { newFileName, type VolumeFiles } from "./volume-files.js";

/** A folder in `incoming/` with a stream that is being received, or with what has come of one that broke. */
interface Receive {
  /** The folder's name. */
  readonly folder: string;
  /** Its absolute path. */
  readonly path: string;
  readonly target: DatasetName;
  /** The id of the volume that an increment is received onto. */
  readonly existingId: number | undefined;
  /** What has come of a stream that breaks stays. */
  readonly keeps: boolean;
  /** It was there when the pool was opened, and nothing was received into it since. */
  isFound: boolean;
  /** A process may be asking for room. */
  isRunning: boolean;
}

/** A receive that begins. */
interface BegunReceive {
  readonly path: string;
  /** With what has come of a stream that broke. */
  readonly goesOn: boolean;
  /** What is in the folder, bytes. */
  readonly taken: bigint;
}

/** The streams that are received into a pool, and what has come of those that broke. */
export interface IncomingReceives {
  /** Gives a folder for a stream into `target`: that of one that broke, if there is one that was to be kept. */
  begin(target: DatasetName, keeps: boolean): BegunReceive;
  /** The folder of what is received into `target`, an absolute path. Undefined: there is none. */
  pathOf(target: DatasetName): string | undefined;
  /** The token of a stream that broke and can go on. Undefined: there is none. */
  tokenOf(target: DatasetName): Promise<string | undefined>;
  /** What has come is a dataset's now. */
  adopted(target: DatasetName): void;
  /** Removes what has come for `target`. @returns false: there is nothing. */
  discard(target: DatasetName): Promise<boolean>;
  /** The same of increments whose volumes are gone. */
  discardOrphans(): Promise<void>;
}

/** `found`: what was there when the pool was opened. */
export function createIncomingReceives(
  catalog: Pick<Catalog, "find" | "findById">,
  files: Pick<
    VolumeFiles,
    "incomingPath" | "removeIncoming" | "setIncomingAside" | "receivedBytes" | "receivedNow"
  >,
  grants: ReceiveGrants,
  found: readonly FoundPartial[],
): IncomingReceives {
  const receives = new Set<Receive>();
  for (const { folder, state } of found) {
    const path = files.incomingPath(folder);
    const existingId = state.existing?.id;
    const target = state.target as DatasetName;
    receives.add({ folder, path, target, existingId, keeps: true, isFound: true, isRunning: false });
    grants.end(path, files.receivedNow(path));
  }

  /** A volume may have been renamed since. */
  function find(target: DatasetName): Receive | undefined {
    const id = catalog.find(target)?.id;
    return [...receives].find((each) =>
      each.existingId === undefined ? each.target === target : each.existingId === id,
    );
  }

  async function remove(receive: Receive): Promise<void> {
    grants.end(receive.path);
    receive.isRunning = false;
    receives.delete(receive);
    try {
      await files.removeIncoming(receive.folder);
    } catch (error) {
      receives.add(receive);
      throw error;
    }
  }

  /** What can't be believed is not deleted for that. */
  async function setAside(receive: Receive): Promise<void> {
    grants.end(receive.path);
    receives.delete(receive);
    await files.setIncomingAside(receive.folder);
  }

  /** What is granted to a process that has ended counts no more, only what it has taken. */
  async function settle(receive: Receive): Promise<void> {
    if (!receive.isRunning || (await findOwner(receive.path)) !== undefined) return;
    receive.isRunning = false;
    grants.end(receive.path, await files.receivedBytes(receive.path));
  }

  return {
    begin(target, keeps) {
      const before = find(target);
      const goesOn = keeps && before?.keeps === true && hasPartialState(before.path);
      // What can't go on is removed when its receive fails. If it could not be, the next start does it.
      if (before && !goesOn) remove(before).catch(() => receives.delete(before));
      const folder = goesOn ? before.folder : newFileName();
      const path = files.incomingPath(folder);
      const receive = goesOn
        ? before
        : {
            folder,
            path,
            target,
            keeps,
            existingId: catalog.find(target)?.id,
            isFound: false,
            isRunning: true,
          };
      receive.isFound &&= !goesOn;
      receive.isRunning = true;
      receives.add(receive);
      const taken = files.receivedNow(path);
      forgetRoom(path);
      grants.begin(path, taken);
      return { path, goesOn, taken };
    },
    pathOf: (target) => find(target)?.path,
    async tokenOf(target) {
      const receive = find(target);
      if (!receive?.keeps) return undefined;
      await settle(receive);
      const state = await readPartialState(receive.path);
      if (state === "damaged") await setAside(receive);
      if (typeof state === "string") return undefined;
      // What has come whole is a volume soon, or was refused for what is behind its end.
      if (!receive.isFound && existsSync(join(receive.path, REPORT_FILE))) return undefined;
      return writePartialToken(state);
    },
    adopted(target) {
      const receive = find(target);
      if (receive) grants.end(receive.path);
    },
    async discard(target) {
      const receive = find(target);
      if (receive) await remove(receive);
      return receive !== undefined;
    },
    async discardOrphans() {
      for (const receive of [...receives]) {
        const { existingId } = receive;
        if (existingId !== undefined && !catalog.findById(existingId)) await remove(receive);
      }
    },
  };
}
