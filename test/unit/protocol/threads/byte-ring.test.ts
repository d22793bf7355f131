import { once } from "node:events";
import { Worker } from "node:worker_threads";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  clearRing,
  createRingMemory,
  createRingReader,
  createRingWriter,
  type RingReader,
} from "../../../../src/protocol/threads/byte-ring.js";

const BYTES = 1_024;

/** The byte of a stream at a position. */
const byteAt = (position: number) => (position * 7 + (position >> 8)) & 0xff;

function ring(bytes = BYTES) {
  const memory = createRingMemory(bytes);
  const writer = createRingWriter(memory);
  let written = 0;
  return {
    memory,
    writer,
    reader: createRingReader(memory),
    /** Writes `bytes`, or less if the region is shorter. @returns whether the reader must be notified. */
    write: (bytes = Number.POSITIVE_INFINITY) => {
      const region = writer.region();
      const length = Math.min(bytes, region.length);
      for (let index = 0; index < length; index++) region[index] = byteAt(written + index);
      written += length;
      return writer.commit(length);
    },
    written: () => written,
  };
}

/** Compares what can be read from `position` on with what was written. @returns where it ends */
function readAll(reader: RingReader, position: number): number {
  const end = reader.poll();
  let at = position;
  while (at < end) {
    const view = reader.view(at, 100);
    expect(view.length).toBeGreaterThan(0);
    view.forEach((byte, index) => {
      if (byte !== byteAt(at + index)) throw new Error(`wrong byte at ${at + index}`);
    });
    at += view.length;
  }
  return at;
}

describe("a ring of bytes", () => {
  test("stops its writer when it is full, and notifies it when half of it is free", () => {
    const { reader, writer, write, written } = ring();
    while (writer.hasRoom()) write(100);
    expect(written()).toBeGreaterThan((BYTES * 3) / 4);
    expect(written()).toBeLessThanOrEqual(BYTES);
    expect(reader.poll()).toBe(written());
    expect(reader.release(BYTES / 4)).toBe(false);
    expect(reader.release(BYTES / 2)).toBe(true);
    expect(writer.hasRoom()).toBe(true);
    // Only once.
    expect(reader.release(written())).toBe(false);
  });

  test("holds as many bytes as its window, limits.streamWindowBytes, and no more until there is room", () => {
    const { reader, writer, write, written } = ring();
    while (writer.hasRoom()) write();
    expect(written()).toBe(BYTES);
    expect(readAll(reader, 0)).toBe(BYTES);
    reader.release(writer.region().length - 1);
    expect(writer.hasRoom()).toBe(false);
    reader.release(writer.region().length);
    expect(writer.hasRoom()).toBe(true);
  });

  test("asks to notify its reader only once until that polls", () => {
    const { reader, write } = ring();
    expect(write(10)).toBe(true);
    expect(write(10)).toBe(false);
    expect(reader.poll()).toBe(20);
    expect(write(10)).toBe(true);
    expect(write(10)).toBe(false);
    expect(reader.poll()).toBe(40);
  });

  test("counts on beyond 2^32 bytes", () => {
    const { memory, writer, reader } = ring();
    const nearly = 2 ** 32 - 100;
    // The state after so many bytes, which both sides have committed and released.
    for (let at = 0; at < nearly; ) {
      const step = Math.min(2 ** 31, nearly - at);
      writer.commit(step);
      at += step;
      expect(reader.poll()).toBe(at);
      reader.release(at);
    }
    expect(writer.hasRoom()).toBe(true);
    for (let round = 0; round < 10; round++) {
      const length = Math.min(50, writer.region().length);
      writer.region().fill(round);
      writer.commit(length);
      const end = reader.poll();
      expect([...reader.view(end - length, length)]).toEqual(Array.from({ length }, () => round));
      reader.release(end);
      expect(writer.hasRoom()).toBe(true);
    }
    clearRing(memory);
    expect(createRingReader(memory).poll()).toBe(0);
  });

  test("gives every byte once, in order, whoever is faster", () => {
    const action = fc.oneof(
      fc.record({ kind: fc.constant("write" as const), bytes: fc.integer({ min: 1, max: 400 }) }),
      fc.record({ kind: fc.constant("read" as const), bytes: fc.integer({ min: 1, max: 700 }) }),
    );
    fc.assert(
      fc.property(
        fc.integer({ min: BYTES, max: 2_000 }),
        fc.array(action, { maxLength: 200 }),
        (bytes, actions) => {
          const { reader, writer, write, written } = ring(bytes);
          let position = 0;
          let waits = false;
          for (const each of actions) {
            if (each.kind === "write") {
              if (waits) continue;
              write(each.bytes);
              waits = !writer.hasRoom();
            } else {
              const end = Math.min(readAll(reader, position), position + each.bytes);
              position = end;
              if (reader.release(position)) waits = !writer.hasRoom();
            }
          }
          expect(readAll(reader, position)).toBe(written());
          // Once the reader has released everything, the writer has room.
          if (reader.release(written())) waits = !writer.hasRoom();
          expect(waits).toBe(false);
        },
      ),
    );
  });

  test("does so between two threads", async () => {
    const total = 50_000_000;
    const memory = createRingMemory(64 * 1024);
    const source = `
      const { parentPort, workerData } = require("node:worker_threads");
      import(workerData.module).then(({ createRingWriter }) => {
        const writer = createRingWriter(workerData.memory);
        let written = 0;
        const go = () => {
          while (written < workerData.total) {
            if (!writer.hasRoom()) return;
            const region = writer.region();
            const length = Math.min(1 + (written % 9973), region.length, workerData.total - written);
            for (let i = 0; i < length; i++) region[i] = ((written + i) * 7 + ((written + i) >> 8)) & 0xff;
            written += length;
            if (writer.commit(length)) parentPort.postMessage("bytes");
          }
          parentPort.postMessage("end");
          parentPort.close();
        };
        parentPort.on("message", go);
        go();
      });`;
    const module = new URL("../../../../compiled/protocol/threads/byte-ring.js", import.meta.url).href;
    const worker = new Worker(source, { eval: true, workerData: { module, memory, total } });
    const reader = createRingReader(memory);
    let position = 0;
    worker.on("message", () => {
      for (let end = reader.poll(); position < end; end = reader.poll()) {
        const view = reader.view(position, 50_000);
        for (let index = 0; index < view.length; index++) {
          if (view[index] !== byteAt(position + index)) throw new Error(`wrong byte at ${position + index}`);
        }
        position += view.length;
        if (reader.release(position)) worker.postMessage("room");
      }
    });
    await once(worker, "exit");
    expect(position).toBe(total);
  });
});
