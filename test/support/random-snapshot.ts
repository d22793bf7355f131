import { randomBytes } from "node:crypto";
import { open } from "node:fs/promises";
import { must, type Volumes } from "./rpc.js";

const MIB = 1_048_576;

/** Creates `VOLUME@TAG` of so much random data, by a daemon with an embedded pool. Its stream is as long as its disk. */
export async function createRandomSnapshot(url: string, snapshot: string, sizeMib: number): Promise<void> {
  const [id = "", dest = ""] = snapshot.split("@");
  await must(url, "CreateVolume", { id, size: sizeMib });
  const { volumes } = await must<Volumes>(url, "GetVolume", { id });
  {
    await using file = await open(volumes[0]?.device ?? "", "r+");
    await file.write(randomBytes(sizeMib * MIB));
  }
  await must(url, "CreateSnapshot", { id, dest });
}
