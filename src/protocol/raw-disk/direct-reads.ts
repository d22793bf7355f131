import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { codeOf } from "../storage/caught-error.js";

/** Gives memory for the data that is read. */
export type Allocate = (bytes: number) => Buffer;

/** Reads past the page cache: of a hole, the system then only clears our memory, and keeps no page of zeros. */
interface DirectReads {
  readonly file: FileHandle;
  readonly allocate: Allocate;
}

/** What is used of it. The types of Node 20 leave it out. */
declare const WebAssembly: {
  readonly Memory: new (size: { readonly initial: number }) => { readonly buffer: ArrayBuffer };
};

const WASM_PAGE_BYTES = 64 * 1024;
/** More than the blocks of common devices: places, lengths and memory of direct reads must be multiples of these. */
const ALIGNED_BYTES = 4096;

/** Node's own buffers begin anywhere, the memory of WebAssembly with a page. */
const allocateAligned: Allocate = (bytes) =>
  Buffer.from(new WebAssembly.Memory({ initial: Math.ceil(bytes / WASM_PAGE_BYTES) }).buffer, 0, bytes);

/**
 * Opens a file for direct reads (open(2), O_DIRECT). Undefined: its file system has none, or its `bytes` are
 * no whole blocks. Rejects with errors of the file.
 */
export async function openDirect(path: string, bytes: number): Promise<DirectReads | undefined> {
  if (bytes % ALIGNED_BYTES !== 0 || typeof WebAssembly === "undefined") return undefined;
  let file: FileHandle | undefined;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_DIRECT);
    // Some refuse only the read.
    await file.read(allocateAligned(ALIGNED_BYTES), 0, ALIGNED_BYTES, 0);
    return { file, allocate: allocateAligned };
  } catch (error) {
    await file?.close();
    // There is no address space for its memory, which reserves several GiB of it.
    if (error instanceof RangeError || codeOf(error) === "EINVAL") return undefined;
    throw error;
  }
}
