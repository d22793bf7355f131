import { once } from "node:events";
import type { Socket } from "node:net";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import type { Pace } from "../../protocol/threads/pace.js";

/**
 * Copies what a command writes to a client's connection, no faster than `pace` lets it. @returns how many bytes
 * it has written. It ends early, without a failure, where either side is closed: whoever waits for the
 * command's end or for the client's learns of it there.
 */
export async function copyPaced(from: Readable, to: Socket, pace: Pace): Promise<number> {
  const closed = new AbortController();
  const onClose = () => closed.abort();
  to.once("close", onClose);
  let bytes = 0;
  try {
    for await (const read of from) {
      const chunk: Buffer = read;
      if (to.destroyed) break;
      bytes += chunk.length;
      if (!to.write(chunk)) await once(to, "drain", closed);
      const waitMs = pace.take(chunk.length);
      if (waitMs > 0) await sleep(waitMs, undefined, closed);
    }
  } catch (error) {
    if (!closed.signal.aborted && !to.destroyed && !from.destroyed) throw error;
  } finally {
    to.off("close", onClose);
  }
  return bytes;
}
