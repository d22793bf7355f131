import { randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { type FileHandle, lstat, open, realpath, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { sync, writeWhole } from "../../../protocol/raw-disk/file-writes.js";
import { CommandFailure } from "./command-failure.js";

/** A file that is there whole or not at all. */
export interface TargetFile {
  /** For reading and writing; empty at first. */
  readonly handle: FileHandle;
  /** Adds to the end what nobody changes afterwards. Settles when the piece before is written. */
  append(piece: Uint8Array): Promise<void>;
  /** Puts the file in its place when its data is on the disk. */
  commit(): Promise<void>;
  /** Closes the file, and removes it unless it was committed. */
  close(): Promise<void>;
}

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** What a rename may replace: a link's end, and a regular file, whose mode is kept, if anything. */
async function replaceable(
  path: string,
  inputs: readonly string[],
): Promise<{ place: string; mode?: number }> {
  const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
  });
  if (!found) return { place: join(await realpath(dirname(path)), basename(path)) };
  const real = found.isSymbolicLink() ? await realpath(path) : path;
  const target = await lstat(real);
  if (!target.isFile()) throw new CommandFailure(`${path} is no regular file, it can't be replaced`);
  for (const input of inputs) {
    const { dev, ino } = await lstat(await realpath(input));
    if (dev === target.dev && ino === target.ino)
      throw new CommandFailure(`${path} is read, it can't be written too`);
  }
  return { place: real, mode: target.mode };
}

/**
 * Opens a new file under a temporary name beside `path`, whose place it takes in the end.
 * A signal that ends the process removes it first; only SIGKILL leaves it.
 * Fails: a CommandFailure where `path` is no regular file or one of `inputs`; errors of open(2).
 */
export async function createTargetFile(path: string, inputs: readonly string[]): Promise<TargetFile> {
  const { place, mode } = await replaceable(path, inputs);
  const temporary = join(dirname(place), `.imagestore-${randomBytes(8).toString("hex")}.partial`);
  const onSignal = (signal: NodeJS.Signals) => {
    const end = () => {
      rmSync(temporary, { force: true });
      stopListening();
      process.kill(process.pid, signal);
    };
    // The file may be there before we hear of it.
    void opening.then(end, end);
  };
  const stopListening = () => {
    for (const signal of SIGNALS) process.off(signal, onSignal);
  };
  // First of all: the file is there, and may be seen, before `open` returns.
  for (const signal of SIGNALS) process.on(signal, onSignal);
  const opening = open(temporary, "wx+");
  const handle = await opening.catch((error: unknown) => {
    stopListening();
    throw error;
  });
  let underWay: Promise<void> = Promise.resolve();
  let isCommitted = false;
  return {
    handle,
    append: async (piece) => {
      await underWay;
      underWay = writeWhole(handle, piece);
      // It may fail while nobody waits for it; the next one, or the commit, is told.
      underWay.catch(() => {});
    },
    commit: async () => {
      await underWay;
      if (mode !== undefined) await handle.chmod(mode);
      await handle.sync();
      await rename(temporary, place);
      isCommitted = true;
      await sync(dirname(place));
    },
    close: async () => {
      await underWay.catch(() => {});
      await handle.close();
      if (!isCommitted) await rm(temporary, { force: true });
      stopListening();
    },
  };
}
