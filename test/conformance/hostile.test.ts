import { connect } from "node:net";
import { afterEach, expect, test } from "vitest";
import { RPC_PATH } from "./client.js";
import { conformance } from "./suite.js";

const DEPTH = 100_000;
const MIB = 1024 * 1024;
const JSON_TYPE = { "Content-Type": "application/json" };

conformance("Hostile input", "hostile", ({ server, target, pool, own }) => {
  afterEach(async () => {
    const [health, ready] = await Promise.all(
      ["/healthz", "/readyz"].map((path) => server.send({ method: "GET", path })),
    );
    expect([health?.status, ready?.status]).toEqual([200, 200]);
  });

  const nested = (open: string, close: string) => `${open.repeat(DEPTH)}1${close.repeat(DEPTH)}`;
  const inParams = (value: string) => `{"method":"GetImage","params":[{"x":${value}}],"id":1}`;

  test.each([
    ["arrays", nested("[", "]")],
    ["objects", nested('{"a":', "}")],
    ["arrays that never close", "[".repeat(DEPTH)],
    ["objects that never close", '{"a":'.repeat(DEPTH)],
  ])("deeply nested %s are answered, wherever they stand", async (_title, value) => {
    const replies = await Promise.all([
      server.post(value),
      server.post(inParams(value)),
      server.post(`{"method":"GetImage","params":[{}],"id":${value}}`),
      server.post(`{"method":"DeleteGuestsDisks","params":[{"guest":{"id":"","metadata":${value}}}],"id":1}`),
      server.send({ path: "/rpc", body: value, headers: JSON_TYPE }),
      server.send({ path: "/rpc", body: `{"jsonrpc":"2.0","method":"GetImage","params":${value},"id":1}` }),
      server.send({ path: "/snapshots/download", body: value }),
    ]);
    for (const { status } of replies) expect([200, 400]).toContain(status);
    expect(replies[6]?.status).toBe(400);
  });

  test.each([RPC_PATH, "/rpc", "/snapshots/download"])("a body of 10 MB to %s is too large", async (path) => {
    const body = Buffer.alloc(10 * MIB, " ");
    const reply = await server.send({ path, body, headers: JSON_TYPE });
    expect(reply.status).toBe(413);
    expect(reply.headers["content-type"]).toMatch(/^text\/plain/);
    expect(reply.text).not.toBe("");
  });

  test("a chunked body is held to the same limit", async () => {
    const chunked = { ...JSON_TYPE, "Transfer-Encoding": "chunked" };
    const fits = '{"method":"GetImage","params":[{}],"id":1}';
    const small = await server.send({ path: RPC_PATH, body: fits, headers: { ...chunked } });
    expect(small.text).toBe('{"result":null,"error":"not found","id":1}\n');
    const large = await server.send({
      path: RPC_PATH,
      body: Buffer.alloc(target.bodyLimitBytes + 1, " "),
      headers: chunked,
    });
    expect(large.status).toBe(413);
  });

  test("a body of exactly the limit is read, one byte more is not", async () => {
    const request = '{"method":"GetImage","params":[{}],"id":1}';
    const fits = await server.post(request.padEnd(target.bodyLimitBytes));
    expect(fits.text).toBe('{"result":null,"error":"not found","id":1}\n');
    const tooLarge = await server.post(request.padEnd(target.bodyLimitBytes + 1));
    expect(tooLarge.status).toBe(413);
  });

  test("the checks of method and type come before the body's size", async () => {
    const body = Buffer.alloc(target.bodyLimitBytes + 1, " ");
    const [method, type] = await Promise.all([
      server.send({ method: "PUT", path: RPC_PATH, body, headers: JSON_TYPE }),
      server.post(body, { "Content-Type": "text/plain" }),
    ]);
    expect([method.status, type.status]).toEqual([405, 415]);
  });

  test("text that is no UTF-8 names no dataset", async () => {
    const replies = await Promise.all(
      [[0xff], [0xc3, 0x28], [0xed, 0xa0, 0x80], [0xf8, 0x88, 0x80, 0x80, 0x80], [0xc0, 0xaf]].map((bad) =>
        server.post(
          Buffer.concat([
            Buffer.from('{"method":"CreateVolume","params":[{"size":1,"id":"hostile'),
            Buffer.from(bad),
            Buffer.from('"}],"id":1}'),
          ]),
        ),
      ),
    );
    for (const { status, text } of replies) {
      if (status === 200) expect(text).toMatch(/^\{"result":null,"error":"not a valid dataset/);
      else expect(status).toBe(400);
    }
  });

  test.each([
    '{"__proto__":{"id":"x@y","pool":"nope","size":1}}',
    '{"constructor":{"prototype":{"id":"x@y"}}}',
    '{"__proto__":null,"toString":1,"hasOwnProperty":1}',
  ])("the keys of %s are unknown fields and nothing more", async (params) => {
    const errors = await Promise.all(
      ["GetSnapshot", "DeleteDataset", "RequestImage"].map(async (method) => {
        const reply = await server.post(`{"method":"${method}","params":[${params}],"id":1}`);
        return reply.text;
      }),
    );
    expect(errors).toEqual([
      '{"result":null,"error":"need an id","id":1}\n',
      '{"result":null,"error":"need an id","id":1}\n',
      '{"result":null,"error":"need id","id":1}\n',
    ]);
    const other = await server.post('{"method":"GetSnapshot","params":[{}],"id":1}');
    expect(other.text).toBe(errors[0]);
  });

  test("keys of the envelope that objects inherit are unknown fields", async () => {
    const reply = await server.post(
      '{"__proto__":{"method":"ImageStore.GetImage"},"constructor":1,"params":[{}],"id":1}',
    );
    expect(reply.status).toBe(400);
    expect(reply.text).toBe('rpc: service/method request ill-formed: ""');
  });

  test("a guest may carry keys of any name", async () => {
    const metadata = '{"__proto__":"a","a\\u0000b":"\\ud800","constructor":"2"}';
    const reply = await server.post(
      `{"method":"DeleteGuestsDisks","params":[{"guest":{"id":"${own}","metadata":${metadata}}}],"id":1}`,
    );
    expect(reply.text).toBe(
      `{"result":{"guest":{"id":"${own}","disks":[],"metadata":${metadata}}},"error":null,"id":1}\n`,
    );
  });

  test("very many members, elements and digits are read in time", async () => {
    const bodies = [
      inParams(`[${"0,".repeat(200_000)}0]`),
      `{"method":"GetImage","params":[{${'"id":"x",'.repeat(50_000)}"id":""}],"id":1}`,
      `{${'"id":1,'.repeat(50_000)}"method":"GetImage","params":[{}],"id":1}`,
      inParams("9".repeat(500_000)),
      inParams(`"${'\\"'.repeat(200_000)}"`),
    ];
    const replies = await Promise.all(bodies.map((body) => server.post(body)));
    expect(replies.map(({ text }) => text)).toEqual(
      bodies.map(() => '{"result":null,"error":"not found","id":1}\n'),
    );
  });

  test("a guest with very many disks is answered", async () => {
    const disks = `[${Array.from({ length: 20_000 }, () => "{}").join(",")}]`;
    const reply = await server.post(
      `{"method":"VerifyDisks","params":[{"guest":{"id":"g","disks":${disks}}}],"id":1}`,
    );
    const { result, error } = JSON.parse(reply.text) as { result: unknown; error: string };
    expect(result).toBeNull();
    expect(error).toMatch(/^invalid argument: .* at most \d+ disks \(limits\.disksPerGuest\), got 20000$/);
  });

  test("headers and paths of any kind are answered", async () => {
    const body = '{"method":"GetImage","params":[{}],"id":1}';
    const replies = await Promise.all([
      server.post(body, { "Accept-Encoding": "gzip;q=".repeat(100) }),
      server.post(body, { "Accept-Encoding": ",;,;=\t*;q=1e9" }),
      server.post(body, { "X-Long": "x".repeat(2000) }),
      server.send({ method: "GET", path: `/snapshots/download?id=%ff%fe&id=%zz&${"a=1&".repeat(200)}` }),
      server.send({ method: "GET", path: "/snapshots/download?id=%E0%A4%A" }),
      server.send({ method: "GET", path: "/snapshots/download?__proto__=1&id" }),
      server.send({ method: "GET", path: `/${"../".repeat(50)}etc/passwd` }),
    ]);
    expect(replies.map(({ status }) => status)).toEqual([200, 200, 200, 400, 400, 400, 404]);
  });

  test("a request with two different lengths is answered 400 and runs nothing", async () => {
    const { hostname, port } = new URL(target.url);
    const body = `{"method":"CreateVolume","params":[{"id":"${own}/two-lengths","size":8}],"id":1}`;
    const fields = Object.entries(target.headers).map(([field, value]) => `${field}: ${value}\r\n`);
    const head = `POST ${RPC_PATH} HTTP/1.1\r\nHost: localhost\r\n${fields.join("")}Content-Type: application/json\r\n`;
    const lengths = `Content-Length: ${body.length}\r\nContent-Length: 3\r\n\r\n`;
    const answer = await new Promise<string>((resolve) => {
      let text = "";
      const socket = connect(Number(port), hostname, () => socket.write(`${head}${lengths}${body}`));
      socket.on("data", (chunk: Buffer) => {
        text += chunk.toString("latin1");
      });
      socket.on("error", () => {});
      socket.on("close", () => resolve(text));
    });
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect((await server.call("GetVolume", { id: `${own}/two-lengths` })).error).toBe("not found");
  });

  test("connections that send half a request, or no HTTP, and go away do no harm", async () => {
    const { hostname, port } = new URL(target.url);
    const head = `POST ${RPC_PATH} HTTP/1.1\r\nHost: ${pool}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n`;
    const beginnings = [
      "",
      "\r\n",
      "GET",
      "\u0000\u0001\u0002",
      "POST / HTTP/9.9\r\n\r\n",
      head,
      `${head}{"method":`,
    ];
    await Promise.all(
      beginnings.map(
        (text) =>
          new Promise<void>((resolve) => {
            const socket = connect(Number(port), hostname, () => {
              socket.write(text, () => socket.destroy());
            });
            socket.on("error", () => {});
            socket.on("close", () => resolve());
          }),
      ),
    );
    const reply = await server.post('{"method":"GetImage","params":[{}],"id":1}');
    expect(reply.status).toBe(200);
  });
});
