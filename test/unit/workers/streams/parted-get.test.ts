import { createHash, randomBytes, randomInt } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createHostMemory, openHostSlots } from "../../../../src/protocol/threads/host-slots.js";
import { PART_BYTES, PartedGet, type PartedGetOptions } from "../../../../src/workers/streams/parted-get.js";
import { type BreakingService, openBreakingService } from "../../../support/breaking-service.js";

const MIB = 1024 * 1024;
const RANGES = 4;
const data = randomBytes(6 * PART_BYTES + 12_345);
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const OF_DATA = sha256(data);
let service: BreakingService;

beforeEach(async () => {
  service = await openBreakingService(data);
});
afterEach(() => service.close());

interface Read {
  readonly digest: string;
  readonly bytes: number;
  readonly requests: number;
  readonly repeats: number;
}

/** Reads all of it. Each piece is given back only when `wait` has ended: its bytes must stay as they are until then. */
async function read(asking: Partial<PartedGetOptions> = {}, wait = () => Promise.resolve()): Promise<Read> {
  let [requests, repeats, bytes] = [0, 0, 0];
  const get = new PartedGet({
    source: { url: service.url, hosts: { service: service.host, sources: [] } },
    ...{ alternates: [], isChecked: false, size: undefined, ranges: RANGES },
    ...{ connectMs: 30_000, idleMs: 30_000, signal: new AbortController().signal },
    repeats: { attempts: 3, firstDelayMs: 2, mostDelayMs: 20 },
    onRequest: (isRepeat) => {
      requests++;
      if (isRepeat) repeats++;
    },
    ...asking,
  });
  const hash = createHash("sha256");
  try {
    await get.begin(4);
    let before = Promise.resolve();
    await new Promise<void>((resolve, reject) => {
      get.pour({
        onPiece: (piece, done) => {
          before = before.then(wait).then(() => {
            hash.update(piece);
            bytes += piece.length;
            done();
          });
        },
        onEnd: () => void before.then(resolve),
        onError: reject,
      });
    });
  } finally {
    get.close();
  }
  return { digest: hash.digest("hex"), bytes, requests, repeats };
}

const whole = { digest: OF_DATA, bytes: data.length };

describe("an object that is fetched in parts", () => {
  test("comes in order, by a request for each part, several at once", async () => {
    expect(await read()).toEqual({ ...whole, requests: 7, repeats: 0 });
    expect(service.served.mostAtOnce).toBeGreaterThan(1);
    expect(service.served.mostAtOnce).toBeLessThanOrEqual(RANGES);
    expect(service.asked[1]).toEqual({
      range: `bytes=${PART_BYTES}-${2 * PART_BYTES - 1}`,
      ifRange: service.etag(),
    });
    expect(service.sentBytes()).toBe(data.length);
  });

  test("comes in order to a slow reader, and no more than its buffers waits", async () => {
    const before = process.memoryUsage().arrayBuffers;
    let most = 0;
    const wait = async () => {
      most = Math.max(most, process.memoryUsage().arrayBuffers - before);
      await new Promise((resolve) => setTimeout(resolve, randomInt(4)));
    };
    expect(await read({}, wait)).toMatchObject(whole);
    console.info(`at most ${(most / MIB).toFixed(1)} MiB of buffers`);
    expect(most).toBeLessThan(64 * MIB);
  });

  test("goes on in the parts that break, and only there", async () => {
    const breaks = Array.from({ length: 12 }, () => randomInt(1, data.length)).sort((a, b) => a - b);
    console.info(`breaks at ${breaks.join(", ")}`);
    service.served.breaks = [...breaks];
    const { repeats, ...came } = await read();
    expect(came).toEqual({ ...whole, requests: 7 + repeats });
    // On a busy machine the service may close an idle connection just as it is used again, and a reset takes some bytes back.
    expect(repeats).toBeGreaterThanOrEqual(12);
    expect(repeats).toBeLessThanOrEqual(12 + 3);
    expect(service.sentBytes()).toBeLessThanOrEqual(1.05 * data.length);
  });

  test.each(["etag", "modified"] as const)("needs a validator: %s", async (validator) => {
    service.served.validator = validator;
    expect(await read()).toMatchObject({ ...whole, requests: 7 });
  });

  test.each([
    ["has no ranges", { hasRanges: false }, 1],
    ["has no validator", { validator: "none" }, 2],
    ["has a weak validator", { validator: "weak" }, 2],
  ])("comes as a whole where the service %s", async (_what, change, requests) => {
    Object.assign(service.served, change);
    expect(await read()).toEqual({ ...whole, requests, repeats: 0 });
  });

  test.each([1, 1_000, PART_BYTES, PART_BYTES + 1, 4 * PART_BYTES])("may have %i bytes", async (length) => {
    service.served.body = data.subarray(0, length);
    const { digest, requests } = await read();
    expect(digest).toBe(sha256(service.served.body));
    expect(requests).toBe(Math.ceil(length / PART_BYTES));
  });

  test("fails when the service has another one meanwhile", async () => {
    const { etag } = service;
    let asked = 0;
    const onRequest = () => {
      if (++asked === 5) service.served.body = randomBytes(data.length);
    };
    const before = etag();
    await expect(read({ onRequest })).rejects.toMatchObject({
      outcome: { failure: { code: "image.source_changed" } },
    });
    expect(etag()).not.toBe(before);
  });

  test("fails when a part breaks too often", async () => {
    service.served.breaks = [3 * PART_BYTES + 5, 3 * PART_BYTES + 5, 3 * PART_BYTES + 5, 3 * PART_BYTES + 5];
    await expect(read()).rejects.toMatchObject({ outcome: { failure: { code: "image.cut_short" } } });
  });

  test("has no more requests at its host than may be", async () => {
    const hostSlots = openHostSlots(createHostMemory(), createHostMemory(), 2);
    const [one, other] = await Promise.all([read({ hostSlots }), read({ hostSlots })]);
    expect([one, other]).toMatchObject([whole, whole]);
    expect(service.served.mostAtOnce).toBe(2);
  });
});
