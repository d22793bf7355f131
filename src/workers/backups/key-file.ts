import { open } from "node:fs/promises";

/** A file of a key that can't be used. Its words name the file and never what is in it. */
export class KeyFileProblem extends Error {}

const MOST_BYTES = 4096;

/** The one line of a file that only its owner may read. Rejects with a KeyFileProblem, or as it can't be opened. */
export async function readKeyFile(path: string): Promise<string> {
  await using file = await open(path, "r");
  const { mode, size } = await file.stat();
  if ((mode & 0o077) !== 0) {
    throw new KeyFileProblem("a file of a key may be read by others: its mode must be 0600");
  }
  if (size > MOST_BYTES) throw new KeyFileProblem("a file of a key is too long to be one");
  const [key = "", ...rest] = (await file.readFile("utf8")).split("\n");
  if (key.trim() === "" || rest.some((line) => line.trim() !== "")) {
    throw new KeyFileProblem("a file of a key must hold one line");
  }
  return key.trim();
}
