import { createHash } from "node:crypto";
import type { Manifest } from "../../protocol/backups/manifest.js";
import { placeOf } from "../../protocol/backups/manifest.js";
import { backupIdOf, dataNameOf } from "../../protocol/backups/object-names.js";
import { fail, tellAbout } from "../../protocol/storage/failures.js";
import { createRecordReader } from "../../protocol/zfs-stream/record-reader.js";
import { StreamFailure } from "../../protocol/zfs-stream/stream-failure.js";
import type { ObjectStore } from "./object-store.js";
import { forEachOf, readManifest } from "./read-manifest.js";
import { readObject } from "./read-object.js";
import { repeated } from "./repeated.js";
import { DamagedObject, FailedStep } from "./store-failures.js";

interface CheckOptions {
  readonly store: ObjectStore;
  readonly signal: AbortSignal;
  /** Ids of backups, each chain from its full one on. */
  readonly chains: readonly (readonly string[])[];
  readonly content: boolean;
  onProgress(bytes: number): void;
}

interface Checked {
  /** In the order in which the chains name them, each once. */
  readonly manifests: readonly Manifest[];
  /** Of their data. */
  readonly bytes: number;
}

/** So many damaged objects are named; of others it is told how many there are. */
const MOST_NAMED = 10;

/**
 * Looks whether chains can be restored. Rejects with a FailedStep, backup.damaged, that names what is damaged;
 * first all that is missing or has another size is looked for, which costs little, and only then in contents.
 */
export async function checkObjects({
  store,
  signal,
  chains,
  content,
  onProgress,
}: CheckOptions): Promise<Checked> {
  const problems: DamagedObject[] = [];
  const note = (error: unknown) => {
    if (!(error instanceof DamagedObject)) throw error;
    problems.push(error);
    return undefined;
  };
  const ids = [...new Set(chains.flat())];
  const found = await forEachOf(ids, (id) => checkSizes(store, signal, id).catch(note));
  const manifests = found.flatMap((each) => each ?? []);
  const byId = new Map(manifests.map((each) => [backupIdOf(placeOf(each)), each]));
  for (const chain of chains)
    checkJoints(
      chain.map((id) => byId.get(id)),
      problems,
    );
  refuse(problems);
  let bytes = 0;
  for (const manifest of manifests) {
    const before = bytes;
    if (content) await checkContent(store, signal, manifest, (read) => onProgress(before + read)).catch(note);
    bytes += manifest.bytes;
  }
  refuse(problems);
  return { manifests, bytes };
}

function refuse(problems: readonly DamagedObject[]): void {
  const [first] = problems;
  if (!first) return;
  const named = problems.slice(0, MOST_NAMED).map(({ object, what }) => `${object}: ${what}`);
  const more = problems.length > MOST_NAMED ? `, and ${problems.length - MOST_NAMED} more` : "";
  const failure = fail("backup.damaged", `damaged in the store: ${named.join("; ")}${more}`);
  throw new FailedStep(tellAbout(failure, { object: first.object }));
}

/** The manifest of a backup, whose data has the size that it says. */
async function checkSizes(store: ObjectStore, signal: AbortSignal, id: string): Promise<Manifest> {
  const manifest = await readManifest(store, signal, id);
  const name = dataNameOf(id);
  const bytes = await repeated(signal, () => store.sizeOf(name));
  if (bytes === undefined) throw new DamagedObject(name, "it is missing");
  if (bytes === manifest.bytes) return manifest;
  throw new DamagedObject(name, `it has ${bytes} bytes, and ${manifest.bytes} were stored`);
}

/** Whether each link builds on the one before. */
function checkJoints(links: readonly (Manifest | undefined)[], problems: DamagedObject[]): void {
  let before: Manifest | undefined;
  for (const [index, link] of links.entries()) {
    if (!link) return;
    const from = index === 0 ? null : before?.guids.to;
    if (link.guids.from !== from) {
      problems.push(
        new DamagedObject(dataNameOf(backupIdOf(placeOf(link))), "it does not build on the one before"),
      );
    }
    before = link;
  }
}

/** Holds the data of a backup against its digests, and each record of its stream against its own. */
async function checkContent(
  store: ObjectStore,
  signal: AbortSignal,
  manifest: Manifest,
  onRead: (bytes: number) => void,
): Promise<void> {
  const name = dataNameOf(backupIdOf(placeOf(manifest)));
  const whole = createHash("sha256");
  const parts = createPartCheck(name, manifest.parts);
  const records = createRecordReader();
  let read = 0;
  try {
    for await (const chunk of readObject(store, signal, name, manifest.bytes)) {
      whole.update(chunk);
      parts(chunk);
      for (const each of records.push(chunk)) {
        if (each.kind === "begin") checkGuids(name, manifest, each.begin);
      }
      read += chunk.length;
      onRead(read);
    }
    records.finish();
  } catch (error) {
    if (error instanceof StreamFailure) throw new DamagedObject(name, `its stream is ${error.message}`);
    throw error;
  }
  if (whole.digest("hex") !== manifest.sha256) throw new DamagedObject(name, "its SHA-256 is another one");
}

function checkGuids(
  name: string,
  { guids }: Manifest,
  { toGuid, fromGuid }: { readonly toGuid: bigint; readonly fromGuid: bigint },
): void {
  if (String(toGuid) === guids.to && String(fromGuid) === (guids.from ?? "0")) return;
  throw new DamagedObject(name, "it is the stream of another snapshot");
}

/** Holds the bytes that are pushed against the digests of the parts, and throws a DamagedObject at the first that differs. */
function createPartCheck(name: string, parts: Manifest["parts"]): (chunk: Buffer) => void {
  let part = 0;
  let filled = 0;
  let hash = createHash("sha256");
  return (chunk) => {
    for (let at = 0; at < chunk.length; ) {
      const { bytes, sha256 } = parts[part] ?? { bytes: 0, sha256: "" };
      const end = Math.min(chunk.length, at + bytes - filled);
      hash.update(chunk.subarray(at, end));
      filled += end - at;
      at = end;
      if (filled < bytes) return;
      part++;
      if (hash.digest("hex") !== sha256)
        throw new DamagedObject(name, `the SHA-256 of its part ${part} is another one`);
      filled = 0;
      hash = createHash("sha256");
    }
  };
}
