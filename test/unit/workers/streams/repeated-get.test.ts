import { createHash, randomBytes, randomInt } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import type { Outcome } from "../../../../src/protocol/storage/failures.js";
import type { DatasetName } from "../../../../src/protocol/storage/names.js";
import type { FetchReport } from "../../../../src/protocol/storage/operations.js";
import { createChildMemory, createChildTable } from "../../../../src/protocol/threads/child-table.js";
import type { HostSlots } from "../../../../src/protocol/threads/host-slots.js";
import { fetchImage } from "../../../../src/workers/streams/image-fetch.js";
import { type BreakingService, openBreakingService } from "../../../support/breaking-service.js";
import { until } from "../../../support/until.js";

const shared = createChildMemory();
const children = createChildTable(shared);
const scratch = mkdtempSync(join(tmpdir(), "imagestore-repeats-"));
const received = join(scratch, "received");
const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");

const data = randomBytes(3_000_000);
const zipped = gzipSync(data, { level: 1 });
let service: BreakingService;
let requests = 0;
let repeatedBytes = 0;
let alternates: number[] = [];

beforeEach(async () => {
  service = await openBreakingService(data);
  [requests, repeatedBytes, alternates] = [0, 0, []];
});
afterEach(async () => {
  expect([...new Int32Array(shared)].filter((pid) => pid !== 0)).toEqual([]);
  await service.close();
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

interface Asking {
  readonly digest?: string;
  readonly attempts?: number;
  readonly idleMs?: number;
  readonly signal?: AbortSignal;
  readonly command?: readonly string[];
  readonly firstDelayMs?: number;
  readonly alternates?: readonly BreakingService[];
  readonly ranges?: number;
  readonly hostSlots?: HostSlots;
}

const sourceAt = ({ url, host }: BreakingService) => ({ url, hosts: { service: host, sources: [] } });

function fetch(asking: Asking = {}): Promise<Outcome<FetchReport>> {
  const { digest, command = ["dd", `of=${received}`, "bs=64k", "status=none"] } = asking;
  return fetchImage({
    order: {
      ...{ url: service.url, target: "tank/images/i" as DatasetName, command },
      hosts: { service: service.host, sources: [] },
      alternates: (asking.alternates ?? []).map(sourceAt),
      ...(digest !== undefined && { digest }),
    },
    ...{ connectMs: 5_000, idleMs: asking.idleMs ?? 5_000, children },
    ranges: asking.ranges ?? 1,
    ...(asking.hostSlots && { hostSlots: asking.hostSlots }),
    repeats: { attempts: asking.attempts ?? 3, firstDelayMs: asking.firstDelayMs ?? 2, mostDelayMs: 50 },
    signal: asking.signal ?? new AbortController().signal,
    onRequest: (count) => {
      requests = count;
    },
    onRepeated: (bytes) => {
      repeatedBytes = bytes;
    },
    onAlternate: (alternate) => {
      alternates.push(alternate);
    },
  });
}

const whole = (receivedBytes: number) => ({
  ok: true,
  value: { receivedBytes, streamBytes: data.length },
});
const expectWhole = () => expect(readFileSync(received).equals(data)).toBe(true);

describe("a body that breaks goes on behind its last byte", () => {
  const bodies = [
    ["plain", data],
    ["gzipped", zipped],
  ] as const;
  const ways = (["reset", "end"] as const).flatMap((how) =>
    [false, true].flatMap((isChunked) => bodies.map(([kind, body]) => ({ how, isChunked, kind, body }))),
  );

  test.each(ways)("by $how, $kind, in chunks: $isChunked", async ({ how, isChunked, body }) => {
    const breaks = Array.from({ length: 8 }, () => randomInt(body.length)).sort((a, b) => a - b);
    console.info(`breaks at ${breaks.join(", ")}`);
    Object.assign(service.served, { body, how, isChunked, breaks: [...breaks] });
    expect(await fetch()).toEqual(whole(body.length));
    expectWhole();
    expect(service.asked[0]).toEqual({ range: undefined, ifRange: undefined });
    for (const { range, ifRange } of service.asked.slice(1)) {
      if (range !== undefined) expect(ifRange).toBe(service.etag());
    }
    expect(requests).toBe(service.asked.length);
    expect(repeatedBytes).toBe(0);
  });

  test("with a time as its validator", async () => {
    Object.assign(service.served, { validator: "modified", breaks: [1_000_000] });
    expect(await fetch()).toEqual(whole(data.length));
    expectWhole();
    expect(service.asked[1]?.ifRange).toMatch(/GMT$/);
  });

  test("without a validator where the request has a digest", async () => {
    Object.assign(service.served, { validator: "none", breaks: [1_000_000, 2_000_000] });
    expect(await fetch({ digest: sha256(data) })).toEqual(whole(data.length));
    expectWhole();
    expect(service.asked.map(({ ifRange }) => ifRange)).toEqual([undefined, undefined, undefined]);
  });

  test("although it falls silent", async () => {
    Object.assign(service.served, { breaks: [1_500_000], how: "silence" });
    expect(await fetch({ idleMs: 1_200 })).toEqual(whole(data.length));
    expectWhole();
    expect(requests).toBe(2);
  });

  test("when the service is busy meanwhile, and says when to come back", async () => {
    Object.assign(service.served, { breaks: [1_000_000] });
    const fetched = fetch();
    await until("the first reply breaks", () => service.asked.length === 1);
    service.served.refusals.push(
      { status: 503, headers: { "retry-after": "1" } },
      { status: 429, headers: { "retry-after": "0" } },
    );
    const startedAt = performance.now();
    expect(await fetched).toEqual(whole(data.length));
    expectWhole();
    expect(performance.now() - startedAt).toBeGreaterThan(950);
    expect(requests).toBe(4);
  });

  test("when all bytes had come and their end had not", async () => {
    Object.assign(service.served, { isChunked: true, breaks: [data.length] });
    expect(await fetch()).toEqual(whole(data.length));
    expectWhole();
    expect(requests).toBe(2);
  });

  test("where no ranges are served: what had come comes again, and is counted", async () => {
    Object.assign(service.served, { hasRanges: false, breaks: [1_000_000] });
    expect(await fetch()).toEqual(whole(data.length));
    expectWhole();
    expect(requests).toBe(2);
    expect(repeatedBytes).toBeGreaterThan(0);
    expect(repeatedBytes).toBeLessThanOrEqual(1_000_000);
  });
});

describe("a body that breaks is given up", () => {
  const expectFailure = async (asking: Asking, code: string, message: RegExp) => {
    const outcome = await fetch(asking);
    expect(outcome).toMatchObject({
      ok: false,
      failure: { code, message: expect.stringMatching(message) },
    });
    return outcome;
  };

  test.each(["none", "weak"] as const)("at once with the validator %s and no digest", async (validator) => {
    Object.assign(service.served, { validator, breaks: [1_000_000] });
    await expectFailure({}, "image.cut_short", /connection broke/);
    expect(service.asked).toHaveLength(1);
  });

  test("after requests in a row that bring nothing", async () => {
    Object.assign(service.served, { breaks: [1_000_000, 0, 0, 0, 0] });
    const outcome = await expectFailure({ attempts: 3 }, "image.cut_short", /connection broke/);
    expect(service.asked).toHaveLength(4);
    expect(outcome).toMatchObject({
      failure: { detail: expect.stringMatching(/ of 3000000 bytes came by 4 requests$/) },
    });
  });

  test("with one attempt at once", async () => {
    Object.assign(service.served, { breaks: [1_000_000] });
    await expectFailure({ attempts: 1 }, "image.cut_short", /connection broke/);
    expect(service.asked).toHaveLength(1);
  });

  test("when the service wants to be asked much later, which the client is told", async () => {
    Object.assign(service.served, { breaks: [1_000_000] });
    const fetched = fetch();
    await until("the first reply breaks", () => service.asked.length === 1);
    service.served.refusals.push({ status: 503, headers: { "retry-after": "3600" } });
    expect(await fetched).toMatchObject({ failure: { code: "image.http_status", retryAfter: 3_600 } });
  });

  test.each([
    ["another ETag", { body: randomBytes(data.length) }],
    ["another length", { body: data.subarray(0, 2_500_000), validator: "none" }],
    ["fewer bytes than came", { body: data.subarray(0, 1_000), validator: "none" }],
  ])("when the service has an object with %s now", async (_what, change) => {
    Object.assign(service.served, { breaks: [1_000_000] });
    const asking = "validator" in change ? { digest: sha256(data) } : {};
    const fetched = fetch({ ...asking, firstDelayMs: 50 });
    await until("the first reply breaks", () => service.served.breaks.length === 0);
    Object.assign(service.served, change);
    expect(await fetched).toMatchObject({
      ok: false,
      failure: {
        code: "image.source_changed",
        message: expect.stringMatching(/^the image can't be gone on with/),
      },
    });
  });

  test("while it waits for its next request, when nobody wants it any more", async () => {
    Object.assign(service.served, { breaks: [1_000_000, 0] });
    const abort = new AbortController();
    const fetched = fetch({ signal: abort.signal, firstDelayMs: 60_000 });
    await until("the first reply breaks", () => service.served.breaks.length === 1);
    abort.abort();
    expect(await fetched).toMatchObject({ failure: { code: "service.interrupted" } });
  });

  test("while it waits for its next request, when the receiving command fails", async () => {
    Object.assign(service.served, { breaks: [100_000], refusals: [] });
    const command = [
      "sh",
      "-c",
      'head -c 10 >/dev/null; sleep 0.2; echo "cannot receive new filesystem stream: out of space" >&2; exit 1',
    ];
    const fetched = fetch({ command, firstDelayMs: 1 });
    await until("the first reply breaks", () => service.asked.length === 1);
    service.served.refusals.push({ status: 503, headers: { "retry-after": "30" } });
    expect(await fetched).toMatchObject({ ok: false, failure: { code: "pool.no_space" } });
  });
});

describe("a body whose source has failed for good", () => {
  const digest = sha256(data);

  async function openOthers(count: number): Promise<readonly BreakingService[]> {
    const others = await Promise.all(Array.from({ length: count }, () => openBreakingService(data)));
    onTestFinished(async () => void (await Promise.all(others.map(({ close }) => close()))));
    return others;
  }

  test("goes on from the next one that has the same bytes", async () => {
    const [missing, other, changed, last] = await openOthers(4);
    if (!missing || !other || !changed || !last) throw new Error("four were opened");
    Object.assign(service.served, { breaks: [1_000_000, 0, 0, 0] });
    missing.served.refusals.push({ status: 404 });
    Object.assign(other.served, { breaks: [2_000_000, 0, 0, 0] });
    Object.assign(changed.served, { body: data.subarray(0, 2_900_000) });
    const outcome = await fetch({ digest, alternates: [missing, other, changed, last] });
    expect(outcome).toEqual(whole(data.length));
    expectWhole();
    expect(alternates).toEqual([1, 2, 3, 4]);
    // The ETag of one service says nothing to another.
    const places = [other, changed, last].map(({ asked }) => asked[0]);
    expect(places.map((ask) => ask?.ifRange)).toEqual([undefined, undefined, undefined]);
    expect(last.sentBytes() + other.sentBytes()).toBeLessThanOrEqual(2_000_000 + 64 * 1024);
  });

  test("is refused when the next one has others, though as many", async () => {
    const [other] = await openOthers(1);
    if (!other) throw new Error("one was opened");
    Object.assign(service.served, { breaks: [1_000_000, 0, 0, 0] });
    other.served.body = randomBytes(data.length);
    const command = ["sh", "-c", "cat >/dev/null"];
    expect(await fetch({ digest, command, alternates: [other] })).toMatchObject({
      failure: { code: "image.digest_mismatch" },
    });
  });

  test("fails when none can go on", async () => {
    const [other] = await openOthers(1);
    if (!other) throw new Error("one was opened");
    Object.assign(service.served, { breaks: [1_000_000, 0, 0, 0] });
    other.served.refusals.push({ status: 403 });
    expect(await fetch({ digest, alternates: [other] })).toMatchObject({
      failure: { code: "image.source_error", message: expect.stringContaining(other.url) },
    });
  });
});

describe("before its first byte", () => {
  test("a service that is busy or broken is asked again, for the whole", async () => {
    service.served.refusals.push({ status: 503 }, { status: 500 });
    expect(await fetch()).toEqual(whole(data.length));
    expect(service.asked).toEqual(Array(3).fill({ range: undefined, ifRange: undefined }));
  });

  test("what the service has then is taken, whatever it had before", async () => {
    Object.assign(service.served, { body: randomBytes(1_000), breaks: [1] });
    const fetched = fetch({ firstDelayMs: 50 });
    await until("the first reply breaks", () => service.served.breaks.length === 0);
    service.served.body = data;
    expect(await fetched).toEqual(whole(data.length));
    expectWhole();
  });

  test.each([404, 403, 400])("status %i is not asked about again", async (status) => {
    service.served.refusals.push({ status });
    expect(await fetch()).toMatchObject({ ok: false });
    expect(service.asked).toHaveLength(1);
  });
});
