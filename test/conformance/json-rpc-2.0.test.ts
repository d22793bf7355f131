import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { type Reply, RPC_PATH, type RpcError } from "./client.js";
import { conformance } from "./suite.js";

interface Reply20 {
  readonly jsonrpc: string;
  readonly result?: unknown;
  readonly error?: RpcError;
  readonly id: unknown;
}

const PARSE_ERROR = -32700;
const INVALID_REQUEST = -32600;
const METHOD_NOT_FOUND = -32601;
const INVALID_PARAMS = -32602;
/** The codes that the specification keeps for itself. */
const RESERVED = { from: -32768, to: -32000 };

const NOT_FOUND = '{"jsonrpc":"2.0","method":"GetImage","params":{"id":"no-such-image"},"id":1}';
const NOTIFICATION = '{"jsonrpc":"2.0","method":"GetImage","params":{"id":"no-such-image"}}';

conformance("JSON-RPC 2.0", "json-rpc-2.0", ({ server, target, own }) => {
  const post = (body: string, path = "/rpc"): Promise<Reply> =>
    server.send({ path, body, headers: { "Content-Type": "application/json" } });

  async function ask(body: string, path?: string): Promise<Reply20> {
    const reply = await post(body, path);
    expect(reply.status).toBe(200);
    expect(reply.headers["content-type"]).toBe("application/json; charset=utf-8");
    return JSON.parse(reply.text) as Reply20;
  }

  async function askBatch(body: string, path?: string): Promise<Reply20[]> {
    const reply = await post(body, path);
    expect(reply.status).toBe(200);
    return JSON.parse(reply.text) as Reply20[];
  }

  for (const path of ["/rpc", RPC_PATH]) {
    test(`${path} answers a request with a result and no error`, async () => {
      const params = `{"guest":{"id":"${own}"}}`;
      const request = `{"jsonrpc":"2.0","method":"ImageStore.DeleteGuestsDisks","params":${params},"id":"a"}`;
      expect(await ask(request, path)).toEqual({
        jsonrpc: "2.0",
        result: { guest: { id: own, disks: [] } },
        id: "a",
      });
    });

    test(`${path} answers a failure with an error object and no result`, async () => {
      const { jsonrpc, error, id, ...rest } = await ask(NOT_FOUND, path);
      expect({ jsonrpc, id, rest }).toEqual({ jsonrpc: "2.0", id: 1, rest: {} });
      expect(error?.message).toBe("not found: image no-such-image");
      expect(error?.data).toMatchObject({ errno: "ENOENT", retryable: false });
      expect(error?.data.reason).toMatch(/^[a-z]+\.[a-z_]+$/);
      expect(Number.isInteger(error?.code)).toBe(true);
      const { code = RESERVED.from } = error ?? {};
      expect(code < RESERVED.from || code > RESERVED.to).toBe(true);
    });

    test(`${path} answers a notification with 204 and nothing else`, async () => {
      const reply = await post(NOTIFICATION, path);
      expect(reply.status).toBe(204);
      expect(reply.text).toBe("");
    });

    test(`${path} answers each request of a batch but not its notifications`, async () => {
      const replies = await askBatch(
        `[${NOT_FOUND},${NOTIFICATION},{"foo":"boo"},1,
          {"jsonrpc":"2.0","method":"foo.get","params":{"name":"myself"},"id":"5"},
          {"jsonrpc":"2.0","method":"GetImage","params":["x"],"id":"9"}]`,
        path,
      );
      expect(replies.map(({ error, id }) => [id, error?.code])).toEqual([
        [1, expect.any(Number)],
        [null, INVALID_REQUEST],
        [null, INVALID_REQUEST],
        ["5", METHOD_NOT_FOUND],
        ["9", INVALID_PARAMS],
      ]);
      expect(replies.every(({ jsonrpc }) => jsonrpc === "2.0")).toBe(true);
    });

    test(`${path} answers a batch of only notifications with 204`, async () => {
      const reply = await post(`[${NOTIFICATION},${NOTIFICATION}]`, path);
      expect(reply.status).toBe(204);
      expect(reply.text).toBe("");
    });

    test(`${path} refuses a batch that is too long as a whole`, async () => {
      const full = Array.from({ length: target.batchLength }, () => NOT_FOUND);
      expect(await askBatch(`[${full.join(",")}]`, path)).toHaveLength(target.batchLength);
      const { error, id } = await ask(`[${[...full, NOT_FOUND].join(",")}]`, path);
      expect([error?.code, id]).toEqual([INVALID_REQUEST, null]);
    });
  }

  test("a method takes params as an object, as an array of one object, or none", async () => {
    const ask0 = (params: string) => ask(`{"jsonrpc":"2.0","method":"GetSnapshot"${params},"id":1}`);
    const named = await ask0(',"params":{"id":"plain"}');
    const positional = await ask0(',"params":[{"id":"plain"}]');
    const empty = await ask0(',"params":[]');
    const none = await ask0("");
    expect([named, positional, empty, none].map(({ error }) => error?.message)).toEqual([
      `not found: ${target.pools[0]}/plain`,
      `not found: ${target.pools[0]}/plain`,
      "need an id (id: wanted the name of a dataset or snapshot)",
      "need an id (id: wanted the name of a dataset or snapshot)",
    ]);
  });

  test.each(["0", "-1", "1.5", "1e5", "9223372036854775807", '"a\\u003cb"', '""', "null"])(
    "the id %s comes back as it was written",
    async (id) => {
      const reply = await post(`{"jsonrpc":"2.0","method":"GetImage","params":{},"id":${id}}`);
      expect(reply.text.trimEnd()).toMatch(/^\{"jsonrpc":"2\.0",/);
      expect(reply.text.trimEnd().endsWith(`,"id":${id}}`)).toBe(true);
    },
  );

  test.each([
    ["a cut request", '{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]'],
    ["a cut batch", '[{"jsonrpc":"2.0","method":"GetImage","params":{},"id":"1"},{"jsonrpc":"2.0","method"]'],
    ["no body", ""],
    ["no JSON", "hello"],
  ])("%s is a parse error with a null id", async (_title, body) => {
    const { error, id, jsonrpc } = await ask(body);
    expect({ jsonrpc, id, code: error?.code }).toEqual({ jsonrpc: "2.0", id: null, code: PARSE_ERROR });
    expect(error?.data).toMatchObject({ reason: expect.any(String), retryable: false });
  });

  test.each([
    ["a method that is no string", '{"jsonrpc":"2.0","method":1,"params":"bar"}', null],
    ["params that are a string", '{"jsonrpc":"2.0","method":"GetImage","params":"bar","id":1}', 1],
    ["params that are null", '{"jsonrpc":"2.0","method":"GetImage","params":null,"id":1}', 1],
    ["no method", '{"jsonrpc":"2.0","id":1}', 1],
    ["an id that is an object", '{"jsonrpc":"2.0","method":"GetImage","id":{}}', null],
    ["an id that is an array", '{"jsonrpc":"2.0","method":"GetImage","id":[1]}', null],
    ["an id that is true", '{"jsonrpc":"2.0","method":"GetImage","id":true}', null],
    ["a number as the version", '{"jsonrpc":2.0,"method":"GetImage","id":1}', 1],
    ["another version", '{"jsonrpc":"2.1","method":"GetImage","id":1}', 1],
    ["an empty batch", "[]", null],
    ["a string", '"GetImage"', null],
    ["a number", "1", null],
  ])("%s is an invalid request", async (_title, body, wantedId) => {
    const { error, id } = await ask(body);
    expect([error?.code, id]).toEqual([INVALID_REQUEST, wantedId]);
    expect(error?.data).toMatchObject({ reason: expect.any(String), retryable: false });
  });

  test.each([
    ["[1]", 1],
    ["[1,2,3]", 3],
    ["[[]]", 1],
    ['[null,""]', 2],
  ])("the batch %s is answered with an invalid request for each element", async (body, length) => {
    const replies = await askBatch(body);
    expect(replies.map(({ error, id }) => [error?.code, id])).toEqual(
      Array.from({ length }, () => [INVALID_REQUEST, null]),
    );
  });

  test("a request of 1.0 is answered as such on /rpc too, whatever its params hold", async () => {
    const reply = await post(
      '{"method":"ImageStore.GetImage","params":[{"id":"none","jsonrpc":"x"}],"id":1}',
    );
    expect(reply.text).toBe('{"result":null,"error":"not found","id":1}\n');
  });

  test("on the old path an array without a 2.0 request is no batch", async () => {
    const reply = await post('[{"method":"GetImage","params":[{}],"id":1}]', RPC_PATH);
    expect(reply.status).toBe(400);
  });

  test.each([
    "foobar",
    "",
    "rpc.discovers",
    "ImageStore.rpc.discover",
    "ImageStore.Nope",
    "Nope.GetImage",
    "__proto__",
    "toString",
  ])("the method %j is not found", async (method) => {
    const { error, id } = await ask(`{"jsonrpc":"2.0","method":"${method}","id":"1"}`);
    expect([error?.code, id]).toEqual([METHOD_NOT_FOUND, "1"]);
    expect(error?.data).toMatchObject({ reason: expect.any(String), retryable: false });
  });

  test("rpc.discover answers the OpenRPC document, to 2.0 alone", async () => {
    for (const params of ["", ',"params":{}', ',"params":[]', ',"params":[{}]']) {
      const reply = await post(`{"jsonrpc":"2.0","method":"rpc.discover"${params},"id":7}`);
      expect(reply.text.endsWith(',"id":7}\n')).toBe(true);
      const { result } = JSON.parse(reply.text);
      expect([result.openrpc, result.info.title, result.methods.length > 30]).toEqual([
        "1.3.2",
        "imagestore",
        true,
      ]);
    }
    const { error } = await ask('{"jsonrpc":"2.0","method":"rpc.discover","params":{"x":1},"id":1}');
    expect(error?.data).toMatchObject({ reason: "request.malformed" });
    expect((await post('{"jsonrpc":"2.0","method":"rpc.discover"}')).status).toBe(204);
    const old = await post('{"method":"rpc.discover","params":[{}],"id":1}', RPC_PATH);
    expect([old.status, old.text]).toEqual([400, `rpc: can't find service "rpc.discover"`]);
  });

  test("a notification of a method that does not exist gets no answer", async () => {
    const reply = await post('{"jsonrpc":"2.0","method":"foobar","params":[1]}');
    expect(reply.status).toBe(204);
  });

  test.each([
    ["CreateVolume", '{"id":"x","size":-1}'],
    ["CreateVolume", '[{"id":"x","size":18446744073709551616}]'],
    ["GetImage", "[[]]"],
    ["GetImage", '{"id":7}'],
    ["VerifyDisks", '{"guest":[]}'],
  ])("%s with params of the wrong type is invalid params (%#)", async (method, params) => {
    const { error } = await ask(`{"jsonrpc":"2.0","method":"${method}","params":${params},"id":1}`);
    expect(error?.code).toBe(INVALID_PARAMS);
    expect(error?.data).toMatchObject({ reason: "request.malformed", retryable: false });
  });

  test.each([
    ["RequestImage", {}, "request.missing_field", "EINVAL", /^need id \(id: /],
    ["CloneImage", { id: "x" }, "request.missing_field", "EINVAL", /^need dest \(dest: /],
    ["VerifyDisks", {}, "request.invalid", "EINVAL", /^invalid argument \(guest: wanted a guest\)$/],
    [
      "GetSnapshot",
      { id: "../x@y" },
      "name.invalid",
      "EINVAL",
      /^not a valid dataset: "\.\.\/x@y": the name has the component "\.\."$/,
    ],
    ["GetSnapshot", { id: "images" }, "dataset.wrong_type", "EINVAL", /^not a snapshot: \S+\/images$/],
    ["GetImage", { id: "no-such-image" }, "image.not_found", "ENOENT", /^not found: image no-such-image$/],
    [
      "GetVolume",
      { id: "no-such-dataset" },
      "dataset.not_found",
      "ENOENT",
      /^not found: \S+\/no-such-dataset$/,
    ],
    ["ListVolumes", { pool: "no-such-pool" }, "pool.not_found", "ENOENT", undefined],
    ["DeleteDataset", { id: "images" }, "dataset.protected", "EPERM", undefined],
  ] as const)("%s %j is refused with the reason %s", async (method, params, reason, errno, message) => {
    const error = await server.failure(method, params);
    expect(error.data).toMatchObject({ reason, errno, retryable: false });
    expect(error.message).toMatch(message ?? /./);
    expect(error.message).not.toBe("");
  });

  test("a batch may come by GET and its reply compressed", async () => {
    const body = `[${Array.from({ length: target.batchLength }, () => NOT_FOUND).join(",")}]`;
    const headers = { "Content-Type": "application/json", "Accept-Encoding": "gzip" };
    const reply = await server.send({ method: "GET", path: "/rpc", body, headers });
    expect(reply.status).toBe(200);
    expect(reply.headers["content-encoding"]).toBe("gzip");
    expect(JSON.parse(gunzipSync(reply.body).toString())).toHaveLength(target.batchLength);
  });

  test("a body that is too long is refused by HTTP", async () => {
    const reply = await post(`"${"x".repeat(target.bodyLimitBytes)}"`);
    expect(reply.status).toBe(413);
  });
});
