import { randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { type FileHandle, link, lstat, open, realpath, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { createEarlySync } from "../../../protocol/raw-disk/early-sync.js";
import { sync, writeWhole } from "../../../protocol/raw-disk/file-writes.js";
import { codeOf } from "../../../protocol/storage/caught-error.js";
import { CommandFailure } from "./command-failure.js";

/** A file that appears in its place only when it is complete. */
export interface TargetFile {
  /** For reading and writing. The file is empty at first. */
  readonly handle: FileHandle;
  /** Adds to the end. One append at a time, and none when the file is closed. */
  append(piece: Uint8Array): Promise<void>;
  /** Waits until the data is on the disk, then moves the file to its place. */
  commit(): Promise<void>;
  /** Closes the file, and removes it unless it was committed. */
  close(): Promise<void>;
}

/** Where the file goes. */
interface Destination {
  /** A path without a link at its end. */
  readonly place: string;
  /** The mode of the file that is replaced. Undefined: there is none. */
  readonly mode?: number;
}

interface TargetOptions {
  /** False: `commit` rejects with EEXIST where a file has come meanwhile. */
  readonly mayReplace?: boolean;
}

/** What a file system without hard links answers. */
const NO_LINKS: readonly string[] = ["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"];

/** As rename, which replaces what is there; this does not, where there are hard links. */
async function moveToFree(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
    await rm(from, { force: true });
  } catch (error) {
    if (!NO_LINKS.includes(codeOf(error))) throw error;
    await rename(from, to);
  }
}

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Accepts a path where no file is, or one of a regular file that is not an input. A link is followed. */
async function findDestination(path: string, inputs: readonly string[]): Promise<Destination> {
  const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
  });
  if (!found) return { place: join(await realpath(dirname(path)), basename(path)) };
  const place = found.isSymbolicLink() ? await realpath(path) : path;
  const replaced = await lstat(place);
  if (!replaced.isFile()) throw new CommandFailure(`${path} is no regular file, it can't be replaced`);
  for (const input of inputs) {
    const { dev, ino } = await lstat(await realpath(input));
    if (dev === replaced.dev && ino === replaced.ino)
      throw new CommandFailure(`${path} is read, it can't be written too`);
  }
  return { place, mode: replaced.mode };
}

/**
 * Opens a new file under a temporary name in the folder of `path`; `commit` renames it.
 * A signal that ends the process removes the temporary file first. Only SIGKILL leaves it.
 * Fails: a CommandFailure when `path` is no regular file or one of `inputs`; errors of open(2).
 */
export async function createTargetFile(
  path: string,
  inputs: readonly string[],
  { mayReplace = true }: TargetOptions = {},
): Promise<TargetFile> {
  const { place, mode } = await findDestination(path, inputs);
  const temporary = join(dirname(place), `.imagestore-${randomBytes(8).toString("hex")}.partial`);
  /** Removes the file, and then lets the signal end the process as if nobody had listened. */
  const onSignal = (signal: NodeJS.Signals) => {
    const removeAndEnd = () => {
      rmSync(temporary, { force: true });
      stopListening();
      process.kill(process.pid, signal);
    };
    // An `open` in progress may create the file after a removal, so wait for its end.
    void opening.then(removeAndEnd, removeAndEnd);
  };
  const stopListening = () => {
    for (const signal of SIGNALS) process.off(signal, onSignal);
  };
  // Before `open`: the file exists before `open` resolves, and a signal may come between.
  for (const signal of SIGNALS) process.on(signal, onSignal);
  const opening = open(temporary, "wx+");
  const handle = await opening.catch((error: unknown) => {
    stopListening();
    throw error;
  });
  const early = createEarlySync(handle);
  /** True once the file has its final name, so `close` must not remove it. */
  let isCommitted = false;
  return {
    handle,
    append: async (piece) => {
      await writeWhole(handle, piece);
      early.wrote(piece.length);
    },
    commit: async () => {
      await early.settle();
      if (mode !== undefined) await handle.chmod(mode);
      await handle.sync();
      await (mayReplace ? rename(temporary, place) : moveToFree(temporary, place));
      isCommitted = true;
      await sync(dirname(place));
    },
    close: async () => {
      await early.settle().catch(() => {});
      await handle.close();
      if (!isCommitted) await rm(temporary, { force: true });
      stopListening();
    },
  };
}
