import { expect, test } from "vitest";
import { ANYONE } from "../../../../src/main/access/caller.js";
import { createRpcEndpoint } from "../../../../src/main/rpc/endpoint.js";
import type { Headers, HttpReply, HttpRequest } from "../../../../src/protocol/http/transport.js";
import { createMethodTable } from "../../../../src/protocol/json-rpc/methods/table.js";
import { succeed } from "../../../../src/protocol/storage/failures.js";
import type { PoolName } from "../../../../src/protocol/storage/names.js";

test("a bug in one request of a batch is a 500, and does not keep the requests behind it from running", async () => {
  const ran: string[] = [];
  const bugs: unknown[] = [];
  const bug = new Error("a bug");
  const endpoint = createRpcEndpoint({
    pools: ["tank" as PoolName],
    methods: createMethodTable(),
    discover: () => Buffer.from("{}"),
    batchLength: 10,
    batchLists: 10,
    bodyBytes: 1_000,
    replyBytes: 1_000,
    replyBytesInFlight: 1_000,
    run: ({ operation }) => {
      ran.push(operation.op);
      if (operation.op === "ListVolumes") throw bug;
      return succeed([]);
    },
    runOnTerms: async () => ({ outcome: succeed("") }),
    runOnNode: () => succeed([]),
    report: () => {},
    onBug: (error) => bugs.push(error),
  });
  const request: HttpRequest = {
    method: "POST",
    path: "/rpc",
    query: "",
    header: () => "",
    body: JSON.stringify(
      ["ListVolumes", "ListSnapshots", "ListImages"].map((method, id) => ({ jsonrpc: "2.0", method, id })),
    ),
    tooLarge: false,
  };
  const status = await new Promise<number>((resolve) => {
    const reply: Pick<HttpReply, "send"> = {
      send: (code: number, _headers: Headers, _body: string | Uint8Array) => resolve(code),
    };
    endpoint("2.0", request, reply as HttpReply, ANYONE);
  });
  expect(status).toBe(500);
  expect(bugs).toEqual([bug]);
  expect(ran).toEqual(["ListVolumes", "ListSnapshots", "ListImages"]);
});
