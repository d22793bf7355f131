import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { failed, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import type { DatasetName, SnapshotName } from "../../../protocol/storage/names.js";
import { type Bytes, bytes } from "../../../protocol/storage/units.js";
import type { Zfs } from "../driver.js";
import type { Catalog, Change, Entry } from "./catalog.js";
import type { Commits } from "./catalog-transaction.js";
import { RECEIVED_FILE, type ReceivedStream, type ReceiveOrder, type SendOrder } from "./child-messages.js";
import { growth, missingParents, newEntry, VOLBLOCKSIZE } from "./dataset-rules.js";
import type { Usage } from "./space-accounting.js";
import { attempt } from "./storage-errors.js";
import { newFile, type VolumeFiles } from "./volume-files.js";

const scriptPath = (name: string) => fileURLToPath(new URL(`./${name}.js`, import.meta.url));

/** The sending and receiving processes of an embedded pool, and what becomes of what was received. */
export interface EmbeddedTransfers extends Pick<Zfs, "sendCommand" | "receiveCommand" | "finishReceive"> {
  /** Removes what was received for `target` and is no dataset yet. */
  dropReceived(target: DatasetName): Promise<void>;
}

export function embeddedTransfers(
  catalog: Catalog,
  files: VolumeFiles,
  { change, removeUnused }: Commits,
  usage: Usage,
): EmbeddedTransfers {
  /** Folders in `incoming/` by the dataset that is received there. */
  const receiving = new Map<DatasetName, string>();

  /** What a received stream adds: a volume with its snapshot, or a snapshot more and the volume's new state. */
  function received(target: DatasetName, order: ReceivedStream, file: string, held: Bytes): Outcome<Change> {
    const { guid, tag, volsize: size, volblocksize, created, properties } = order;
    const volsize = bytes(BigInt(size));
    const data = { volsize, volblocksize, file };
    const existing = catalog.get(target);
    const name = `${target}@${tag}` as SnapshotName;
    if (order.onto === undefined && existing) return failed.exists;
    if (order.onto !== undefined && existing?.id !== order.onto) return failed.notFound;
    if (catalog.get(name)) return failed.exists;
    const parents = missingParents(catalog, target);
    if (!parents.ok) return parents;
    const volume: Entry = existing
      ? { ...existing, ...data }
      : newEntry(catalog, target, { type: "volume", readonly: true, properties, ...data });
    const written = growth(held, catalog.snapshotsOf(target).at(-1)?.held);
    const snapshot = newEntry(catalog, name, { type: "snapshot", guid, created, held, written, ...data });
    return succeed({ put: [...parents.value, volume, snapshot] });
  }

  async function dropReceived(target: DatasetName): Promise<void> {
    const incoming = receiving.get(target);
    if (incoming === undefined) return;
    await files.removeIncoming(incoming);
    receiving.delete(target);
  }

  return {
    dropReceived,
    sendCommand(name) {
      const entry = catalog.get(name);
      const order: SendOrder = {
        name,
        file: entry ? files.pathOf(entry.file) : "",
        guid: entry?.guid ?? "0",
        created: entry?.created ?? 0,
        volsize: String(entry?.volsize ?? 0n),
        volblocksize: entry?.volblocksize ?? VOLBLOCKSIZE,
      };
      return [process.execPath, scriptPath("send-process"), JSON.stringify(order)];
    },

    receiveCommand(target, marks) {
      const incoming = newFile();
      receiving.set(target, incoming);
      const existing = catalog.get(target);
      const base = existing && catalog.snapshotsOf(target).at(-1);
      const order: ReceiveOrder = {
        target,
        folder: files.incomingPath(incoming),
        properties: marks,
        onto: existing && { id: existing.id, readonly: existing.readonly },
        base: base && {
          guid: base.guid,
          file: files.pathOf(base.file),
          volblocksize: base.volblocksize,
        },
      };
      return [process.execPath, scriptPath("receive-process"), JSON.stringify(order)];
    },

    finishReceive: (target) =>
      attempt(`cannot receive '${target}'`, async () => {
        const incoming = receiving.get(target);
        if (incoming === undefined) return failed.notFound;
        const path = files.incomingPath(incoming);
        const order = JSON.parse(await readFile(join(path, RECEIVED_FILE), "utf8")) as ReceivedStream;
        const file = newFile();
        const held = await files.adopt(join(path, order.file), file);
        const before = catalog.get(target)?.file ?? "";
        const changed = await change(
          `cannot receive '${target}'`,
          async () =>
            (await usage.exceedsQuota(held)) ? failed.noSpace : received(target, order, file, held),
          [file],
        );
        if (changed.ok) {
          await files.link(target, file);
          await removeUnused([before]);
        }
        await dropReceived(target);
        return changed;
      }),
  };
}
