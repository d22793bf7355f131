import { setTimeout as sleep } from "node:timers/promises";
import { type Manifest, placeOf, writeManifest } from "../../protocol/backups/manifest.js";
import { backupIdOf, dataNameOf, manifestNameOf } from "../../protocol/backups/object-names.js";
import type { StoreOrder } from "../../protocol/backups/store-orders.js";
import { fail } from "../../protocol/storage/failures.js";
import type { ChildTable } from "../../protocol/threads/child-table.js";
import { type CommandProcess, startProcess } from "../processes/child-process.js";
import { failureOf } from "../processes/command-failures.js";
import { succeeded } from "../processes/run-command.js";
import type { ObjectStore } from "./object-store.js";
import { createPartCutter, type Part, type PartCutter } from "./part-cutter.js";
import { type PlainStream, watchPlain } from "./plain-stream.js";
import { pauseMs, repeated } from "./repeated.js";
import { DamagedObject, FailedStep, mayBeRepeated } from "./store-failures.js";
import { encrypted, recipientsOf } from "./stream-cipher.js";

interface UploadOptions {
  readonly order: StoreOrder<"upload">;
  readonly store: ObjectStore;
  /** The same store, for what must still be done when the signal has ended the rest. */
  readonly cleaning: ObjectStore;
  readonly children: ChildTable;
  readonly signal: AbortSignal;
  onStart(pid: number | undefined): void;
  onProgress(bytes: number): void;
}

/** How often a stream is begun. An upload can't go on where it broke: its stream is sent anew. */
const STARTS = 3;
const RESTART_PAUSE_MS = 1_000;
/** Parts of one upload that are on their way at the same time. One more is being filled. */
const PARTS_IN_FLIGHT = 2;
const MIB = 1024 * 1024;
/** Source: the limits of S3. */
const MOST_PARTS = 10_000;
const LARGEST_PART_BYTES = 512 * MIB;
/** An estimate of `zfs send` may be a little small. */
const SPARE = 1.25;
/** A command that writes nothing for this long, though it could, is given up. */
const SILENT_MS = 10 * 60_000;

/** The size of the parts of a stream: that of the profile, unless there would be too many of them. */
function partBytesFor(profileBytes: number, estimatedBytes = 0): number {
  const needed = Math.ceil((estimatedBytes * SPARE) / MOST_PARTS / MIB) * MIB;
  return Math.min(Math.max(profileBytes, needed), Math.max(profileBytes, LARGEST_PART_BYTES));
}

/** Stores a stream, again from its beginning if its upload breaks. Rejects as the last try. */
export async function uploadStream(options: UploadOptions): Promise<Manifest> {
  const { signal } = options;
  for (let start = 1; ; start++) {
    try {
      return await uploadOnce(options);
    } catch (error) {
      if (start >= STARTS || signal.aborted || !mayBeRepeated(error)) throw error;
      await sleep(pauseMs(start, RESTART_PAUSE_MS), undefined, { signal });
    }
  }
}

async function uploadOnce(options: UploadOptions): Promise<Manifest> {
  const { order, store, cleaning, signal, children } = options;
  const id = backupIdOf(placeOf(order.manifest));
  const name = dataNameOf(id);
  const recipients = await recipientsOf(order.profile);
  const uploadId = await repeated(signal, () => store.beginUpload(name));
  const command = startProcess(order.command, { stdin: false, stdout: true }, children);
  options.onStart(command.pid);
  const kill = () => command.kill();
  signal.addEventListener("abort", kill, { once: true });
  try {
    const taken = new Date().toISOString();
    const { parts, plain, cutter } = await sendParts(options, command, recipients, { name, uploadId });
    const { begin } = plain;
    if (!begin) throw new FailedStep(fail("command.failed", "the command that sends wrote no stream"));
    const created = new Date(Number(begin.creationTime) * 1000).toISOString();
    await repeated(signal, () =>
      store.completeUpload(
        name,
        uploadId,
        parts.map(({ stored }) => stored),
      ),
    );
    const manifest: Manifest = {
      ...order.manifest,
      times: { created, taken },
      bytes: cutter.bytes,
      sha256: cutter.digest(),
      parts: parts.map(({ bytes, sha256 }) => ({ bytes, sha256 })),
      ...(recipients.length > 0 && {
        encryption: { scheme: "age", bytes: plain.bytes, sha256: plain.digest() },
      }),
    };
    await commit(options, id, manifest);
    return manifest;
  } catch (error) {
    command.kill();
    await command.exited;
    // What can't be aborted now is aborted by its age.
    await cleaning.abortUpload(name, uploadId).catch(() => {});
    throw error;
  } finally {
    signal.removeEventListener("abort", kill);
  }
}

/** Writes the manifest, once the data is there and what it builds on still is. */
async function commit(
  { order, store, signal }: UploadOptions,
  id: string,
  manifest: Manifest,
): Promise<void> {
  const { parent } = order.manifest;
  const stored = await repeated(signal, () => store.sizeOf(dataNameOf(id)));
  if (stored !== manifest.bytes) {
    throw new DamagedObject(
      dataNameOf(id),
      `the store has ${stored ?? "none"} of its ${manifest.bytes} bytes`,
    );
  }
  if (parent !== null && (await repeated(signal, () => store.sizeOf(manifestNameOf(parent)))) === undefined) {
    const gone = `the backup ${parent} that this one builds on was removed meanwhile: ask again`;
    throw new FailedStep(fail("backup.not_found", gone));
  }
  await repeated(signal, () => store.put(manifestNameOf(id), Buffer.from(writeManifest(manifest))));
}

interface UploadedPart {
  readonly bytes: number;
  readonly sha256: string;
  readonly stored: Awaited<ReturnType<ObjectStore["putPart"]>>;
}

interface SentParts {
  readonly parts: readonly UploadedPart[];
  readonly plain: PlainStream;
  readonly cutter: PartCutter;
}

/** Reads what the command writes, and stores it part by part, encrypted if there are recipients. Resolves when all is stored and the command has ended well. */
async function sendParts(
  { order, store, signal, onProgress }: UploadOptions,
  command: CommandProcess,
  recipients: readonly string[],
  { name, uploadId }: { readonly name: string; readonly uploadId: string },
): Promise<SentParts> {
  const startedAt = performance.now();
  const cutter = createPartCutter(partBytesFor(order.profile.partBytes, order.estimatedBytes));
  const parts: UploadedPart[] = [];
  const inFlight = new Set<Promise<void>>();
  let storedBytes = 0;
  /** Why a part could not be stored. Set once, however long ago: nothing may be made of the others then. */
  let broken: { readonly error: unknown } | undefined;
  const refuseBroken = () => {
    if (broken) throw broken.error;
  };

  async function storePart(part: Part): Promise<void> {
    const { number, content, sha256 } = part;
    const stored = await repeated(signal, () => store.putPart(name, uploadId, number, content));
    parts[number - 1] = { bytes: content.length, sha256, stored };
    storedBytes += content.length;
    onProgress(storedBytes);
    cutter.free(part);
  }

  async function put(part: Part): Promise<void> {
    if (part.number > MOST_PARTS) throw new FailedStep(tooManyParts(part.content.length));
    const storing = storePart(part)
      .catch((error: unknown) => {
        broken ??= { error };
      })
      .finally(() => inFlight.delete(storing));
    inFlight.add(storing);
    while (inFlight.size >= PARTS_IN_FLIGHT) await Promise.race(inFlight);
    refuseBroken();
  }

  const encrypts = recipients.length > 0;
  const plain = watchPlain(heeding(command), order.manifest, encrypts);
  for await (const chunk of encrypts ? encrypted(plain.chunks, recipients) : plain.chunks) {
    for (let at = 0; at < chunk.length; ) {
      at += cutter.push(chunk.subarray(at));
      const part = cutter.take();
      if (part) await put(part);
    }
  }
  const exit = await command.exited;
  if (signal.aborted) throw new Error("ended");
  const { command: argv } = order;
  const ms = performance.now() - startedAt;
  if (!succeeded({ exit })) {
    throw new FailedStep(failureOf({ argv, stdout: "", stderr: command.stderrText(), exit, ms }));
  }
  const last = cutter.take(true);
  if (last) await put(last);
  await Promise.all(inFlight);
  refuseBroken();
  return { parts, plain, cutter };
}

const tooManyParts = (bytes: number) =>
  fail(
    "backup.store_refused",
    `the stream is longer than ${MOST_PARTS} parts of ${bytes} bytes: set partBytes of the profile`,
  );

/** What a command writes. One that is silent though it could write is killed: its exit then says that it failed. */
async function* heeding(command: CommandProcess): AsyncGenerator<Buffer> {
  if (!command.stdout) return;
  let timer: NodeJS.Timeout | undefined;
  const watch = () => {
    timer = setTimeout(command.kill, SILENT_MS).unref();
  };
  try {
    watch();
    for await (const chunk of command.stdout) {
      clearTimeout(timer);
      yield chunk;
      watch();
    }
  } catch (error) {
    // A pipe that was closed by a kill: the exit of the command tells more.
    if (command.pid === undefined) throw error;
  } finally {
    clearTimeout(timer);
  }
}
