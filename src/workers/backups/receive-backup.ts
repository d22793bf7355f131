import { addAbortSignal, type Writable } from "node:stream";
import { finished } from "node:stream/promises";
import { placeOf } from "../../protocol/backups/manifest.js";
import { backupIdOf, dataNameOf } from "../../protocol/backups/object-names.js";
import type { StoreOrder } from "../../protocol/backups/store-orders.js";
import { fail } from "../../protocol/storage/failures.js";
import type { ChildTable } from "../../protocol/threads/child-table.js";
import { failureOf } from "../processes/command-failures.js";
import { succeeded } from "../processes/run-command.js";
import { receive } from "../streams/receive-command.js";
import type { ObjectStore } from "./object-store.js";
import { readObject } from "./read-object.js";
import { DamagedObject, FailedStep } from "./store-failures.js";
import { openContent } from "./stored-content.js";
import { CipherFailure, identitiesOf } from "./stream-cipher.js";

interface ReceiveBackupOptions {
  readonly order: StoreOrder<"receive">;
  readonly store: ObjectStore;
  readonly children: ChildTable;
  readonly signal: AbortSignal;
  onStart(pid: number | undefined): void;
  onProgress(bytes: number): void;
}

/**
 * Gives the data of a backup to a command. The command sees the end of its input only if all that it was given is
 * what was stored; otherwise it is killed, and has received nothing.
 */
export async function receiveBackup(options: ReceiveBackupOptions): Promise<null> {
  const { order, store, children, signal, onStart, onProgress } = options;
  const { manifest, command } = order;
  const name = dataNameOf(backupIdOf(placeOf(manifest)));
  const feed = async (way: Writable) => {
    const identities = manifest.encryption && (await identitiesOf(order.profile));
    // What deciphers looks back at chunks of before; the command has taken each before the next one is asked for.
    const open = manifest.encryption ? store.open : store.lend;
    const content = openContent(readObject(open, signal, name, manifest.bytes), manifest, identities);
    let bytes = 0;
    const ended = finished(addAbortSignal(signal, way));
    // It is awaited below; until then it must not count as one that nobody handles.
    ended.catch(() => {});
    for await (const chunk of content) {
      await new Promise<void>((resolve) => {
        way.write(chunk, () => resolve());
      });
      if (way.destroyed) return ended;
      bytes += chunk.length;
      onProgress(bytes);
    }
    way.end();
    await ended;
  };
  const allows = { increments: manifest.guids.from !== null };
  const ignored = { onTaken: () => {}, onPassed: () => {} };
  const { end, feeding } = await receive(
    { order: { command, allows }, children, signal, onStart, ...ignored },
    feed,
  );
  if (signal.aborted) throw new Error("ended");
  if (feeding.kind === "broken") {
    // Where contents were not looked at before, it is not known which of the two it is.
    const { error } = feeding;
    if (!(error instanceof CipherFailure)) throw error;
    throw new DamagedObject(name, `the identities of the profile don't open it: ${error.message}`);
  }
  if (!succeeded(end)) throw new FailedStep(failureOf(end));
  if (feeding.kind === "stdin_closed") {
    throw new FailedStep(
      fail("command.failed", `the command that receives ${name} ended before its input did`),
    );
  }
  return null;
}
