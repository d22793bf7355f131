import { createHash } from "node:crypto";
import type { Manifest } from "../../protocol/backups/manifest.js";
import { placeOf } from "../../protocol/backups/manifest.js";
import { backupIdOf, dataNameOf } from "../../protocol/backups/object-names.js";
import type { BackupProfile } from "../../protocol/storage/backup-profile.js";
import { fail, tellAbout } from "../../protocol/storage/failures.js";
import { createRecordReader } from "../../protocol/zfs-stream/record-reader.js";
import { StreamFailure } from "../../protocol/zfs-stream/stream-failure.js";
import { KeyFileProblem } from "./key-file.js";
import type { ObjectStore } from "./object-store.js";
import { forEachOf, readManifest } from "./read-manifest.js";
import { readObject } from "./read-object.js";
import { repeated } from "./repeated.js";
import { DamagedObject, FailedStep } from "./store-failures.js";
import { holding, noIdentity, openContent } from "./stored-content.js";
import { CipherFailure, identitiesOf } from "./stream-cipher.js";

interface CheckOptions {
  readonly store: ObjectStore;
  readonly signal: AbortSignal;
  /** Ids of backups, each chain from its full one on. */
  readonly chains: readonly (readonly string[])[];
  readonly content: boolean;
  /** Whether there must be identities for what is encrypted. */
  readonly opens: boolean;
  readonly profile: Pick<BackupProfile, "recipients" | "identityFile">;
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
  opens,
  profile,
  onProgress,
}: CheckOptions): Promise<Checked> {
  const problems: DamagedObject[] = [];
  const note = (error: unknown) => {
    // What is damaged is told before that it can't be opened.
    if (error instanceof KeyFileProblem) refuse(problems);
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
  const isEncrypted = manifests.some(({ encryption }) => encryption);
  const identities = isEncrypted ? await identitiesOf(profile) : undefined;
  if (isEncrypted && opens && !identities) throw noIdentity();
  let bytes = 0;
  for (const manifest of manifests) {
    const before = bytes;
    const reading = { store, signal, identities, onRead: (read: number) => onProgress(before + read) };
    if (content) await checkContent(reading, manifest).catch(note);
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

interface Reading {
  readonly store: ObjectStore;
  readonly signal: AbortSignal;
  readonly identities: readonly string[] | undefined;
  onRead(bytes: number): void;
}

/**
 * Holds the data of a backup against its digests, and each record of its stream against its own: of an encrypted one
 * the records only where there are identities.
 */
async function checkContent(reading: Reading, manifest: Manifest): Promise<void> {
  const { identities } = reading;
  if (manifest.encryption && !identities) return checkStored(reading, manifest);
  const name = dataNameOf(backupIdOf(placeOf(manifest)));
  const records = createRecordReader();
  try {
    for await (const chunk of openContent(readStored(reading, manifest), manifest, identities)) {
      for (const each of records.push(chunk)) {
        if (each.kind === "begin") checkGuids(name, manifest, each.begin);
      }
    }
    records.finish();
  } catch (error) {
    if (error instanceof StreamFailure) throw new DamagedObject(name, `its stream is ${error.message}`);
    if (!(error instanceof CipherFailure)) throw error;
    // If its digests are right, the identities are others.
    await checkStored(reading, manifest);
    throw new KeyFileProblem(`the identities of identityFile don't open ${name} (${error.message})`);
  }
}

/** Holds what is stored of a backup against its digests alone. */
async function checkStored(reading: Reading, manifest: Manifest): Promise<void> {
  for await (const _ of holding(readStored(reading, manifest), manifest, manifest.sha256));
}

/** What is stored of a backup, held against the digests of its parts. */
async function* readStored({ store, signal, onRead }: Reading, manifest: Manifest): AsyncGenerator<Buffer> {
  const name = dataNameOf(backupIdOf(placeOf(manifest)));
  const check = createPartCheck(name, manifest.parts);
  let read = 0;
  for await (const chunk of readObject(store.open, signal, name, manifest.bytes)) {
    check(chunk);
    read += chunk.length;
    onRead(read);
    yield chunk;
  }
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
