import { describe, expect, test } from "vitest";
import { ANYONE, type Caller } from "../../../../src/main/access/caller.js";
import type { CallReport } from "../../../../src/main/observability/call-report.js";
import { HeldTexts, ReplyRoom } from "../../../../src/main/rpc/reply-room.js";
import { type CallOptions, planCall, runCall } from "../../../../src/main/rpc/run-call.js";
import { createMethodTable } from "../../../../src/protocol/json-rpc/methods/table.js";
import { fail, type Outcome, succeed } from "../../../../src/protocol/storage/failures.js";
import type { PoolName } from "../../../../src/protocol/storage/names.js";
import type { PoolRecord } from "../../../../src/protocol/storage/records.js";
import { bytes } from "../../../../src/protocol/storage/units.js";

const REPLY_BYTES = 1_000;
const POOLS = ["tank", "fast"] as PoolName[];

function record(name: PoolName): PoolRecord {
  const none = bytes(0);
  return {
    name,
    driver: "embedded",
    size: none,
    allocated: none,
    free: none,
    available: none,
    promised: none,
    health: "ONLINE",
    fragmentation: undefined,
  };
}

/** Calls a method without parameters; `answer` stands for the pools' actors. */
async function call(
  name: string,
  answer: (pool: PoolName) => Outcome<unknown> | Promise<Outcome<unknown>>,
  onNode: CallOptions["runOnNode"] = () => fail("internal", "asked of main"),
  caller: Caller = ANYONE,
) {
  const lookup = createMethodTable().find(name);
  if (!("found" in lookup)) throw new Error(name);
  const reports: CallReport[] = [];
  const asked: PoolName[] = [];
  const options: CallOptions = {
    pools: POOLS,
    replyBytes: REPLY_BYTES,
    run: ({ pool }) => {
      asked.push(pool);
      return answer(pool);
    },
    runOnTerms: async () => ({ outcome: fail("internal", "on terms") }),
    runOnNode: onNode,
    report: (each) => reports.push(each),
  };
  const planned = planCall(options, lookup.found, { version: "2.0", params: undefined }, caller);
  const client = { requestId: "r1", peer: "192.0.2.1", onDisconnect: () => {} };
  const held = new HeldTexts(new ReplyRoom(REPLY_BYTES), { onEnd: () => {} });
  const outcome = await runCall(options, planned, { client, leftBytes: REPLY_BYTES, held, reads: undefined });
  return { outcome, asked, reports };
}

describe("a call to several pools", () => {
  test("has their answers in the pools' order, whichever came first", async () => {
    const { outcome, asked, reports } = await call("GetPool", async (pool) => {
      if (pool === "tank") await new Promise((resolve) => setImmediate(resolve));
      return succeed(record(pool));
    });
    if (!outcome.ok) throw new Error(outcome.failure.message);
    expect(asked).toEqual(POOLS);
    expect(JSON.parse(String(outcome.value)).pools.map((pool: { name: string }) => pool.name)).toEqual(POOLS);
    expect(reports).toMatchObject([{ method: "GetPool", pool: "", code: "ok" }]);
  });

  test("fails as the first of them that fails, and is reported once", async () => {
    const refused = fail("pool.unavailable", "suspended");
    const { outcome, reports } = await call("GetPool", (pool) =>
      pool === "fast" ? refused : succeed(record(pool)),
    );
    expect(outcome).toEqual(refused);
    expect(reports).toMatchObject([{ method: "GetPool", pool: "", code: "pool.unavailable" }]);
  });

  test("whose actor throws fails as a bug", async () => {
    const { outcome } = await call("GetPool", () => Promise.reject(new Error("a bug")));
    expect(outcome).toMatchObject({ failure: { code: "internal" } });
  });
});

test("a call to one pool is reported with it", async () => {
  const { outcome, asked, reports } = await call("ListVolumes", () => succeed([]));
  expect(outcome).toEqual(succeed('{"volumes":[]}'));
  expect(asked).toEqual(["tank"]);
  expect(reports).toMatchObject([{ method: "ListVolumes", pool: "tank", code: "ok" }]);
});

describe("a call that main answers itself", () => {
  const narrowed: Caller = { id: "t1", grant: { role: "read", pools: ["fast"], names: ["guests/a"] } };
  const noPool = () => fail("internal", "asked of a pool");

  test("has its caller, asks no pool, and is reported without one", async () => {
    const asked: unknown[] = [];
    const { outcome, reports } = await call(
      "ListJobs",
      noPool,
      (operation, caller, { requestId }) => {
        asked.push([operation.op, caller, requestId]);
        return succeed([]);
      },
      narrowed,
    );
    expect(outcome).toEqual(succeed('{"jobs":[]}'));
    expect(asked).toEqual([["ListJobs", narrowed, "r1"]]);
    expect(reports).toMatchObject([{ method: "ListJobs", pool: "", code: "ok", caller: "t1" }]);
  });

  test("fails with what it was about", async () => {
    const { outcome, reports } = await call("ListJobs", noPool, () => Promise.reject(new Error("a bug")));
    expect(outcome).toMatchObject({ failure: { code: "internal" } });
    expect(reports).toMatchObject([{ method: "ListJobs", code: "internal" }]);
  });
});

describe("an answer that does not fit into its reply", () => {
  const list = (length: number) => {
    // `{"snapshots":[{"id":"…","size":0}]}` without the name has 34 bytes.
    const name = "n".repeat(length - 34);
    return succeed([{ name, written: bytes(0) }]);
  };

  test("is refused with the name of the limit, one byte above it", async () => {
    const { outcome } = await call("ListSnapshots", () => list(REPLY_BYTES));
    expect(outcome.ok && outcome.value.length).toBe(REPLY_BYTES);
    const { outcome: refused, reports } = await call("ListSnapshots", () => list(REPLY_BYTES + 1));
    expect(refused).toEqual(
      fail(
        "service.reply_too_large",
        "the answer is longer than limits.replyBytes (1000 bytes) allows: ask for pages of it, by limit and after",
      ),
    );
    expect(reports).toMatchObject([{ method: "ListSnapshots", code: "service.reply_too_large" }]);
  });

  test("of many records is not encoded to its end", async () => {
    let read = 0;
    const records = Array.from({ length: 10_000 }, (_, index) => ({
      get name() {
        read++;
        return `tank/v@${index}`;
      },
      written: bytes(0),
    }));
    const { outcome } = await call("ListSnapshots", () => succeed(records));
    expect(outcome).toMatchObject({ failure: { code: "service.reply_too_large" } });
    expect(read).toBeLessThan(100);
  });
});
