import { describe, expect, test } from "vitest";
import { ANYONE } from "../../../../src/main/access/caller.js";
import { runSome } from "../../../../src/main/rpc/batch.js";
import { createRpcEndpoint, type RpcOptions } from "../../../../src/main/rpc/endpoint.js";
import type { Headers, HttpReply, HttpRequest } from "../../../../src/protocol/http/transport.js";
import { createMethodTable } from "../../../../src/protocol/json-rpc/methods/table.js";
import { type Outcome, succeed } from "../../../../src/protocol/storage/failures.js";
import type { PoolName } from "../../../../src/protocol/storage/names.js";
import type { Operation } from "../../../../src/protocol/storage/operations.js";
import { bytes } from "../../../../src/protocol/storage/units.js";

interface Answered {
  readonly id: number | null;
  readonly result?: unknown;
  readonly error?: { readonly code: number; readonly message: string; readonly data: { detail?: string } };
}

/** Sends a batch to an endpoint without HTTP. `answer` stands for the pools' actors. */
async function send(
  calls: readonly object[],
  answer: (operation: Operation) => Outcome<unknown>,
  limits: Partial<RpcOptions> = {},
) {
  const ran: Operation[] = [];
  const reported: string[] = [];
  const endpoint = createRpcEndpoint({
    pools: ["tank"] as PoolName[],
    methods: createMethodTable(),
    discover: () => Buffer.from("{}"),
    batchLength: 100,
    batchLists: 3,
    bodyBytes: 1_000,
    replyBytes: 1_000,
    replyBytesInFlight: 1_000,
    run: async ({ operation }) => {
      ran.push(operation);
      return answer(operation);
    },
    runOnTerms: async () => ({ outcome: succeed("") }),
    runOnNode: () => succeed([]),
    report: ({ method, code }) => reported.push(`${method} ${code}`),
    onBug: (error) => {
      throw error;
    },
    ...limits,
  });
  const body = JSON.stringify(calls.map((call, id) => ({ jsonrpc: "2.0", id, ...call })));
  const request: HttpRequest = {
    method: "POST",
    path: "/rpc",
    query: "",
    header: () => "",
    body,
    tooLarge: false,
  };
  const text = await new Promise<string>((resolve) => {
    const reply: Pick<HttpReply, "send"> = {
      send: (_status: number, _headers: Headers, sent: string | Uint8Array) => resolve(String(sent)),
    };
    endpoint("2.0", request, reply as HttpReply, ANYONE);
  });
  return { ran, reported, replies: JSON.parse(text) as readonly Answered[] & Answered };
}

const list = (id: string) => ({ method: "ListSnapshots", params: { id } });
const create = (id: string) => ({ method: "CreateSnapshot", params: { id, dest: "s" } });
const snapshots = (bytesOfText: number) =>
  // `{"snapshots":[{"id":"…","size":0}]}` without the name has 34 bytes.
  succeed([{ name: "n".repeat(bytesOfText - 34), written: bytes(0) }]);

describe("a batch", () => {
  test("runs a read once, however often it has it, and answers and reports each call", async () => {
    const volume = { name: "tank/v", size: bytes(0), device: "d" };
    const twice = [
      { method: "GetVolume", params: { id: "v" } },
      { method: "ImageStore.GetVolume", params: [{ id: "tank/v" }] },
    ];
    const { ran, reported, replies } = await send(
      [...twice, { method: "GetVolume", params: { id: "w" } }],
      () => succeed(volume),
    );
    expect(ran.map((operation) => "name" in operation && operation.name)).toEqual(["tank/v", "tank/w"]);
    expect(reported).toEqual(Array(3).fill("GetVolume ok"));
    expect(replies.map(({ id }) => id)).toEqual([0, 1, 2]);
    expect(replies.every(({ result }) => result !== undefined)).toBe(true);
  });

  test("runs a change as often as it has it", async () => {
    const { ran } = await send([create("v"), create("v")], () => snapshots(100));
    expect(ran.length).toBe(2);
  });

  test("answers as many of its calls as the reply has room for, and says so to the others", async () => {
    const calls = Array.from({ length: 10 }, () => list("v"));
    const { ran, replies } = await send(calls, () => snapshots(250));
    expect(ran.length).toBe(1);
    expect(replies.map(({ result }) => result !== undefined)).toEqual([
      ...Array(4).fill(true),
      ...Array(6).fill(false),
    ]);
    expect(replies[4]?.error).toMatchObject({
      code: 1043,
      message:
        "the answer is longer than limits.replyBytes (1000 bytes) allows: ask for pages of it, by limit and after",
      data: { reason: "service.reply_too_large", errno: "EMSGSIZE", retryable: false },
    });
  });

  test("says of a change whose answer has no room that it was made", async () => {
    const { ran, replies } = await send([create("v")], () => snapshots(1_001));
    expect(ran.length).toBe(1);
    expect(replies[0]?.error?.message).toBe(
      "the change was made, and its answer is longer than limits.replyBytes (1000 bytes) allows",
    );
  });

  test("has at most limits.batchLists different lists and recursive calls, else nothing of it runs", async () => {
    const recursive = { method: "CreateSnapshot", params: { id: "v", dest: "s", recursive: true } };
    const most = [list("a"), list("a"), list("b"), recursive, create("c"), create("d")];
    const { ran } = await send(most, () => snapshots(100));
    expect(ran.length).toBe(5);
    const { ran: none, replies } = await send([...most, recursive], () => snapshots(100));
    expect(none).toEqual([]);
    expect(replies.error).toMatchObject({
      code: -32600,
      data: {
        detail: "a batch holds at most 3 different lists and recursive calls (limits.batchLists), got 4",
      },
    });
  });
});

test("pages of one list are different lists, and equal pages are one", async () => {
  const page = (after: string, limit = 2) => ({ method: "ListSnapshots", params: { id: "v", limit, after } });
  const three = [page("a"), page("b"), page("a"), page("tank/a"), page("a", 3)];
  const { ran, replies } = await send(three, () => snapshots(100));
  expect(ran).toEqual([
    { op: "ListSnapshots", root: "tank/v", limit: 2, after: "tank/a" },
    { op: "ListSnapshots", root: "tank/v", limit: 2, after: "tank/b" },
    { op: "ListSnapshots", root: "tank/v", limit: 3, after: "tank/a" },
  ]);
  expect(replies.every(({ result }) => result !== undefined)).toBe(true);
  const { ran: none } = await send([...three, list("v")], () => snapshots(100));
  expect(none).toEqual([]);
});

test("of many calls some run at once, the others when one of these has ended", async () => {
  let running = 0;
  let most = 0;
  const results = await runSome(
    Array.from({ length: 1_000 }, (_, index) => index),
    async (index) => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setImmediate(resolve));
      running--;
      return -index;
    },
  );
  expect(most).toBe(100);
  expect(results).toEqual(Array.from({ length: 1_000 }, (_, index) => -index));
});
