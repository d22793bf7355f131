import { stat } from "node:fs/promises";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import type { DataRange } from "./data-ranges.js";
import { parseQemuMap, qemuMapCommand } from "./qemu-map.js";
import { readTarMap, tarCommand } from "./tar-map.js";

/** A process that is read from. */
interface ReadProcess {
  /** Undefined if it could not be started. */
  readonly stdout: Readable | undefined;
  /** Resolves when it has ended. Never rejects. */
  readonly exited: Promise<unknown>;
  /** Ends it, and closes our end of its stdout. */
  kill(): void;
}

/** Starts a process without a stdin; whoever shares this code has a way of its own. */
export type StartReading = (argv: readonly string[]) => ReadProcess;

/** A program that tells the holes of a file. */
interface MapProgram {
  command(path: string): readonly string[];
  /** `bytes`: the size of the file. Undefined: the output is no map, or not a whole one. */
  read(stdout: Readable, bytes: number): Promise<readonly DataRange[] | undefined>;
}

/**
 * In the order in which they are tried: tar is part of every common distribution, qemu-img is there
 * where disks are made, also where tar is not GNU's.
 */
const MAP_PROGRAMS: readonly MapProgram[] = [
  { command: tarCommand, read: readTarMap },
  {
    command: (path) => qemuMapCommand(path, "raw", true),
    read: async (stdout, bytes) => parseQemuMap(await text(stdout), bytes),
  },
];

/** Fewer bytes of holes are read sooner than a process starts. */
const WORTHWHILE_BYTES = 64 * 1024 * 1024;
/** The unit of stat's `blocks`. */
const BLOCK_BYTES = 512;
const TIME_LIMIT_MS = 60_000;

async function runMapProgram(
  { command, read }: MapProgram,
  path: string,
  bytes: number,
  start: StartReading,
): Promise<readonly DataRange[] | undefined> {
  const child = start(command(path));
  if (!child.stdout) return undefined;
  const timeLimit = setTimeout(child.kill, TIME_LIMIT_MS);
  try {
    return await read(child.stdout, bytes);
  } catch {
    // The kill closes the stream in the middle.
    return undefined;
  } finally {
    clearTimeout(timeLimit);
    child.kill();
    await child.exited;
  }
}

/** Whether a file has so many bytes of holes that it is worth while to know where. */
export function hasLargeHoles({ size, blocks }: { readonly size: number; readonly blocks: number }): boolean {
  return size - blocks * BLOCK_BYTES >= WORTHWHILE_BYTES;
}

/**
 * Where a file may hold data; it is zeros everywhere else. Costs as much as the file has ranges,
 * however large its holes are. Undefined: not known, so all of it has to be read. That is so where
 * there is little to gain, where neither GNU tar nor qemu-img is there, and of a device.
 * Rejects with errors of the file system.
 */
export async function findData(path: string, start: StartReading): Promise<readonly DataRange[] | undefined> {
  const found = await stat(path);
  if (!found.isFile()) return undefined;
  if (found.blocks === 0) return [];
  if (!hasLargeHoles(found)) return undefined;
  for (const program of MAP_PROGRAMS) {
    const ranges = await runMapProgram(program, path, found.size, start);
    if (ranges) return ranges;
  }
  return undefined;
}
