import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createVolumeReader, type StreamBegin } from "../../src/protocol/zfs-stream/volume-reader.js";
import { bulkConfig } from "../support/bulk-cases.js";
import { type DaemonProcess, startDaemonProcess } from "../support/daemon.js";
import { call, must, type Volumes } from "../support/rpc.js";

const MIB = 1_048_576;
const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
let daemon: DaemonProcess;

beforeAll(async () => {
  daemon = await startDaemonProcess(
    bulkConfig(folder, { name: "tank", driver: "embedded", folder: join(folder, "pool") }, {}),
  );
});
afterAll(async () => {
  expect(await daemon.stop()).toBe(0);
  rmSync(folder, { recursive: true, force: true });
});

/** The test may be busy for so long that the daemon closes a connection that is kept. */
const download = (query: string) =>
  fetch(`${daemon.url}/snapshots/download?${query}`, { headers: { connection: "close" } });

async function streamOf(query: string): Promise<Buffer> {
  const reply = await download(query);
  expect(reply.status).toBe(200);
  return Buffer.from(await reply.arrayBuffer());
}

/** A disk as a receiver has it, and what its last stream said. */
interface Received {
  readonly disk: Buffer;
  readonly begin: StreamBegin;
  readonly writtenBytes: number;
}

/** Applies a stream to a disk, as a receiver does. The codec checks every byte of it. */
function receive(stream: Buffer, before: Buffer = Buffer.alloc(0)): Received {
  const reader = createVolumeReader();
  let disk = Buffer.concat([before, Buffer.alloc(32 * MIB - before.length)]);
  let begin: StreamBegin | undefined;
  let writtenBytes = 0;
  let size = before.length;
  for (const event of reader.push(stream)) {
    if (event.kind === "begin") ({ begin } = event);
    if (event.kind === "size") size = Number(event.volsize);
    if (event.kind === "free") disk.fill(0, event.offset, Math.min(disk.length, event.offset + event.length));
    if (event.kind === "write") {
      disk.set(event.data, event.offset);
      writtenBytes += event.data.length;
    }
  }
  reader.finish();
  disk = disk.subarray(0, size);
  if (!begin) throw new Error("no begin");
  return { disk, begin, writtenBytes };
}

const volume = async (id: string) => {
  const { volumes } = await must<Volumes>(daemon.url, "GetVolume", { id });
  return volumes[0]?.device ?? "";
};

async function write(id: string, ...pieces: readonly { at: number; data: Buffer }[]): Promise<void> {
  await using file = await open(await volume(id), "r+");
  for (const { at, data } of pieces) await file.write(data, 0, data.length, at);
}

const snapshot = (id: string, dest: string) => must(daemon.url, "CreateSnapshot", { id, dest });
const contentOf = async (id: string) => readFileSync(await volume(id));

describe("an increment of an embedded volume", () => {
  const id = "guests/g/disk";
  beforeAll(async () => {
    await must(daemon.url, "CreateVolume", { id, size: 8 });
    await write(id, { at: 0, data: Buffer.alloc(2 * MIB, 1) }, { at: 4 * MIB, data: Buffer.alloc(MIB, 2) });
    await snapshot(id, "a");
    await must(daemon.url, "CreateBookmark", { id: `${id}@a`, dest: "mark" });
    await write(id, { at: MIB, data: Buffer.alloc(16_384, 3) }, { at: 4 * MIB, data: Buffer.alloc(MIB) });
    await snapshot(id, "b");
  });

  test.each(["@a", `${id}@a`, `tank/${id}@a`, "#mark", `tank/${id}#mark`])(
    "from %s has what has changed, holes and the guid of its base",
    async (from) => {
      const full = receive(await streamOf(`id=${id}@a`));
      const stream = await streamOf(`id=${id}@b&from=${encodeURIComponent(from)}`);
      const { disk, begin, writtenBytes } = receive(stream, full.disk);
      expect(disk.equals(await contentOf(id))).toBe(true);
      expect(begin).toMatchObject({ fromGuid: full.begin.toGuid, toName: `tank/${id}@b` });
      expect(writtenBytes).toBe(16_384);
    },
  );

  test("says about how long it will be, by what has been written since its base", async () => {
    const reply = await download(`id=${id}@b&from=@a&estimate=1`);
    await reply.arrayBuffer();
    expect(Number(reply.headers.get("x-estimated-bytes"))).toBeGreaterThanOrEqual(0);
  });

  test("from a bookmark whose snapshot is gone has everything, and is right on any base", async () => {
    const lost = "guests/g/lost";
    await must(daemon.url, "CreateVolume", { id: lost, size: 8 });
    await write(lost, { at: 3 * MIB, data: Buffer.alloc(3 * MIB, 7) });
    await snapshot(lost, "a");
    await must(daemon.url, "CreateBookmark", { id: `${lost}@a`, dest: "mark" });
    const full = receive(await streamOf(`id=${lost}@a`));
    await write(lost, { at: 0, data: Buffer.alloc(MIB, 5) }, { at: 5 * MIB, data: Buffer.alloc(MIB) });
    await snapshot(lost, "b");
    await must(daemon.url, "DeleteSnapshot", { id: `${lost}@a` });
    const stream = await streamOf(`id=${lost}@b&from=%23mark`);
    const { disk, begin, writtenBytes } = receive(stream, full.disk);
    expect(disk.equals(await contentOf(lost))).toBe(true);
    expect(begin.fromGuid).toBe(full.begin.toGuid);
    expect(writtenBytes).toBe(3 * MIB);
    expect(receive(stream, Buffer.alloc(8 * MIB, 0xff)).disk.equals(disk)).toBe(true);
  });

  test("holds its base until it has ended, and lets it go when the client goes", async () => {
    const held = "guests/g/held";
    await must(daemon.url, "CreateVolume", { id: held, size: 48 });
    await snapshot(held, "a");
    await write(held, { at: 0, data: Buffer.alloc(48 * MIB, 9) });
    await snapshot(held, "b");
    const reply = await download(`id=${held}@b&from=@a`);
    const reader = reply.body?.getReader();
    await reader?.read();
    const refused = await call(daemon.url, "DeleteSnapshot", { id: `${held}@a` });
    expect(refused.error).toContain("is held");
    await reader?.cancel();
    await expect
      .poll(async () => (await call(daemon.url, "DeleteSnapshot", { id: `${held}@a` })).error, {
        timeout: 20_000,
      })
      .toBeNull();
  });

  test.each([
    [`id=${id}@b&from=@none`, 404, `from: tank/${id}@none is not found`],
    [`id=${id}@b&from=%23none`, 404, `from: tank/${id}#none is not found`],
    [`id=${id}@a&from=@b`, 400, `from: tank/${id}@b is not older than tank/${id}@a`],
    [`id=${id}@b&from=@b`, 400, `from must be older than tank/${id}@b`],
    [`id=${id}@b&from=guests/g/lost@b`, 400, `from must be a snapshot or a bookmark of tank/${id}`],
    [`id=${id}@none&from=@a`, 404, "not found"],
    [`id=${id}@b&intermediates=1`, 400, "from must be a snapshot where intermediates is 1"],
  ])("is refused: %s", async (query, status, text) => {
    const reply = await download(query);
    expect([reply.status, await reply.text()]).toEqual([status, `${text}\n`]);
  });
});

describe("streams of random changes", () => {
  /** What happens to a volume between two snapshots. Places and lengths are in pieces of 4 KiB. */
  const change = fc.oneof(
    fc.record({
      kind: fc.constant("data" as const),
      at: fc.nat(8191),
      length: fc.integer({ min: 1, max: 400 }),
    }),
    fc.record({
      kind: fc.constant("zeros" as const),
      at: fc.nat(8191),
      length: fc.integer({ min: 1, max: 900 }),
    }),
    fc.record({ kind: fc.constant("size" as const), mib: fc.integer({ min: 1, max: 32 }) }),
  );
  let last = 0;

  test("a full stream and its increments make what the volume has at each snapshot", async () => {
    const rounds = fc.array(fc.array(change, { maxLength: 6 }), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(rounds, async (all) => {
        const id = `guests/random/disk-${++last}`;
        await must(daemon.url, "CreateVolume", { id, size: 16 });
        await snapshot(id, "s0");
        await must(daemon.url, "CreateBookmark", { id: `${id}@s0`, dest: "b0" });
        let disk = receive(await streamOf(`id=${id}@s0`)).disk;
        const first = disk;
        for (const [index, changes] of all.entries()) {
          for (const [order, each] of changes.entries()) {
            const { length } = await contentOf(id);
            if (each.kind === "size") {
              await must(daemon.url, "ResizeVolume", { id, size: each.mib, allowDataLoss: true });
              continue;
            }
            const at = Math.min(each.at * 4096, length - 4096);
            const bytes = Math.min(each.length * 4096, length - at);
            const byte = each.kind === "zeros" ? 0 : 1 + ((index * 16 + order) % 250);
            await write(id, { at, data: Buffer.alloc(bytes, byte) });
          }
          await snapshot(id, `s${index + 1}`);
          const content = await contentOf(id);
          disk = receive(await streamOf(`id=${id}@s${index + 1}&from=@s${index}`), disk).disk;
          expect(disk.equals(content)).toBe(true);
          const whole = receive(await streamOf(`id=${id}@s${index + 1}&from=%23b0`), first).disk;
          expect(whole.equals(content)).toBe(true);
        }
        await must(daemon.url, "DeleteDataset", { id });
      }),
      // A machine that is busy makes fewer of them.
      { numRuns: 8, interruptAfterTimeLimit: 60_000 },
    );
  });
});
