import { createCipheriv } from "node:crypto";
import type { Subject } from "./suite.js";
import { withData } from "./zfs-stream.js";

/** The size of the volumes whose streams the suite works with. */
export const IMAGE_MIB = 32;

/** Bytes that don't compress; the same in each run. */
export function noise(length: number): Buffer {
  return createCipheriv("aes-128-ctr", Buffer.alloc(16, 1), Buffer.alloc(16, 2)).update(Buffer.alloc(length));
}

/** A genuine stream of a volume of `IMAGE_MIB`, made by the server; its snapshot is called `s`. */
export async function makeStream({ server, own }: Subject): Promise<Buffer> {
  await server.must("CreateVolume", { id: `${own}/source`, size: IMAGE_MIB });
  await server.must("CreateSnapshot", { id: `${own}/source`, dest: "s" });
  return server.download(`${own}/source@s`);
}

/** That stream with `length` bytes of noise in the volume. */
export async function makeStreamWithData(subject: Subject, length: number): Promise<Buffer> {
  return withData(await makeStream(subject), noise(length));
}
