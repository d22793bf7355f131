import { type ClientRequest, type IncomingMessage, request as open } from "node:http";
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../support/until.js";
import { IMAGE_MIB, makeStreamWithData, noise } from "./fixtures.js";
import { bytes, type ImageService, openImageService } from "./image-service.js";
import { conformance } from "./suite.js";
import { dataOf } from "./zfs-stream.js";

const PATH = "/snapshots/download";
const MIB = 1024 * 1024;
/** More than the sockets and the server take in while a reader takes nothing. */
const DATA_BYTES = 16 * MIB;

conformance("Downloads", "downloads", (subject) => {
  const { server, target, pool, otherPool, own } = subject;
  const large = `${own}-large`;
  const small = `${own}/source@s`;
  const encoded = (id: string) => `${PATH}?id=${encodeURIComponent(id)}`;
  let service: ImageService;
  let data: Buffer;

  beforeAll(async () => {
    service = await openImageService(target.imageServicePort);
    data = noise(DATA_BYTES);
    service.serve(large, bytes(await makeStreamWithData(subject, DATA_BYTES)));
    await server.must("RequestImage", { id: large });
  });

  afterAll(() => service.close());

  /** Begins a download and reads nothing of it. */
  function begin(id: string): Promise<{ request: ClientRequest; response: IncomingMessage }> {
    return new Promise((resolve, reject) => {
      const { hostname, port } = new URL(target.url);
      const request = open({ hostname, port, path: encoded(id), agent: false, headers: target.headers });
      request.on("error", reject);
      request.on("response", (response) => {
        response.on("error", () => {});
        resolve({ request, response });
      });
      request.end();
    });
  }

  test("a snapshot is downloaded by GET with a query, POST with a body and GET with a body", async () => {
    const body = JSON.stringify({ id: small });
    const replies = await Promise.all([
      server.send({ method: "GET", path: `${PATH}?id=${small}` }),
      server.send({ method: "GET", path: encoded(`${pool}/${small}`) }),
      server.send({ method: "POST", path: PATH, body }),
      server.send({ method: "POST", path: PATH, body: JSON.stringify({ ID: small, pool, x: 1 }) }),
      server.send({ method: "GET", path: PATH, body }),
    ]);
    for (const reply of replies) {
      expect(reply.status).toBe(200);
      expect(reply.headers["content-type"]).toBe("application/octet-stream");
      expect(reply.body.length).toBeGreaterThan(0);
      expect(replies[0]?.body.equals(reply.body)).toBe(true);
    }
  });

  test("a body of any type is read as JSON", async () => {
    const body = JSON.stringify({ id: small });
    const headers = { "Content-Type": "application/x-www-form-urlencoded" };
    const reply = await server.send({ path: PATH, body, headers });
    expect(reply.status).toBe(200);
  });

  test.each([
    ["GET", `${PATH}?id=`, "", 400, "need an id\n"],
    ["POST", PATH, "{}", 400, "need an id\n"],
    ["POST", PATH, '{"id":null}', 400, "need an id\n"],
    ["POST", PATH, `{"id":"${own}/source"}`, 400, "not a snapshot\n"],
    ["GET", `${PATH}?id=${own}/source`, "", 400, "not a snapshot\n"],
    ["POST", PATH, '{"id":"a/../b@s"}', 400, "not a valid dataset\n"],
    ["GET", `${PATH}?id=..%2fb@s`, "", 400, "not a valid dataset\n"],
    ["GET", `${PATH}?id=a@b@c`, "", 400, "not a valid dataset\n"],
    ["GET", `${PATH}?id=a%00b@s`, "", 400, "not a valid dataset\n"],
    ["POST", PATH, `{"id":"${otherPool}/x@s","pool":"${pool}"}`, 400, "not a valid dataset\n"],
    ["GET", `${PATH}?id=${own}/source@no-such`, "", 404, "not found\n"],
    ["POST", PATH, `{"id":"${own}/no-such@s"}`, 404, "not found\n"],
  ])("%s %s %s is answered with plain text", async (method, path, body, status, text) => {
    const reply = await server.send({ method, path, body });
    expect(reply.status).toBe(status);
    expect(reply.headers["content-type"]).toMatch(/^text\/plain/);
    expect(reply.text).toBe(text);
  });

  test.each(["", "hello", "{", "[]", '"x@y"', "7", `[{"id":"${small}"}]`, '{"id":7}', '{"id":"a@b"}{}'])(
    "the body %j is no request",
    async (body) => {
      const reply = await server.send({ path: PATH, body });
      expect(reply.status).toBe(400);
      expect(reply.headers["content-type"]).toMatch(/^text\/plain/);
      expect(reply.text).toMatch(/^[^\n]+\n$/);
    },
  );

  test.each(["PUT", "DELETE", "PATCH"])("%s is not a way to download", async (method) => {
    const reply = await server.send({ method, path: encoded(small) });
    expect(reply.status).toBe(405);
  });

  test("two downloads at once have the same bytes, which are those that went in", async () => {
    const id = `images/${large}@s`;
    const [first, second] = await Promise.all([server.download(id), server.download(id)]);
    expect(first.length).toBeGreaterThan(DATA_BYTES);
    expect(first.equals(second)).toBe(true);
    expect(dataOf(first).equals(data)).toBe(true);

    // Taken in as an image, in the other pool, it gives clones that hold the same.
    const pool = otherPool;
    service.serve(`${own}-again`, bytes(first));
    const { images } = await server.must("RequestImage", { id: `${own}-again`, pool });
    expect(images?.[0]).toMatchObject({ size: IMAGE_MIB, status: "complete" });
    await server.must("CloneImage", { id: `${own}-again`, dest: `${own}/clone`, pool });
    await server.must("CreateSnapshot", { id: `${own}/clone`, dest: "s", pool });
    const again = await server.download(`${otherPool}/${own}/clone@s`);
    expect(dataOf(again).equals(data)).toBe(true);
  });

  test("a snapshot that is being downloaded stays until a slow reader has it all", async () => {
    const { response } = await begin(`images/${large}@s`);
    const error = await server.failure("DeleteSnapshot", { id: `images/${large}@s` });
    expect(error.data).toMatchObject({ reason: "snapshot.held", errno: "EBUSY", retryable: true });
    expect(error.message).toBe(`${pool}/images/${large}@s is held by a download of it`);
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk as Buffer);
    expect(response.complete).toBe(true);
    expect(dataOf(Buffer.concat(chunks)).equals(data)).toBe(true);
  });

  test("clients that go away in mid-download leave no hold", async () => {
    const id = `images/${large}@s`;
    const downloads = await Promise.all([begin(id), begin(id), begin(id)]);
    const [read] = downloads;
    await new Promise((resolve) => read?.response.once("readable", resolve));
    expect((await server.failure("DeleteSnapshot", { id })).data.reason).toBe("snapshot.held");
    for (const { request } of downloads) request.destroy();
    await until(
      "the snapshot can be deleted",
      async () => (await server.call("DeleteSnapshot", { id })).error === null,
      30_000,
    );
    expect(await server.refusal("GetSnapshot", { id })).toBe("not found");
    // Without its snapshot it is no image any more, but a volume.
    await server.must("DeleteDataset", { id: `images/${large}` });
  });
});
