import { existsSync } from "node:fs";
import { type FileHandle, mkdir, open, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { sync } from "../../../protocol/raw-disk/file-writes.js";
import type { SavePlace } from "../../../protocol/raw-disk/kept-places.js";
import type { ResumePlace } from "../../../protocol/zfs-stream/resume-list.js";
import type { StreamBegin } from "../../../protocol/zfs-stream/volume-reader.js";
import { DISK_FILE, REPORT_FILE, type ReceiveRequest } from "./child-messages.js";
import { findOwner, ownFolder } from "./folder-owner.js";
import { type PartialState, readPartialState, writePartialState } from "./partial-state.js";

/** Of the receive process: keeps what has come of a stream, and goes on with what was kept of it. */
interface PartialKeeper {
  /** Creates the folder for a stream that is whole. Throws what `refuse` makes where the rest of one is wanted. */
  startAnew(begin: StreamBegin): Promise<void>;
  /** Opens what has come of a stream that broke. Throws what `refuse` makes unless this one is its rest; then all stays. */
  openRest(begin: StreamBegin, resume: ResumePlace): Promise<FileHandle>;
  readonly save: SavePlace;
}

/** `refuse` makes the error that says why a stream is not taken. */
export function createPartialKeeper(request: ReceiveRequest, refuse: (why: string) => Error): PartialKeeper {
  const { folder, target, goesOn, keeps, existing } = request;
  /** What was kept of the stream before this process; undefined: nothing may be kept. */
  let before: PartialState | undefined;

  /** The state in the folder, if this stream is the rest of what it is of. */
  async function findState(
    { toGuid, fromGuid }: StreamBegin,
    { offset }: ResumePlace,
  ): Promise<PartialState> {
    if (!goesOn) throw refuse("nothing is here that it goes on with");
    if ((await findOwner(folder)) !== undefined) throw refuse("another process goes on with the same one");
    const state = await readPartialState(folder);
    if (typeof state === "string") throw refuse("what has come of the one before it can't be read");
    const isSame = state.toGuid === String(toGuid) && state.fromGuid === String(fromGuid);
    if (!isSame) throw refuse("it is not the rest of the one that broke");
    if (state.offset !== offset) {
      throw refuse(`it goes on at ${offset}, and what has come of it ends at ${state.offset}`);
    }
    if (state.existing?.id !== existing?.id || state.existing?.file !== existing?.file) {
      throw refuse(`${target} was changed since the one before it broke`);
    }
    return state;
  }

  return {
    async startAnew({ toName, toGuid, fromGuid }) {
      if (goesOn) throw refuse(`${target} has the beginning of one that broke, and this is not its rest`);
      await mkdir(folder, { mode: 0o750 });
      if (!keeps) return;
      await ownFolder(folder);
      before = {
        target,
        existing: existing && { id: existing.id, file: existing.file },
        toName,
        toGuid: String(toGuid),
        fromGuid: String(fromGuid),
        offset: 0,
        streamBytes: 0,
      };
    },
    async openRest(begin, resume) {
      const state = await findState(begin, resume);
      const { offset } = state;
      const file = await open(join(folder, DISK_FILE), "r+");
      // One that had come whole was cut within its last block.
      const { size } = await file.stat();
      if (size < offset && !existsSync(join(folder, REPORT_FILE))) {
        throw refuse(`what has come of it is damaged: it has ${size} of ${offset} bytes`);
      }
      await ownFolder(folder);
      await rm(join(folder, REPORT_FILE), { force: true });
      // What came behind that place may not have reached the disk as a whole.
      if (begin.fromGuid === 0n) await file.truncate(offset);
      before = state;
      return file;
    },
    async save({ offset, streamBytes }) {
      if (!before) return;
      await writePartialState(folder, { ...before, offset, streamBytes: before.streamBytes + streamBytes });
      await sync(dirname(folder));
    },
  };
}
