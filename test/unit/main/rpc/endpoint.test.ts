import { expect, test } from "vitest";
import { ANYONE } from "../../../../src/main/access/caller.js";
import type { CallReport } from "../../../../src/main/observability/call-report.js";
import { createRpcEndpoint } from "../../../../src/main/rpc/endpoint.js";
import type { Headers, HttpReply, HttpRequest, WholeReply } from "../../../../src/protocol/http/transport.js";
import { succeed } from "../../../../src/protocol/storage/failures.js";
import { rpcOptions } from "../../../support/rpc-options.js";
import { silentReply } from "../../../support/silent-reply.js";

const options = {
  ...rpcOptions,
  bodyBytes: 1_000,
  replyBytes: 1_000,
  replyBytesInFlight: 1_000,
  onBug: () => {},
};

const request: Omit<HttpRequest, "body"> = {
  method: "POST",
  path: "/rpc",
  query: "",
  header: () => "",
  tooLarge: false,
};

test.each(["1.0", "2.0"] as const)(
  "a look-up of JSON-RPC %s does not ask the kernel for its client",
  (version) => {
    const reports: CallReport[] = [];
    const endpoint = createRpcEndpoint({
      ...options,
      run: () => succeed([]),
      report: (call) => reports.push(call),
    });
    let asked = 0;
    const bodies: string[] = [];
    const reply: WholeReply = {
      ...silentReply,
      get peer() {
        asked++;
        return "192.0.2.1";
      },
      send: (_status, _headers, body) => bodies.push(String(body)),
    };
    const call = { ...(version === "2.0" && { jsonrpc: "2.0" }), method: "ImageStore.ListVolumes", id: 1 };
    const body = JSON.stringify({ ...call, params: version === "1.0" ? [{}] : {} });
    endpoint(version, { ...request, body }, reply as HttpReply, ANYONE);
    expect(bodies).toEqual([expect.stringContaining('"volumes":[]')]);
    expect(asked).toBe(0);
    expect(reports.map(({ client }) => client.peer)).toEqual(["192.0.2.1"]);
  },
);

test("a bug in one request of a batch is a 500, and does not keep the requests behind it from running", async () => {
  const ran: string[] = [];
  const bugs: unknown[] = [];
  const bug = new Error("a bug");
  const endpoint = createRpcEndpoint({
    ...options,
    run: ({ operation }) => {
      ran.push(operation.op);
      if (operation.op === "ListVolumes") throw bug;
      return succeed([]);
    },
    report: () => {},
    onBug: (error) => bugs.push(error),
  });
  const methods = ["ListVolumes", "ListSnapshots", "ListImages"];
  const body = JSON.stringify(methods.map((method, id) => ({ jsonrpc: "2.0", method, id })));
  const status = await new Promise<number>((resolve) => {
    const reply: Pick<HttpReply, "send"> = {
      send: (code: number, _headers: Headers, _body: string | Uint8Array) => resolve(code),
    };
    endpoint("2.0", { ...request, body }, reply as HttpReply, ANYONE);
  });
  expect(status).toBe(500);
  expect(bugs).toEqual([bug]);
  expect(ran).toEqual(["ListVolumes", "ListSnapshots", "ListImages"]);
});
