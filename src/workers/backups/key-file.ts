import { open } from "node:fs/promises";

/** A file of a key that can't be used. Its words name the file and never what is in it. */
export class KeyFileProblem extends Error {}

const MOST_BYTES = 4096;

/** A file that only its owner may read. Rejects with a KeyFileProblem, or as it can't be opened. */
async function readPrivate(path: string): Promise<string> {
  await using file = await open(path, "r");
  const { mode, size } = await file.stat();
  if ((mode & 0o077) !== 0) {
    throw new KeyFileProblem("a file of a key may be read by others: its mode must be 0600");
  }
  if (size > MOST_BYTES) throw new KeyFileProblem("a file of a key is too long to be one");
  return file.readFile("utf8");
}

/** The one line of a file that only its owner may read. Rejects with a KeyFileProblem, or as it can't be opened. */
export async function readKeyFile(path: string): Promise<string> {
  const [key = "", ...rest] = (await readPrivate(path)).split("\n");
  if (key.trim() === "" || rest.some((line) => line.trim() !== "")) {
    throw new KeyFileProblem("a file of a key must hold one line");
  }
  return key.trim();
}

/**
 * The identities of age in a file that only its owner may read, as `age-keygen` writes it: one a line, beside
 * empty lines and those that begin with #. Rejects with a KeyFileProblem, or as it can't be opened.
 */
export async function readIdentities(path: string): Promise<readonly string[]> {
  const lines = (await readPrivate(path)).split("\n").map((line) => line.trim());
  const identities = lines.filter((line) => line !== "" && !line.startsWith("#"));
  if (identities.length === 0 || !identities.every((line) => /^AGE-SECRET-KEY-1[0-9A-Z]+$/.test(line))) {
    throw new KeyFileProblem(
      "identityFile must hold identities of age, each a line that begins with AGE-SECRET-KEY-1",
    );
  }
  return identities;
}
