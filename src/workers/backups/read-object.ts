import { setTimeout as sleep } from "node:timers/promises";
import type { ObjectStore } from "./object-store.js";
import { pauseMs, TRIES } from "./repeated.js";
import { DamagedObject, mayBeRepeated } from "./store-failures.js";

type Reading = Pick<ObjectStore, "open">;

type Opening = (name: string, from: number) => Promise<AsyncIterable<Buffer> | undefined>;

/**
 * The bytes of an object, by `open` or `lend` of its store. A connection that breaks is opened anew from where it broke, a few times as long as
 * nothing comes. Throws a DamagedObject for one that is missing, or longer or shorter than `bytes`.
 */
export async function* readObject(
  open: Opening,
  signal: AbortSignal,
  name: string,
  bytes: number,
): AsyncGenerator<Buffer> {
  let at = 0;
  for (let attempt = 1; ; attempt++) {
    try {
      const content = await open(name, at);
      if (!content) throw new DamagedObject(name, "it is missing");
      for await (const chunk of content) {
        at += chunk.length;
        if (at > bytes) throw new DamagedObject(name, `it has more than the ${bytes} bytes that were stored`);
        attempt = 0;
        yield chunk;
      }
      if (at < bytes) throw new DamagedObject(name, `it has ${at} bytes, and ${bytes} were stored`);
      return;
    } catch (error) {
      if (attempt >= TRIES || signal.aborted || at === bytes || !mayBeRepeated(error)) throw error;
      await sleep(pauseMs(attempt), undefined, { signal });
    }
  }
}

/** All of a small object. Undefined: there is none. Rejects with a DamagedObject if it is longer than `most`. */
export async function readSmall(store: Reading, name: string, most: number): Promise<Buffer | undefined> {
  const content = await store.open(name);
  if (!content) return undefined;
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const read of content) {
    const chunk: Buffer = read;
    bytes += chunk.length;
    if (bytes > most) throw new DamagedObject(name, `it has more than ${most} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
