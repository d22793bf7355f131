import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open, readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fail, type Outcome, succeed } from "../../protocol/storage/failures.js";

/** An audit file that is open, and the byte before which a page begins. */
export interface AuditPlace {
  readonly file: FileHandle;
  readonly end: number;
}

/** So many bytes before a place tell whether it is still the same. */
const CHECKED_BYTES = 64;

/** Of a place in a file that was truncated, moved out of reach or compressed since. */
export const auditHasChanged = fail(
  "request.invalid",
  "the audit file has changed since the page before, or was moved away: begin without after",
);

/** A regular file, or undefined: another has been put in its place, or it has gone. Rejects with other errors. */
async function openFile(path: string): Promise<FileHandle | undefined> {
  try {
    // One that is a pipe must not hold up a thread until somebody writes to it.
    return await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (Object(error).code === "ENOENT") return undefined;
    throw error;
  }
}

/** What the bytes before a place are known by. They are whole lines, which stay as they are. */
async function checkOf(file: FileHandle, at: number): Promise<string> {
  const length = Math.min(CHECKED_BYTES, at);
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, at - length);
  return createHash("sha256").update(buffer.subarray(0, bytesRead)).digest("hex").slice(0, 16);
}

/** A text by which a client comes back to a place in a file, whatever the file is called then. */
export async function textOfPlace({ file, end }: AuditPlace): Promise<string> {
  const { ino } = await file.stat({ bigint: true });
  return `${ino}.${end}.${await checkOf(file, end)}`;
}

/** The file and those beside it whose names begin with its own: where rotation has put what it was. */
async function candidates(path: string): Promise<readonly string[]> {
  const name = basename(path);
  const folder = dirname(path);
  const moved = (await readdir(folder)).filter((each) => each.startsWith(name) && each !== name).sort();
  return [path, ...moved.map((each) => join(folder, each))];
}

async function isPlace(
  file: FileHandle,
  known: { ino: string; end: number; check: string },
): Promise<boolean> {
  const status = await file.stat({ bigint: true });
  if (String(status.ino) !== known.ino || !status.isFile() || status.size < BigInt(known.end)) return false;
  return (await checkOf(file, known.end)) === known.check;
}

async function openAgain(path: string, text: string): Promise<Outcome<AuditPlace>> {
  const [, ino = "", at = "", check] = /^(\d{1,20})\.(\d{1,15})\.([0-9a-f]{16})$/.exec(text) ?? [];
  if (check === undefined) return fail("request.invalid", "not a place in the audit file");
  const end = Number(at);
  for (const candidate of await candidates(path)) {
    const file = await openFile(candidate);
    if (file === undefined) continue;
    const isIt = await isPlace(file, { ino, end, check }).catch(() => false);
    if (isIt) return succeed({ file, end });
    await file.close();
  }
  return auditHasChanged;
}

/**
 * Opens the audit file at its end, or where `after` says. Undefined: there is no file, as between the moment
 * when it is moved away and the signal to open it anew. Fails: request.invalid. Rejects: it can't be read.
 */
export async function openPlace(path: string, after: string): Promise<Outcome<AuditPlace | undefined>> {
  if (after !== "") return openAgain(path, after);
  const file = await openFile(path);
  if (file === undefined) return succeed(undefined);
  const status = await file.stat();
  if (status.isFile()) return succeed({ file, end: status.size });
  await file.close();
  return fail("request.invalid", "no audit file is kept: audit.file is no regular file");
}
