import { readdirSync } from "node:fs";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { Failure } from "../../../../src/protocol/storage/failures.js";
import { createRingMemory, createRingReader } from "../../../../src/protocol/threads/byte-ring.js";
import { createChildMemory, createChildTable } from "../../../../src/protocol/threads/child-table.js";
import { type Send, startSend } from "../../../../src/workers/streams/snapshot-send.js";
import { scratchFolder } from "../../../support/memory-actor.js";
import { isAlive, turn, until } from "../../../support/until.js";

const shared = createChildMemory();
const pids = () => [...new Int32Array(shared)].filter((pid) => pid !== 0);

const RING_BYTES = 64 * 1024;

interface Sending {
  readonly send: Send;
  /** Reads on, and makes room as it goes, until it has this much. */
  read(bytes?: number): void;
  received(): Buffer;
  /** What is there, read or not. */
  sent(): number;
  /** How it ended, once it has. */
  ended(): { readonly failure: Failure | undefined } | undefined;
  end(): Promise<Failure | undefined>;
}

function start(command: readonly string[], options: { skipBytes?: number; folder?: string } = {}): Sending {
  const ring = createRingMemory(RING_BYTES);
  const reader = createRingReader(ring);
  const pieces: Buffer[] = [];
  let position = 0;
  let wanted = 0;
  let end: { readonly failure: Failure | undefined } | undefined;
  let ends = 0;
  const goOn = () => {
    for (let last = reader.poll(); position < Math.min(last, wanted); last = reader.poll()) {
      const piece = Buffer.from(reader.view(position, wanted - position));
      pieces.push(piece);
      position += piece.length;
      if (reader.release(position)) send.resume();
    }
  };
  const send = startSend({
    command,
    ring,
    skipBytes: options.skipBytes ?? 0,
    children: createChildTable(shared),
    folder: options.folder ?? folder.path,
    onBytes: () => {
      expect(end).toBeUndefined();
      goOn();
    },
    onEnd: (failure) => {
      expect(++ends).toBe(1);
      goOn();
      end = { failure };
    },
  });
  return {
    send,
    read: (bytes = Number.POSITIVE_INFINITY) => {
      wanted = bytes;
      goOn();
    },
    received: () => Buffer.concat(pieces),
    sent: () => reader.poll(),
    ended: () => end,
    end: async () => {
      await until("the send has ended", () => end !== undefined);
      return end?.failure;
    },
  };
}

/** As `start`, and reads all as it comes. */
function startReading(...parameters: Parameters<typeof start>): Sending {
  const sending = start(...parameters);
  sending.read();
  return sending;
}

let folder: ReturnType<typeof scratchFolder>;
beforeAll(() => {
  folder = scratchFolder();
});
afterAll(() => {
  expect(readdirSync(folder.path)).toEqual([]);
  folder[Symbol.dispose]();
});
afterEach(() => {
  expect(pids()).toEqual([]);
});

/** Waits until nothing has come for as long as several reads would take. */
async function stalled({ sent }: Sending): Promise<void> {
  let before = -1;
  let quiet = 0;
  await until("no more bytes come", async () => {
    for (let turns = 0; turns < 20; turns++) await turn();
    quiet = sent() === before ? quiet + 1 : 0;
    before = sent();
    return quiet > 20;
  });
}

const numbers = (count: number) =>
  Buffer.from(`${Array.from({ length: count }, (_, index) => index + 1).join("\n")}\n`);

describe("a send", () => {
  test("that is read as it comes brings every byte in order and ends without a failure", async () => {
    const sending = startReading(["seq", "1", "200000"]);
    expect(await sending.end()).toBeUndefined();
    expect(sending.received().equals(numbers(200_000))).toBe(true);
  });

  test.each([0, 1, 5, 4_096, 100_000, 1_288_894, 1_288_895, 2_000_000])(
    "leaves out its first %i bytes",
    async (skipBytes) => {
      const sending = startReading(["seq", "1", "200000"], { skipBytes });
      expect(await sending.end()).toBeUndefined();
      expect(sending.received().equals(numbers(200_000).subarray(skipBytes))).toBe(true);
    },
  );

  test("stops when its ring is full, goes on as it is read, and ends whole", async () => {
    const all = numbers(200_000);
    const sending = start(["seq", "1", "200000"]);
    let read = 0;
    for (const bytes of [0, 1, 10_000, 60_000, 500_000]) {
      read += bytes;
      sending.read(read);
      await stalled(sending);
      expect(sending.received().length).toBe(read);
      expect(sending.sent()).toBeGreaterThan(read + RING_BYTES / 4);
      expect(sending.sent()).toBeLessThanOrEqual(read + RING_BYTES);
      expect(sending.ended()).toBeUndefined();
    }
    sending.read();
    expect(await sending.end()).toBeUndefined();
    expect(sending.received().equals(all)).toBe(true);
  });

  test("gives its command a blocking output: one that is not ready to wait gets every byte out", async () => {
    // dd fails with EAGAIN where its output doesn't block.
    const sending = start(["dd", "if=/dev/zero", "bs=1M", "count=20", "status=none"]);
    await stalled(sending);
    sending.read();
    expect(await sending.end()).toBeUndefined();
    expect(sending.received().length).toBe(20 * 1024 * 1024);
  });

  test("that is cancelled ends its command at once, even when it writes to a full pipe", async () => {
    const sending = start(["cat", "/dev/zero"]);
    await stalled(sending);
    const [pid = 0] = pids();
    expect(isAlive(pid)).toBe(true);
    const before = sending.sent();
    sending.send.cancel();
    sending.send.cancel();
    sending.send.resume();
    expect(await sending.end()).toMatchObject({ code: "service.interrupted" });
    expect(isAlive(pid)).toBe(false);
    expect(sending.sent()).toBe(before);
  });

  test("that is cancelled before its first byte ends too", async () => {
    const sending = start(["sleep", "1000"]);
    sending.send.cancel();
    expect(await sending.end()).toMatchObject({ code: "service.interrupted" });
    const other = start(["sleep", "1000"]);
    await until("it runs", () => pids().length > 0);
    other.send.cancel();
    expect(await other.end()).toMatchObject({ code: "service.interrupted" });
  });

  test("that is cancelled after its end tells no second end", async () => {
    const sending = start(["true"]);
    expect(await sending.end()).toBeUndefined();
    sending.send.cancel();
    await turn();
    expect(sending.ended()).toEqual({ failure: undefined });
  });

  test("whose command fails after its first byte brings the byte and then the failure", async () => {
    const sending = startReading(["sh", "-c", "printf x; exit 3"]);
    expect(await sending.end()).toMatchObject({ code: "command.failed" });
    expect(sending.received().toString()).toBe("x");
  });

  test("whose command closes its output and goes on ends when the command does", async () => {
    const sending = startReading(["sh", "-c", "printf x; exec >&-; sleep 0.3; exit 3"]);
    expect(await sending.end()).toMatchObject({ code: "command.failed" });
    expect(sending.received().toString()).toBe("x");
  });

  test("tells what the command wrote to its errors", async () => {
    const text = "cannot open 'tank/v@s': dataset does not exist";
    const sending = start(["sh", "-c", `echo "${text}" >&2; exit 1`]);
    expect(await sending.end()).toMatchObject({ code: "dataset.not_found" });
  });

  test("whose command is killed by others is interrupted, not complete", async () => {
    const sending = startReading(["sh", "-c", "printf x; kill -9 $$"]);
    expect(await sending.end()).toMatchObject({ code: "service.interrupted" });
  });

  test.each([
    ["/no/such/program", "command.missing"],
    ["/etc/hostname/zfs", "command.failed"],
  ])("whose command %s can't be started fails with %s", async (program, code) => {
    expect(await start([program]).end()).toMatchObject({ code });
  });

  test("that has no place for its pipe says so", async () => {
    const failure = await start(["true"], { folder: "/proc/none" }).end();
    expect(failure).toMatchObject({ code: "internal", cause: expect.stringContaining("ENOENT") });
  });

  test("whose command writes errors without end doesn't stop or fill the memory", async () => {
    const sending = startReading(["sh", "-c", "head -c 20000000 /dev/zero >&2; printf x; exit 1"]);
    const failure = await sending.end();
    expect(sending.received().length).toBe(1);
    expect((failure?.detail ?? "").length).toBeLessThan(10_000);
  });

  test("beside many others gets its own bytes", async () => {
    const sendings = Array.from({ length: 40 }, (_, index) => startReading(["seq", String(index), "20000"]));
    for (const [index, sending] of sendings.entries()) {
      expect(await sending.end()).toBeUndefined();
      const lines = sending.received().toString().trimEnd().split("\n");
      expect([lines[0], lines.at(-1), lines.length]).toEqual([String(index), "20000", 20_001 - index]);
    }
  });
});
