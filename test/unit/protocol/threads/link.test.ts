import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { MessageChannel, Worker } from "node:worker_threads";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readJson } from "../../../../src/protocol/json-rpc/json.js";
import { createMethodTable } from "../../../../src/protocol/json-rpc/methods/table.js";
import { fail, type Outcome, succeed } from "../../../../src/protocol/storage/failures.js";
import type { PoolName } from "../../../../src/protocol/storage/names.js";
import { type Link, openLink } from "../../../../src/protocol/threads/link.js";
import { until } from "../../../support/until.js";

const LOST = fail("service.interrupted", "lost");
const PEER = fileURLToPath(new URL("../../../fixtures/link-peer.mjs", import.meta.url));

interface Pair {
  readonly link: Link;
  readonly other: Link;
  close(): void;
}

function inProcess(answer: (ask: unknown) => Promise<Outcome<unknown>>): Pair {
  const { port1, port2 } = new MessageChannel();
  const link = openLink(port1, answer, LOST);
  const other = openLink(port2, answer, LOST);
  return {
    link,
    other,
    close: () => {
      link.close();
      other.close();
    },
  };
}

const echo = async (ask: unknown): Promise<Outcome<unknown>> => succeed(ask);

async function startPeer(): Promise<{ link: Link; worker: Worker }> {
  const { port1, port2 } = new MessageChannel();
  const worker = new Worker(PEER, { workerData: { port: port2 }, transferList: [port2] });
  await once(worker, "message");
  return { link: openLink(port1, echo, LOST), worker };
}

/** What goes between threads: text, 64-bit numbers, flags, absent members, lists and records. */
const message = fc.letrec<{ any: unknown }>((tie) => ({
  any: fc.oneof(
    { depthSize: "small" },
    fc.string({ unit: "grapheme" }),
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    fc.bigInt({ min: -(2n ** 63n), max: -1n }),
    fc.boolean(),
    fc.integer(),
    fc.constantFrom(null, undefined),
    fc.array(tie("any"), { maxLength: 4 }),
    fc.dictionary(fc.string({ minLength: 1, maxLength: 6 }), tie("any"), {
      maxKeys: 4,
      noNullPrototype: true,
    }),
  ),
})).any;

describe("a link within one thread", () => {
  let pair: Pair;
  beforeAll(() => {
    pair = inProcess(echo);
  });
  afterAll(() => pair.close());

  test("brings messages over unchanged, in both directions", async () => {
    await fc.assert(
      fc.asyncProperty(message, fc.boolean(), async (ask, back) => {
        const outcome = await (back ? pair.other : pair.link).call(ask);
        expect(outcome).toStrictEqual(succeed(ask));
      }),
      { numRuns: 300 },
    );
  });

  test.each([0n, 2n ** 32n, 2n ** 53n + 1n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n])(
    "keeps %s a bigint with its last digit",
    async (size) => {
      expect(await pair.link.call({ size })).toStrictEqual(succeed({ size }));
    },
  );

  test("keeps a member that is undefined", async () => {
    const outcome = await pair.link.call({ volume: undefined, id: "i" });
    expect(outcome).toStrictEqual(succeed({ volume: undefined, id: "i" }));
  });

  test("answers ten thousand calls made at once, each with its own", async () => {
    const calls = Array.from({ length: 10_000 }, (_, index) => pair.link.call({ index, text: `t${index}` }));
    expect(pair.link.pending).toBe(10_000);
    const outcomes = await Promise.all(calls);
    expect(outcomes).toEqual(calls.map((_, index) => succeed({ index, text: `t${index}` })));
    expect(pair.link.pending).toBe(0);
  });

  test("can plan a guest's disk of any size only if its plan passes the link", async () => {
    const lookup = createMethodTable().find("VerifyDisks");
    if (!("found" in lookup)) throw new Error("no VerifyDisks");
    const { plan } = lookup.found;
    await fc.assert(
      fc.asyncProperty(fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }), async (size) => {
        const read = readJson(`{"guest":{"id":"g","disks":[{"size":${size}}]}}`);
        if ("problem" in read) throw new Error(read.problem);
        const planned = plan(read.value, true, ["tank" as PoolName]);
        if (!planned.ok) return;
        expect(await pair.link.call(planned.value)).toStrictEqual(succeed(planned.value));
      }),
      { examples: [[2n ** 44n - 1n], [2n ** 44n], [2n ** 64n - 1n]], timeout: 2_000, numRuns: 20 },
    );
  }, 10_000);
});

test("an exception in the handler becomes an internal failure that keeps its stack for the log", async () => {
  const pair = inProcess(() => Promise.reject(new Error("a bug")));
  const outcome = await pair.link.call("x");
  expect(outcome).toMatchObject({ ok: false, failure: { code: "internal", message: "internal error" } });
  expect(outcome.ok ? "" : outcome.failure.cause).toContain("a bug");
  pair.close();
});

test("closing settles every pending call with the given failure, and later calls too", async () => {
  const pair = inProcess(() => new Promise(() => {}));
  const calls = Array.from({ length: 100 }, (_, index) => pair.link.call(index));
  pair.link.close();
  expect(await Promise.all(calls)).toEqual(Array(100).fill(LOST));
  expect(await pair.link.call("later")).toEqual(LOST);
  expect(pair.link.pending).toBe(0);
  pair.close();
});

test("the other side's close settles what is pending here", async () => {
  const pair = inProcess(() => new Promise(() => {}));
  const call = pair.link.call("x");
  pair.other.close();
  expect(await call).toEqual(LOST);
});

describe("a link to another thread", () => {
  test("brings 64-bit numbers over and answers many calls", async () => {
    const { link, worker } = await startPeer();
    const size = 2n ** 64n - 1n;
    const calls = Array.from({ length: 10_000 }, (_, index) => link.call({ index, size, none: undefined }));
    const outcomes = await Promise.all(calls);
    expect(outcomes.every((outcome) => outcome.ok)).toBe(true);
    expect(outcomes[9_999]).toStrictEqual(succeed({ index: 9_999, size, none: undefined }));
    link.close();
    await worker.terminate();
  });

  test("reports an exception of the other side and works on", async () => {
    const { link, worker } = await startPeer();
    expect(await link.call("throw")).toMatchObject({ ok: false, failure: { code: "internal" } });
    expect(await link.call("x")).toEqual(succeed("x"));
    link.close();
    await worker.terminate();
  });

  test("settles everything when the thread dies", async () => {
    const { link, worker } = await startPeer();
    const hanging = Array.from({ length: 50 }, () => link.call("hang"));
    const last = link.call("exit");
    expect(await Promise.all([...hanging, last])).toEqual(Array(51).fill(LOST));
    await until("no call is pending", () => link.pending === 0);
    expect(await link.call("x")).toEqual(LOST);
    await worker.terminate();
  });

  test("settles everything when the thread is terminated", async () => {
    const { link, worker } = await startPeer();
    const hanging = link.call("hang");
    await worker.terminate();
    expect(await hanging).toEqual(LOST);
  });
});
