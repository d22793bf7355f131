import { expect, test } from "vitest";
import { ANYONE } from "../../../../src/main/access/caller.js";
import { createDiscovery } from "../../../../src/main/rpc/discovery.js";
import { createRpcEndpoint } from "../../../../src/main/rpc/endpoint.js";
import { openRpcDocument } from "../../../../src/protocol/api/open-rpc.js";
import type { Headers, HttpReply, HttpRequest } from "../../../../src/protocol/http/transport.js";
import { createMethodTable } from "../../../../src/protocol/json-rpc/methods/table.js";
import { succeed } from "../../../../src/protocol/storage/failures.js";

const methods = createMethodTable();
const DOCUMENT = JSON.stringify(openRpcDocument(methods.all, "1.2.3"));
const BYTES = Buffer.byteLength(DOCUMENT);

/** Answers a body. @returns what is sent, in the parts in which it is. */
function answer(body: string, limits: { replyBytes?: number; replyBytesInFlight?: number } = {}) {
  const reports: unknown[] = [];
  const endpoint = createRpcEndpoint({
    ...{ pools: [], methods, discover: createDiscovery(methods, "1.2.3"), batchLength: 100, batchLists: 10 },
    ...{ bodyBytes: 100_000, replyBytes: 2 ** 25, replyBytesInFlight: 2 ** 25, ...limits },
    run: () => succeed([]),
    runOnTerms: async () => ({ outcome: succeed("") }),
    runOnNode: () => succeed([]),
    report: (call) => reports.push(call),
    onBug: (error) => reports.push(error),
  });
  const request: HttpRequest = {
    ...{ method: "POST", path: "/rpc", query: "", header: () => "", body, tooLarge: false },
  };
  type Sent = { status: number; parts: readonly Uint8Array[]; text: string; reports: unknown[] };
  return new Promise<Sent>((resolve) => {
    const send: HttpReply["send"] = (status: number, _: Headers, sent) => {
      const parts = [sent].flat().map((part) => (typeof part === "string" ? Buffer.from(part) : part));
      resolve({ status, parts, text: Buffer.concat(parts).toString(), reports });
    };
    const reply: Pick<HttpReply, "send" | "onEnd" | "requestId" | "peer"> = {
      ...{ send, onEnd: () => {}, requestId: "r", peer: "192.0.2.1" },
    };
    endpoint("2.0", request, reply as HttpReply, ANYONE);
  });
}
const DISCOVER = '{"jsonrpc":"2.0","method":"rpc.discover","id":1}';

test("the document is made once, and all replies share its bytes", async () => {
  const discover = createDiscovery(methods, "1.2.3");
  const [one, other] = await Promise.all([discover(), discover()]);
  expect(other).toBe(one);
  expect(discover()).toBe(one);
  expect(Buffer.from(one).toString()).toBe(DOCUMENT);
  const { parts, text } = await answer(DISCOVER);
  expect(parts.map(({ length }) => length)).toContain(one.length);
  expect(text).toBe(`{"jsonrpc":"2.0","result":${DOCUMENT},"id":1}\n`);
});

test("a batch of many shares them too, and counts each in its own limit and once in that of all", async () => {
  const batch = `[${Array.from({ length: 100 }, () => DISCOVER).join()}]`;
  const room = { replyBytesInFlight: BYTES + 1 };
  const { text, parts } = await answer(batch, room);
  const replies: { result: { openrpc: string } }[] = JSON.parse(text);
  expect(replies.map(({ result }) => result.openrpc)).toEqual(Array(100).fill("1.3.2"));
  expect(new Set(parts.filter(({ length }) => length > 10_000)).size).toBe(1);
  const few = await answer(batch, { replyBytes: 3 * BYTES });
  const reasons = JSON.parse(few.text).map(
    ({ error }: { error?: { data: { reason: string } } }) => error?.data.reason,
  );
  expect(reasons).toEqual([undefined, undefined, undefined, ...Array(97).fill("service.reply_too_large")]);
});

test("where it has no room it is refused, and each call is told of", async () => {
  const full = await answer(DISCOVER, { replyBytesInFlight: 1_000 });
  expect(JSON.parse(full.text).error.data).toMatchObject({ reason: "service.overloaded", retryable: true });
  expect(full.reports).toMatchObject([
    { method: "rpc.discover", code: "service.overloaded", requestId: "r" },
  ]);
  const { reports } = await answer(DISCOVER);
  expect(reports).toMatchObject([{ method: "rpc.discover", code: "ok", pool: "" }]);
});
