import { createHash, randomInt } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { generateIdentity, identityToRecipient } from "age-encryption";
import { expect, test } from "vitest";
import { type Manifest, placeOf, writeManifest } from "../../../../src/protocol/backups/manifest.js";
import { backupIdOf, dataNameOf, manifestNameOf } from "../../../../src/protocol/backups/object-names.js";
import { succeed } from "../../../../src/protocol/storage/failures.js";
import type { DatasetName } from "../../../../src/protocol/storage/names.js";
import { bytes } from "../../../../src/protocol/storage/units.js";
import { createVolumeWriter } from "../../../../src/protocol/zfs-stream/volume-writer.js";
import { encrypted } from "../../../../src/workers/backups/stream-cipher.js";
import {
  createMemoryActor,
  createMemoryRecords,
  type MemoryActor,
  POOL,
  scratchFolder,
} from "../../../support/memory-actor.js";
import { runOnObjects } from "../../../support/memory-objects.js";
import { createMemoryZfs } from "../../../support/memory-zfs.js";

const BLOCK = 4096;
const VOLSIZE = 16 * BLOCK;
const target = `${POOL}/restored` as DatasetName;
const sha256 = (data: Uint8Array) => createHash("sha256").update(data).digest("hex");

/** The stream of a snapshot in which one block was written. */
function streamOf(from: number, to: number): Buffer {
  const writer = createVolumeWriter({
    ...{ toName: `${POOL}/disk@s${to}`, toGuid: BigInt(to), fromGuid: BigInt(from) },
    ...{ creationTime: 1_700_000_000n, volsize: BigInt(VOLSIZE), volblocksize: BLOCK },
  });
  const block = Buffer.alloc(BLOCK, `block of ${to}`);
  return Buffer.concat([writer.begin(), writer.write((to % 16) * BLOCK, block), writer.end()]);
}

interface StoredChain {
  readonly objects: Map<string, Buffer>;
  readonly ids: readonly string[];
}

/** A full backup and increments, as they are stored, in parts of 3,000 bytes; encrypted if there is a recipient. */
async function storeChain(increments: number, recipient?: string): Promise<StoredChain> {
  const objects = new Map<string, Buffer>();
  const ids: string[] = [];
  for (let index = 0; index <= increments; index++) {
    const [from, to] = [index === 0 ? 0 : 99 + index, 100 + index];
    const stream = streamOf(from, to);
    const stored = recipient === undefined ? stream : await seal(stream, recipient);
    const parts = [stored.subarray(0, 3_000), stored.subarray(3_000)];
    const manifest: Manifest = {
      format: 1,
      guids: { pool: "1", dataset: "2", from: index === 0 ? null : String(from), to: String(to) },
      names: { pool: POOL, dataset: `${POOL}/disk`, from: null, to: `${POOL}/disk@s${to}` },
      times: { created: "2026-01-01T00:00:00.000Z", taken: "2026-01-01T00:00:00.000Z" },
      txg: String(to),
      bytes: stored.length,
      sha256: sha256(stored),
      parts: parts.map((part) => ({ bytes: part.length, sha256: sha256(part) })),
      flags: [],
      volsize: String(VOLSIZE),
      image: null,
      parent: ids.at(-1) ?? null,
      ...(recipient !== undefined && {
        encryption: { scheme: "age", bytes: stream.length, sha256: sha256(stream) },
      }),
    };
    const id = backupIdOf(placeOf(manifest));
    objects.set(dataNameOf(id), stored);
    objects.set(manifestNameOf(id), Buffer.from(writeManifest(manifest)));
    ids.push(id);
  }
  return { objects, ids };
}

async function seal(stream: Buffer, recipient: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of encrypted(Readable.from([stream]), [recipient])) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** An actor whose store has these objects. Each call that could change its pool is noted. */
function openPool(
  { objects }: StoredChain,
  identityFile?: string,
): { actor: MemoryActor; received: string[] } {
  const zfs = createMemoryZfs(POOL, bytes(2n ** 40n));
  zfs.put(`${POOL}/images`);
  const actor = createMemoryActor(zfs, createMemoryRecords(), async () =>
    succeed({ receivedBytes: 0, streamBytes: 0 }),
  );
  const received: string[] = [];
  actor.store.run = async (order) => {
    if (order.task !== "receive")
      return runOnObjects(objects, { ...order, profile: { ...order.profile, identityFile } });
    const { manifest, command } = order;
    received.push(backupIdOf(placeOf(manifest)));
    const [, partial = ""] = command;
    if (!zfs.has(partial)) zfs.put(partial, { type: "volume", volsize: bytes(BigInt(VOLSIZE)) });
    zfs.put(`${partial}@${manifest.guids.to}`, { guid: manifest.guids.to });
    return succeed({ task: "receive", value: null });
  };
  return { actor, received };
}

const DAMAGES: Readonly<Record<string, (content: Buffer) => Buffer | undefined>> = {
  missing: () => undefined,
  cut: (content) => content.subarray(0, randomInt(content.length)),
  flipped: (content) => {
    const changed = Buffer.from(content);
    const at = randomInt(content.length);
    changed[at] = (changed[at] ?? 0) ^ (1 << randomInt(8));
    return changed;
  },
};

/** Damages each object of a chain in each way, and restores the chain at last. */
async function damageEach(chain: StoredChain, identityFile?: string): Promise<void> {
  const { actor, received } = openPool(chain, identityFile);
  const restore = () =>
    actor.handlers.RestoreBackup({
      ...{ profile: "store", backup: chain.ids.at(-1) ?? "", target, content: true, sight: {} },
    });
  const state = actor.zfs.state();
  const calls: string[] = [];
  actor.zfs.intercept = (call) => {
    calls.push(call);
    return undefined;
  };
  let cases = 0;
  for (const [index, id] of chain.ids.entries()) {
    for (const name of [dataNameOf(id), manifestNameOf(id)]) {
      const content = chain.objects.get(name);
      if (!content) throw new Error(`no object ${name}`);
      for (const [damage, spoil] of Object.entries(DAMAGES)) {
        const spoilt = spoil(content);
        if (spoilt) chain.objects.set(name, spoilt);
        else chain.objects.delete(name);
        const outcome = await restore();
        // What was made of it, should the case fail.
        const what = `${damage} ${index} ${name} ${spoilt && name.endsWith(".json") ? spoilt : (spoilt?.toString("hex") ?? "")}`;
        if (outcome.ok) throw new Error(`restored: ${what}`);
        expect([outcome.failure.code, outcome.failure.about?.object], what).toEqual(["backup.damaged", name]);
        expect(outcome.failure.message).toContain(name);
        chain.objects.set(name, content);
        cases++;
      }
    }
  }
  expect(cases).toBe(chain.ids.length * 2 * 3);
  // Each refusal has only looked whether the name is free.
  expect(new Set(calls)).toEqual(new Set(["find"]));
  expect([received, actor.zfs.state()]).toEqual([[], state]);
  expect(await restore()).toMatchObject({ ok: true, value: { name: target } });
  expect(received).toEqual(chain.ids);
}

test("of a full backup and 30 increments, with any object missing, cut or flipped, nothing is received", async () =>
  damageEach(await storeChain(30)));

test("nor of encrypted ones", async () => {
  using folder = scratchFolder();
  const identityFile = join(folder.path, "key.txt");
  const identity = await generateIdentity();
  writeFileSync(identityFile, identity, { mode: 0o600 });
  await damageEach(await storeChain(3, await identityToRecipient(identity)), identityFile);
});
