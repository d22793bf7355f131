import {
  closeSync,
  fdatasync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import type { Logger } from "pino";
import { codeOf, messageOf } from "../../protocol/storage/caught-error.js";

/** A file of JSON lines that outlives the daemon. What can't be written is lost, and the log says so once. */
export interface StateLog {
  append(line: object): void;
  /** Resolves when all that was appended is on the disk, or can't be. Callers that wait at once share a sync. */
  synced(): Promise<void>;
  close(): void;
}

/** What an earlier run has left, and how to go on from there. */
export interface OpenedStateLog {
  /** The values of its lines, oldest first. */
  readonly lines: readonly unknown[];
  /**
   * Begins a new file with those of its lines that still count. `live` gives what every further file must
   * begin with: the lines of what has not ended.
   */
  begin(lines: readonly object[], live: () => readonly object[]): StateLog;
}

const FILE = "jobs.log";
const OLDER = "jobs.log.1";
/** A file that is longer becomes the older one, and a new one begins: at most two are on the disk. */
const FILE_BYTES = 32 * 1024 * 1024;

/** Reads the files of the folder. One that is damaged is put aside; what can be read of it counts. Never fails. */
export function openStateLog(folder: string, log: Pick<Logger, "error" | "warn">): OpenedStateLog {
  const lines = [OLDER, FILE].flatMap((name) => readLines(join(folder, name), log));
  return { lines, begin: (kept, live) => beginLog(folder, kept, live, log) };
}

function readLines(path: string, log: Pick<Logger, "error" | "warn">): unknown[] {
  let texts: string[];
  try {
    texts = readFileSync(path, "utf8").split("\n");
  } catch (error) {
    if (codeOf(error) !== "ENOENT") log.error({ path, reason: messageOf(error) }, "jobs can't be read");
    return [];
  }
  // A crash may have cut the last line short, or left it out.
  const last = texts.pop();
  const lines: unknown[] = [];
  let damaged = 0;
  for (const text of texts) {
    const value = parseLine(text);
    if (value === undefined && text !== "") damaged++;
    else if (value !== undefined) lines.push(value);
  }
  const rest = last === undefined ? undefined : parseLine(last);
  if (rest !== undefined) lines.push(rest);
  if (damaged > 0) putAside(path, damaged, log);
  return lines;
}

function parseLine(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function putAside(path: string, damaged: number, log: Pick<Logger, "error">): void {
  const aside = `${path}.damaged-${Date.now()}`;
  try {
    renameSync(path, aside);
    log.error({ path, aside, lines: damaged }, "a file of jobs is damaged, and put aside");
  } catch (error) {
    log.error({ path, reason: messageOf(error), lines: damaged }, "a file of jobs is damaged");
  }
}

function beginLog(
  folder: string,
  kept: readonly object[],
  live: () => readonly object[],
  log: Pick<Logger, "error" | "warn">,
): StateLog {
  const path = join(folder, FILE);
  const text = (line: object) => `${JSON.stringify(line)}\n`;
  /** Undefined where there is none: then nothing is kept. */
  let file: number | undefined;
  /** Of the file, bytes. */
  let length = 0;
  /** The last line could not be written, or a part of it only. */
  let isBroken = false;
  /** Something was appended since the last sync began. */
  let isDirty = false;
  /** The sync that runs. */
  let syncing: Promise<void> | undefined;

  function write(bytes: Buffer): void {
    if (file === undefined) return;
    writeAll(file, bytes);
    length += bytes.length;
    isDirty = true;
  }

  function tell(error: unknown): void {
    if (!isBroken) log.error({ path, reason: messageOf(error) }, "jobs are not kept over a restart");
    isBroken = true;
  }

  /** A sync of the file may still run. */
  function closeAfterSync(old: number): void {
    if (syncing) void syncing.then(() => closeSync(old));
    else closeSync(old);
  }

  /** Puts a file with these lines in the place of the one that is there. */
  function replace(lines: readonly object[]): void {
    const nextPath = `${path}.new`;
    rmSync(nextPath, { force: true });
    const next = openSync(nextPath, "a", 0o600);
    const bytes = Buffer.from(lines.map(text).join(""));
    try {
      writeAll(next, bytes);
      fsyncSync(next);
      renameSync(nextPath, path);
    } catch (error) {
      closeSync(next);
      throw error;
    }
    if (file !== undefined) closeAfterSync(file);
    file = next;
    length = bytes.length;
  }

  function rotate(): void {
    renameSync(path, join(folder, OLDER));
    replace(live());
  }

  function sync(): Promise<void> {
    const current = file;
    if (current === undefined || !isDirty) return Promise.resolve();
    isDirty = false;
    return new Promise((resolve) => {
      fdatasync(current, (error) => {
        // A file that was closed meanwhile has been replaced by one that is on the disk.
        if (error && current === file) tell(error);
        resolve();
      });
    });
  }

  try {
    replace(kept);
    rmSync(join(folder, OLDER), { force: true });
  } catch (error) {
    tell(error);
  }
  return {
    append: (line) => {
      try {
        if (length > FILE_BYTES) rotate();
        write(Buffer.from(isBroken ? `\n${text(line)}` : text(line)));
        if (isBroken && file !== undefined) {
          log.warn({ path }, "jobs are kept again");
          isBroken = false;
        }
      } catch (error) {
        tell(error);
      }
    },
    synced: async () => {
      // What was appended before this call is in the sync that begins after the one that runs.
      await syncing;
      syncing ??= sync().finally(() => {
        syncing = undefined;
      });
      await syncing;
    },
    close: () => {
      if (file !== undefined) closeAfterSync(file);
      file = undefined;
    },
  };
}

function writeAll(file: number, bytes: Buffer): void {
  for (let written = 0; written < bytes.length; ) written += writeSync(file, bytes, written);
}
