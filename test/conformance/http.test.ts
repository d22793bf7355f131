import { Agent, request as open } from "node:http";
import { gunzipSync, inflateSync } from "node:zlib";
import { expect, test } from "vitest";
import { RPC_PATH } from "./client.js";
import { conformance } from "./suite.js";

const JSON_TYPE = { "Content-Type": "application/json" };
const NO_IMAGE = '{"method":"ImageStore.GetImage","params":[{"id":"no-such-image"}],"id":1}';
const NOT_FOUND = '{"result":null,"error":"not found","id":1}\n';

/** The 1.0 request that calls `method`, with parts as written. */
function request(method: string, params: string, id = "1"): string {
  return `{"method":"ImageStore.${method}","params":${params},"id":${id}}`;
}

conformance("JSON-RPC 1.0 over HTTP", "http", ({ server, target, pool }) => {
  test("a reply has its members in order, no spaces, one newline and the contract's headers", async () => {
    const reply = await server.post(NO_IMAGE);
    expect(reply.text).toBe(NOT_FOUND);
    expect(reply.status).toBe(200);
    expect(reply.headers).toMatchObject({
      "content-type": "application/json; charset=utf-8",
      "x-content-type-options": "nosniff",
      "content-length": String(NOT_FOUND.length),
    });
  });

  test("a successful reply carries error null", async () => {
    const reply = await server.post(request("DeleteGuestsDisks", '[{"guest":{"id":"no-such-guest"}}]', "7"));
    expect(reply.text).toBe('{"result":{"guest":{"id":"no-such-guest","disks":[]}},"error":null,"id":7}\n');
  });

  test.each([
    "0",
    "9223372036854775807",
    "18446744073709551616",
    "1e5",
    "-0.0",
    "1.50",
    "true",
    '"a\\u003cb"',
    '"\\u0041"',
    '""',
    "[]",
    '{"a":[1,2]}',
    "[9007199254740993]",
  ])("the id %s comes back as it was written", async (id) => {
    const reply = await server.post(request("GetImage", "[{}]", id));
    expect(reply.text).toBe(`{"result":null,"error":"not found","id":${id}}\n`);
  });

  test("the id loses only the white space between its parts", async () => {
    const reply = await server.post(request("GetImage", "[{}]", '{"a": [1, 2], "b c":\t" d "}'));
    expect(reply.text).toBe('{"result":null,"error":"not found","id":{"a":[1,2],"b c":" d "}}\n');
  });

  test("in an id too <, >, &, U+2028 and U+2029 are escaped", async () => {
    const reply = await server.post(request("GetImage", "[{}]", '"<>&\u2028\u2029é"'));
    expect(reply.text).toBe(
      '{"result":null,"error":"not found","id":"\\u003c\\u003e\\u0026\\u2028\\u2029é"}\n',
    );
  });

  test("in a result too <, >, &, U+2028 and U+2029 are escaped", async () => {
    const guest = '{"id":"no-such-guest","metadata":{"<k>":"a&b\u2028\u2029"}}';
    const reply = await server.post(request("DeleteGuestsDisks", `[{"guest":${guest}}]`));
    expect(reply.text).toBe(
      '{"result":{"guest":{"id":"no-such-guest","disks":[],"metadata":{"\\u003ck\\u003e":"a\\u0026b\\u2028\\u2029"}}},"error":null,"id":1}\n',
    );
  });

  test("in an error too <, > and & are escaped", async () => {
    const reply = await server.post(request("GetImage", '[{"pool":"<&>"}]'));
    expect(reply.text).toContain("\\u003c\\u0026\\u003e");
    expect(reply.text).not.toMatch(/[<>&]/);
  });

  test.each([
    ["without an id", '{"method":"ImageStore.GetImage","params":[{"id":"x"}]}'],
    ["with a null id", '{"method":"ImageStore.GetImage","params":[{"id":"x"}],"id":null}'],
  ])("a request %s is a notification and gets an empty body", async (_title, body) => {
    const reply = await server.post(body);
    expect(reply.status).toBe(200);
    expect(reply.headers["content-length"]).toBe("0");
    expect(reply.text).toBe("");
  });

  test("a GET with a body is a request like a POST", async () => {
    const reply = await server.send({ method: "GET", path: RPC_PATH, headers: JSON_TYPE, body: NO_IMAGE });
    expect(reply.status).toBe(200);
    expect(reply.text).toBe(NOT_FOUND);
  });

  test.each(["PUT", "DELETE", "PATCH", "OPTIONS"])(
    "%s is refused before anything else is looked at",
    async (method) => {
      const headers = { "Content-Type": "text/html" };
      const reply = await server.send({ method, path: RPC_PATH, headers, body: "{" });
      expect(reply.status).toBe(405);
      expect(reply.headers["content-type"]).toBe("text/plain; charset=utf-8");
      expect(reply.text).toBe(`rpc: POST method required, received ${method}`);
    },
  );

  test.each([
    ["text/plain", "text/plain"],
    ["text/html; charset=utf-8", "text/html"],
    ["application/x-www-form-urlencoded", "application/x-www-form-urlencoded"],
    ["application/jsonp", "application/jsonp"],
  ])("the type %s is refused before the body is looked at", async (type, named) => {
    const reply = await server.post("{", { "Content-Type": type });
    expect(reply.status).toBe(415);
    expect(reply.headers["content-type"]).toBe("text/plain; charset=utf-8");
    expect(reply.text).toBe(`rpc: unrecognized Content-Type: ${named}`);
  });

  test.each([
    "application/json",
    "Application/JSON",
    "application/json; charset=utf-8",
    "application/json;x=y",
  ])("the type %s is JSON", async (type) => {
    const reply = await server.post(NO_IMAGE, { "Content-Type": type });
    expect(reply.text).toBe(NOT_FOUND);
  });

  test("a missing type counts as JSON", async () => {
    const reply = await server.send({ path: RPC_PATH, body: NO_IMAGE });
    expect(reply.text).toBe(NOT_FOUND);
  });

  test.each([
    ["no body", ""],
    ["a cut body", '{"method":'],
    ["two values", `${NO_IMAGE}${NO_IMAGE}`],
    ["no JSON", "hello"],
    ["single quotes", "{'method':'ImageStore.GetImage'}"],
    ["a string", '"ImageStore.GetImage"'],
    ["a number", "1"],
    ["an empty array", "[]"],
    ["an array of 1.0 requests", `[${NO_IMAGE}]`],
    ["a method that is no string", '{"method":1,"params":[{}],"id":1}'],
    ["params that are an object", request("GetImage", '{"id":"x"}')],
    ["params that are a string", request("GetImage", '"x"')],
    ["params of a string", request("GetImage", '["x"]')],
    ["params of an array", request("GetImage", "[[]]")],
  ])("%s is answered with 400 in plain text without a newline", async (_title, body) => {
    const reply = await server.post(body);
    expect(reply.status).toBe(400);
    expect(reply.headers["content-type"]).toBe("text/plain; charset=utf-8");
    expect(reply.text).toMatch(/^[^\n]+$/);
  });

  test.each([
    ["", 'rpc: service/method request ill-formed: ""'],
    ["Nope", 'rpc: service/method request ill-formed: "Nope"'],
    ["ImageStore.Get.Image", 'rpc: service/method request ill-formed: "ImageStore.Get.Image"'],
    ["Nope.X", `rpc: can't find service "Nope.X"`],
    ["imagestore.GetImage", `rpc: can't find service "imagestore.GetImage"`],
    ["ImageStore.Nope", `rpc: can't find method "ImageStore.Nope"`],
    ["ImageStore.getImage", `rpc: can't find method "ImageStore.getImage"`],
    ["ImageStore.", `rpc: can't find method "ImageStore."`],
    ["ImageStore.__proto__", `rpc: can't find method "ImageStore.__proto__"`],
    ["ImageStore.constructor", `rpc: can't find method "ImageStore.constructor"`],
  ])("the method name %j is answered with 400, params or not", async (method, text) => {
    for (const body of [`{"method":"${method}","params":[{}],"id":1}`, `{"method":"${method}","id":1}`]) {
      const reply = await server.post(body);
      expect(reply.status).toBe(400);
      expect(reply.headers["content-type"]).toBe("text/plain; charset=utf-8");
      expect(reply.text).toBe(text);
    }
  });

  test("a request without a method is ill-formed", async () => {
    const reply = await server.post('{"params":[{}],"id":1}');
    expect(reply.status).toBe(400);
    expect(reply.text).toBe('rpc: service/method request ill-formed: ""');
  });

  test("a request without params is answered with 400", async () => {
    const reply = await server.post('{"method":"ImageStore.GetImage","id":1}');
    expect(reply.status).toBe(400);
    expect(reply.headers["content-type"]).toBe("text/plain; charset=utf-8");
    expect(reply.text).toBe("rpc: method request ill-formed: missing params field");
  });

  test.each(["[]", "[null]", "[{}]", '[{"id":null,"type":null,"dest":null,"source":null,"pool":null}]'])(
    "params %s mean all fields zero",
    async (params) => {
      const reply = await server.post(request("RequestImage", params));
      expect(reply.text).toBe('{"result":null,"error":"need id","id":1}\n');
    },
  );

  test.each([
    ["further params", '[{"id":"v@s"},{"id":""},7]'],
    ["unknown fields", '[{"id":"v@s","nope":{"deep":[1,"]"]},"Id2":""}]'],
    ["an unknown field of any name", '[{"__proto__":{"id":""},"id":"v@s","constructor":1}]'],
  ])("%s are ignored", async (_title, params) => {
    const reply = await server.post(request("GetSnapshot", params));
    expect(reply.text).toBe('{"result":null,"error":"not found","id":1}\n');
  });

  test.each([
    ['[{"ID":"plain"}]', "not found"],
    ['[{"iD":"plain"}]', "not found"],
    ['[{"id":"plain","id":""}]', "need an id"],
    ['[{"id":"","id":"plain"}]', "not found"],
    ['[{"id":"plain","ID":""}]', "need an id"],
    ['[{"ID":"","id":"plain"}]', "not found"],
    ['[{"\\u0069d":"plain"}]', "not found"],
  ])("the keys of %s match in any case and the last one wins", async (params, error) => {
    const reply = await server.post(request("GetSnapshot", params));
    expect(reply.text).toBe(`{"result":null,"error":"${error}","id":1}\n`);
  });

  test("the envelope's keys match in any case and the last one wins", async () => {
    const reply = await server.post(
      '{"METHOD":"Nope.X","Method":"ImageStore.GetImage","Params":[],"id":1,"iD":2}',
    );
    expect(reply.text).toBe('{"result":null,"error":"not found","id":2}\n');
  });

  test.each([
    [
      "CreateVolume",
      '[{"id":"x","size":-1}]',
      "VolumeRequest.size: expected unsigned 64-bit integer, got -1",
    ],
    [
      "CreateVolume",
      '[{"id":"x","size":1.5}]',
      "VolumeRequest.size: expected unsigned 64-bit integer, got 1.5",
    ],
    [
      "CreateVolume",
      '[{"id":"x","size":"8"}]',
      'VolumeRequest.size: expected unsigned 64-bit integer, got "8"',
    ],
    [
      "CreateVolume",
      '[{"id":"x","size":18446744073709551616}]',
      "VolumeRequest.size: expected unsigned 64-bit integer, got 18446744073709551616",
    ],
  ])("%s %s names the field and the type expected", async (method, params, text) => {
    const reply = await server.post(request(method, params));
    expect(reply.status).toBe(400);
    expect(reply.headers["content-type"]).toBe("text/plain; charset=utf-8");
    expect(reply.text).toBe(text);
  });

  test.each([
    ["CreateVolume", '[{"id":1,"size":8}]', "id", "string"],
    ["CreateVolume", '[{"id":"x","size":true}]', "size", "unsigned 64-bit integer"],
    ["CreateVolume", '[{"id":"x","size":[8]}]', "size", "unsigned 64-bit integer"],
    ["CreateVolume", '[{"id":"x","size":1e400}]', "size", "unsigned 64-bit integer"],
    ["CreateVolume", `[{"id":"x","size":${"9".repeat(5000)}}]`, "size", "unsigned 64-bit integer"],
    ["RequestImage", '[{"id":["x"]}]', "id", "string"],
    ["RequestImage", '[{"id":"x","type":1}]', "type", "string"],
    ["RequestImage", '[{"id":"x","source":false}]', "source", "string"],
    ["CloneImage", '[{"id":"x","dest":{}}]', "dest", "string"],
    ["GetSnapshot", '[{"id":"x@y","recursive":"yes"}]', "recursive", "boolean"],
    ["RollbackSnapshot", '[{"id":"x@y","destroyMoreRecent":1}]', "destroyMoreRecent", "boolean"],
    ["ListVolumes", '[{"pool":7}]', "pool", "string"],
    ["VerifyDisks", '[{"guest":"g"}]', "guest", "object"],
    ["VerifyDisks", '[{"guest":{"id":7}}]', "id", "string"],
    ["VerifyDisks", '[{"guest":{"id":"g","disks":{}}}]', "disks", "array"],
    ["VerifyDisks", '[{"guest":{"id":"g","disks":[1]}}]', "disks", "object"],
    ["VerifyDisks", '[{"guest":{"id":"g","disks":[{"size":-8}]}}]', "size", "unsigned 64-bit integer"],
    ["VerifyDisks", '[{"guest":{"id":"g","disks":[{"size":8,"image":1}]}}]', "image", "string"],
  ])("%s with a field of the wrong type is answered with 400 (%#)", async (method, params, field, type) => {
    const reply = await server.post(request(method, params));
    expect(reply.status).toBe(400);
    expect(reply.text).toContain(field);
    expect(reply.text).toContain(type);
    expect(reply.text.length).toBeLessThan(300);
  });

  test("plain method names and aliases reach the same methods", async () => {
    const answers = await Promise.all(
      [
        '{"method":"GetImage","params":[{"id":"no-such-image"}],"id":1}',
        '{"method":"ListSnapshot","params":[{"id":"no-such-dataset"}],"id":1}',
        '{"method":"ImageStore.ListSnapshot","params":[{"id":"no-such-dataset"}],"id":1}',
      ].map((body) => server.post(body)),
    );
    expect(answers.map(({ text }) => text)).toEqual([NOT_FOUND, NOT_FOUND, NOT_FOUND]);
    const deleted = await server.post(request("DeleteGuestDisks", '[{"guest":{"id":"no-such-guest"}}]'));
    expect(deleted.text).toBe('{"result":{"guest":{"id":"no-such-guest","disks":[]}},"error":null,"id":1}\n');
  });

  test.each([
    ["gzip", "gzip"],
    ["gzip, deflate, br", "gzip"],
    ["deflate", "deflate"],
    ["gzip;q=0, deflate", "deflate"],
    ["gzip;q=0.1, deflate;q=0.9", "deflate"],
    ["GZIP", "gzip"],
  ])("a reply to Accept-Encoding %s is coded with %s", async (accept, coding) => {
    const reply = await server.post(NO_IMAGE, { "Accept-Encoding": accept });
    expect(reply.headers["content-encoding"]).toBe(coding);
    expect(reply.headers.vary).toMatch(/accept-encoding/i);
    expect(reply.headers["content-length"]).toBe(String(reply.body.length));
    const decode = coding === "gzip" ? gunzipSync : inflateSync;
    expect(decode(reply.body).toString()).toBe(NOT_FOUND);
  });

  test.each(["identity", "br", "gzip;q=0", "gzip;q=0, deflate;q=0", "nonsense;;q=x"])(
    "a reply to Accept-Encoding %s is not coded",
    async (accept) => {
      const reply = await server.post(NO_IMAGE, { "Accept-Encoding": accept });
      expect(reply.headers["content-encoding"]).toBeUndefined();
      expect(reply.headers.vary).toMatch(/accept-encoding/i);
      expect(reply.text).toBe(NOT_FOUND);
    },
  );

  test("a reply without Accept-Encoding is not coded", async () => {
    const reply = await server.post(NO_IMAGE);
    expect(reply.headers["content-encoding"]).toBeUndefined();
    expect(reply.headers.vary).toMatch(/accept-encoding/i);
  });

  test.each(["/", "/nope", "/_mistify_RPC", "/snapshots", "/rpc/x", "/%2e%2e/"])(
    "the path %s is not found",
    async (path) => {
      for (const method of ["GET", "POST"]) {
        const reply = await server.send({ method, path });
        expect(reply.status).toBe(404);
        expect(reply.headers["content-type"]).toBe("text/plain; charset=utf-8");
        expect(reply.text).toBe("404 page not found\n");
      }
    },
  );

  test("a connection serves one request after another", async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const ask = () =>
      new Promise<{ text: string; reused: boolean }>((resolve, reject) => {
        const headers = { ...target.headers, ...JSON_TYPE, "Content-Length": NO_IMAGE.length };
        const outgoing = open(new URL(RPC_PATH, target.url), { method: "POST", agent, headers });
        outgoing.on("error", reject);
        outgoing.on("response", (incoming) => {
          let text = "";
          incoming.on("data", (chunk: Buffer) => {
            text += chunk.toString();
          });
          incoming.on("end", () => resolve({ text, reused: outgoing.reusedSocket }));
        });
        outgoing.end(NO_IMAGE);
      });
    const first = await ask();
    const second = await ask();
    agent.destroy();
    expect(first).toEqual({ text: NOT_FOUND, reused: false });
    expect(second).toEqual({ text: NOT_FOUND, reused: true });
  });

  test("a reply to a client that wants its connection closed says that it is", async () => {
    // Without the header, node:http gives the connection to its next request, which fails.
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const ask = (): Promise<string | undefined> =>
      new Promise((resolve, reject) => {
        const headers = { ...target.headers, ...JSON_TYPE, connection: "close" };
        const asked = open(`${target.url}${RPC_PATH}`, { agent, method: "POST", headers }, (reply) => {
          reply.resume().on("end", () => resolve(reply.headers.connection));
        });
        asked.on("error", reject);
        asked.end(NO_IMAGE);
      });
    expect([await ask(), await ask(), await ask()]).toEqual(["close", "close", "close"]);
    agent.destroy();
  });

  test("a connection serves a HEAD request and one after it", async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const ask = (method: string) =>
      new Promise<[status: number | undefined, reused: boolean]>((resolve, reject) => {
        const outgoing = open(new URL("/healthz", target.url), { method, agent });
        outgoing.on("error", reject);
        outgoing.on("response", (incoming) => {
          incoming.resume();
          incoming.on("end", () => resolve([incoming.statusCode, outgoing.reusedSocket]));
        });
        outgoing.end();
      });
    const answers = [await ask("HEAD"), await ask("HEAD"), await ask("GET")];
    agent.destroy();
    expect(answers).toEqual([
      [200, false],
      [200, true],
      [200, true],
    ]);
  });

  test("healthz, readyz and metrics answer a GET", async () => {
    const [health, ready, metrics] = await Promise.all(
      ["/healthz", "/readyz", "/metrics"].map((path) => server.send({ method: "GET", path })),
    );
    expect(health?.status).toBe(200);
    expect(ready?.status).toBe(200);
    expect(ready?.text).toContain(pool);
    expect(metrics?.status).toBe(200);
    expect(metrics?.headers["content-type"]).toMatch(/^text\/plain/);
    expect(metrics?.text).toMatch(/^# (?:HELP|TYPE) /m);
  });
});
