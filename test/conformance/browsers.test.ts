import { expect, test } from "vitest";
import { RPC_PATH } from "./client.js";
import { conformance } from "./suite.js";

/** What a page of another site can have a browser send, and what a rebound name looks like. */
const FOREIGN = [
  ["an Origin", { Origin: "https://evil.example" }],
  ["an Origin of a sandboxed page", { Origin: "null" }],
  ["the Origin of this server itself", { Origin: "http://127.0.0.1" }],
  ["Sec-Fetch-Site: cross-site", { "Sec-Fetch-Site": "cross-site" }],
  ["Sec-Fetch-Site: same-site", { "Sec-Fetch-Site": "same-site" }],
  ["a Host that is no name of this machine", { Host: "evil.example:19999" }],
] as const;

conformance("Requests of browsers", "browsers", ({ server, own, pool }) => {
  const create = (id: string) =>
    `{"method":"ImageStore.CreateVolume","params":[{"id":"${own}/${id}","size":8}],"id":1}`;

  test.each(FOREIGN)(
    "with %s are answered 403 on every path, whatever their type, and change nothing",
    async (_, headers) => {
      const types = ["application/json", "text/plain", "", ";x", " "];
      for (const path of [RPC_PATH, "/rpc"]) {
        for (const type of types) {
          const typed = type === "" ? headers : { ...headers, "Content-Type": type };
          const reply = await server.send({ path, headers: typed, body: create("foreign") });
          expect([path, type, reply.status]).toEqual([path, type, 403]);
          expect(reply.headers["content-type"]).toBe("text/plain; charset=utf-8");
          expect(reply.text).toMatch(/^forbidden: .*listen\.(?:names|origins).*\n$/);
        }
      }
      for (const path of ["/snapshots/download?id=v@s", "/healthz", "/readyz", "/metrics", "/nope"]) {
        const reply = await server.send({ method: "GET", path, headers });
        expect([path, reply.status]).toEqual([path, 403]);
      }
      expect((await server.call("GetVolume", { id: `${own}/foreign` })).error).toBe("not found");
    },
  );

  test("with what an agent or a typed address sends are served", async () => {
    for (const headers of [
      { "Sec-Fetch-Site": "none" },
      { "Sec-Fetch-Site": "same-origin" },
      { Host: "localhost" },
      { Host: "[::1]:19999" },
    ]) {
      const reply = await server.send({ method: "GET", path: "/healthz", headers });
      expect(reply.status).toBe(200);
    }
    expect((await server.call("ListVolumes", { pool })).error).toBeNull();
  });
});
