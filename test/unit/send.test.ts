import { afterEach, describe, expect, test } from "vitest";
import { createChildMemory, createChildTable } from "../../src/protocol/child-table.js";
import type { Failure } from "../../src/protocol/failures.js";
import { type Send, startSend } from "../../src/workers/streams/send.js";
import { isAlive, turn, until } from "../support/until.js";

const ONE_READ = 64 * 1024;

const shared = createChildMemory();
const pids = () => [...new Int32Array(shared)].filter((pid) => pid !== 0);

interface Sending {
  readonly send: Send;
  readonly frames: ArrayBuffer[];
  received(): number;
  /** How it ended, once it has. */
  ended(): { readonly failure: Failure | undefined } | undefined;
  end(): Promise<Failure | undefined>;
}

function start(command: readonly string[], credit: number): Sending {
  const frames: ArrayBuffer[] = [];
  let received = 0;
  let end: { readonly failure: Failure | undefined } | undefined;
  let ends = 0;
  const send = startSend({
    skipBytes: 0,
    command,
    credit,
    children: createChildTable(shared),
    onFrame: (frame) => {
      expect(end).toBeUndefined();
      received += frame.byteLength;
      frames.push(frame);
    },
    onEnd: (failure) => {
      expect(++ends).toBe(1);
      end = { failure };
    },
  });
  return {
    send,
    frames,
    received: () => received,
    ended: () => end,
    end: async () => {
      await until("the send has ended", () => end !== undefined);
      return end?.failure;
    },
  };
}

afterEach(() => {
  expect(pids()).toEqual([]);
});

/** Waits until nothing has come for as long as several reads would take. */
async function stalled({ received }: Sending): Promise<void> {
  let before = -1;
  let quiet = 0;
  await until("no more bytes come", async () => {
    for (let turns = 0; turns < 20; turns++) await turn();
    quiet = received() === before ? quiet + 1 : 0;
    before = received();
    return quiet > 20;
  });
}

describe("a send", () => {
  test("with credit enough brings every byte in order and ends without a failure", async () => {
    const sending = start(["seq", "1", "200000"], Number.MAX_SAFE_INTEGER);
    expect(await sending.end()).toBeUndefined();
    const text = Buffer.concat(sending.frames.map((frame) => Buffer.from(frame))).toString();
    expect(text).toBe(`${Array.from({ length: 200_000 }, (_, index) => index + 1).join("\n")}\n`);
  });

  test("gives frames that are whole buffers, so that they can be handed to another thread", async () => {
    const sending = start(["head", "-c", "1000000", "/dev/urandom"], Number.MAX_SAFE_INTEGER);
    await sending.end();
    expect(new Set(sending.frames).size).toBe(sending.frames.length);
    expect(sending.received()).toBe(1_000_000);
    const moved = structuredClone(sending.frames, { transfer: sending.frames });
    expect(moved.reduce((sum, frame) => sum + frame.byteLength, 0)).toBe(1_000_000);
  });

  test("sends no more than one read beyond its credit, goes on when more comes, and ends whole", async () => {
    const total = 50_000_000;
    const sending = start(["head", "-c", String(total), "/dev/zero"], 1_000_000);
    await stalled(sending);
    expect(sending.received()).toBeGreaterThanOrEqual(1_000_000);
    expect(sending.received()).toBeLessThanOrEqual(1_000_000 + ONE_READ);
    sending.send.credit(500_000);
    await stalled(sending);
    expect(sending.received()).toBeGreaterThanOrEqual(1_500_000);
    expect(sending.received()).toBeLessThanOrEqual(1_500_000 + ONE_READ);
    expect(sending.ended()).toBeUndefined();
    sending.send.credit(total);
    expect(await sending.end()).toBeUndefined();
    expect(sending.received()).toBe(total);
  });

  test("with no credit sends at most one read", async () => {
    const sending = start(["cat", "/dev/zero"], 0);
    await stalled(sending);
    expect(sending.received()).toBeLessThanOrEqual(ONE_READ);
    sending.send.cancel();
    await sending.end();
  });

  test("keeps to its credit however it is given", async () => {
    const sending = start(["cat", "/dev/zero"], 10_000);
    let given = 10_000;
    for (let round = 0; round < 10; round++) {
      await stalled(sending);
      expect(sending.received()).toBeLessThanOrEqual(given + ONE_READ);
      expect(sending.received()).toBeGreaterThanOrEqual(given);
      given += 7_001 * round;
      sending.send.credit(7_001 * round);
    }
    sending.send.cancel();
    await sending.end();
  });

  test("that is cancelled ends its command at once, even when it writes to a full pipe", async () => {
    const sending = start(["cat", "/dev/zero"], 0);
    await stalled(sending);
    const [pid = 0] = pids();
    expect(isAlive(pid)).toBe(true);
    const before = sending.received();
    sending.send.cancel();
    sending.send.cancel();
    sending.send.credit(1_000_000);
    expect(await sending.end()).toMatchObject({ code: "service.interrupted" });
    expect(isAlive(pid)).toBe(false);
    expect(sending.received()).toBe(before);
  });

  test("that is cancelled before its first byte ends too", async () => {
    const sending = start(["sleep", "1000"], 1);
    sending.send.cancel();
    expect(await sending.end()).toMatchObject({ code: "service.interrupted" });
  });

  test("that is cancelled after its end tells no second end", async () => {
    const sending = start(["true"], 1);
    expect(await sending.end()).toBeUndefined();
    sending.send.cancel();
    await turn();
    expect(sending.ended()).toEqual({ failure: undefined });
  });

  test("whose command fails after its first byte brings the byte and then the failure", async () => {
    const sending = start(["sh", "-c", "printf x; exit 3"], 1_000);
    expect(await sending.end()).toMatchObject({ code: "command.failed" });
    expect(sending.received()).toBe(1);
  });

  test("tells what the command wrote to its errors", async () => {
    const text = "cannot open 'tank/v@s': dataset does not exist";
    const sending = start(["sh", "-c", `echo "${text}" >&2; exit 1`], 1_000);
    expect(await sending.end()).toMatchObject({ code: "dataset.not_found" });
  });

  test("whose command is killed by others is interrupted, not complete", async () => {
    const sending = start(["sh", "-c", "printf x; kill -9 $$"], 1_000);
    expect(await sending.end()).toMatchObject({ code: "service.interrupted" });
  });

  test.each([
    ["/no/such/program", "command.missing"],
    ["/etc/hostname/zfs", "command.failed"],
  ])("whose command %s can't be started fails with %s", async (program, code) => {
    expect(await start([program], 1_000).end()).toMatchObject({ code });
  });

  test("whose command writes errors without end doesn't stop or fill the memory", async () => {
    const sending = start(["sh", "-c", "head -c 20000000 /dev/zero >&2; printf x; exit 1"], 1_000);
    const failure = await sending.end();
    expect(sending.received()).toBe(1);
    expect((failure?.detail ?? "").length).toBeLessThan(10_000);
  });
});
