import { stat } from "node:fs/promises";

class ShortVolumeFile extends Error {
  override readonly name = "ShortVolumeFile";
  readonly code = "EIO";
}

/**
 * Rejects with EIO where the file of a volume or snapshot is shorter than it: something has cut the
 * file. Whoever copied or sent it would take what is missing for zeros.
 */
export async function requireWhole(name: string, path: string, volsize: bigint): Promise<void> {
  const { size } = await stat(path, { bigint: true });
  if (size >= volsize) return;
  throw new ShortVolumeFile(`the data of ${name} is damaged: its file has ${size} of ${volsize} bytes`);
}
