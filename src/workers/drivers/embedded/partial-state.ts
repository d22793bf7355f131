import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { open, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { sync } from "../../../protocol/raw-disk/file-writes.js";
import { codeOf } from "../../../protocol/storage/caught-error.js";

/** What the receive process keeps in its folder of a stream that may go on where it breaks. */
export interface PartialState {
  /** The name that the stream's volume is to have, full. */
  readonly target: string;
  /** Of an increment: the volume that it is received onto, and the file that it had then. */
  readonly existing?: { readonly id: number; readonly file: string } | undefined;
  /** "POOL/VOLUME@SNAPSHOT" on the sender's side. */
  readonly toName: string;
  readonly toGuid: string;
  /** "0": the stream is full. */
  readonly fromGuid: string;
  /** All of the stream's data before this place in the volume is on the disk. Bytes. */
  readonly offset: number;
  /** How many bytes of streams were taken for it, about. */
  readonly streamBytes: number;
}

const STATE_FILE = "partial.json";
/** The layout of the file. One of another version is not read. */
const VERSION = 1;

const digestOf = (state: unknown) => createHash("sha256").update(JSON.stringify(state)).digest("hex");

/** Resolves once it survives a power cut. Until then what was there before is found. */
export async function writePartialState(folder: string, state: PartialState): Promise<void> {
  const path = join(folder, STATE_FILE);
  await rm(`${path}.new`, { force: true });
  {
    await using file = await open(`${path}.new`, "wx", 0o600);
    await file.writeFile(JSON.stringify({ version: VERSION, state, sha256: digestOf(state) }));
    await file.sync();
  }
  await rename(`${path}.new`, path);
  await sync(folder);
}

/** Whether there is a state, which may be damaged. */
export function hasPartialState(folder: string): boolean {
  return existsSync(join(folder, STATE_FILE));
}

/** Undefined: the text is damaged, or of another version. With the right digest it has the shape that it was written with. */
function parseState(text: string): PartialState | undefined {
  try {
    const { version, state, sha256 } = JSON.parse(text);
    return version === VERSION && sha256 === digestOf(state) ? state : undefined;
  } catch {
    return undefined;
  }
}

/** `none`: nothing was kept so far. `damaged`: there is a state, which can't be believed. Rejects with errors of the file system. */
export async function readPartialState(folder: string): Promise<PartialState | "none" | "damaged"> {
  let text: string;
  try {
    text = await readFile(join(folder, STATE_FILE), "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return "none";
    throw error;
  }
  return parseState(text) ?? "damaged";
}
