import autocannon from "autocannon";
import jayson from "jayson/promise/index.js";
import { JSONRPCClient, JSONRPCErrorException, type JSONRPCResponse } from "json-rpc-2.0";
import { expect, test } from "vitest";
import { RPC_PATH } from "./client.js";
import { conformance } from "./suite.js";

conformance("Clients that others wrote", "clients", ({ server, target, own }) => {
  const { hostname, port } = new URL(target.url);
  const { headers } = target;
  /** What 2.0 says; 1.0 says the first two words alone. */
  const missing = `not found: image ${own}-no-such`;

  test("jayson speaks 2.0", async () => {
    const client = jayson.Client.http({ hostname, port, path: "/rpc", headers });
    expect(await client.request("DeleteGuestsDisks", { guest: { id: own } })).toMatchObject({
      jsonrpc: "2.0",
      result: { guest: { id: own, disks: [] } },
    });
    const refused = await client.request("ImageStore.GetImage", [{ id: `${own}-no-such` }]);
    expect(refused).toMatchObject({
      error: { message: missing, data: { errno: "ENOENT", retryable: false } },
    });
    const batch = await client.request([
      client.request("GetImage", { id: `${own}-no-such` }, undefined, false),
      client.request("NoSuchMethod", {}, undefined, false),
    ]);
    expect(batch).toMatchObject([{ error: { message: missing } }, { error: { code: -32601 } }]);
  });

  test("jayson speaks 1.0", async () => {
    const client = jayson.Client.http({ hostname, port, path: RPC_PATH, version: 1, headers });
    const answered = await client.request("ImageStore.DeleteGuestsDisks", [{ guest: { id: own } }]);
    expect(answered).toMatchObject({ result: { guest: { id: own, disks: [] } }, error: null });
    const refused = await client.request("ImageStore.GetImage", [{ id: `${own}-no-such` }]);
    expect(refused).toMatchObject({ result: null, error: "not found" });
  });

  test("json-rpc-2.0 speaks it over fetch", async () => {
    const client = new JSONRPCClient(async (request) => {
      const response = await fetch(`${target.url}/rpc`, {
        method: "POST",
        headers: { ...headers, "Content-Type": "application/json" },
        body: JSON.stringify(request),
      });
      if (response.status === 200) client.receive((await response.json()) as JSONRPCResponse);
      else if (response.status !== 204) throw new Error(`HTTP ${response.status}`);
    });
    expect(await client.request("DeleteGuestsDisks", { guest: { id: own } })).toEqual({
      guest: { id: own, disks: [] },
    });
    const refused = client.request("GetImage", { id: `${own}-no-such` });
    await expect(refused).rejects.toBeInstanceOf(JSONRPCErrorException);
    await expect(refused).rejects.toMatchObject({
      message: missing,
      data: { errno: "ENOENT", retryable: false },
    });
    const [unknown, image] = await Promise.allSettled([
      client.request("NoSuchMethod", {}),
      client.request("GetImage", [{ id: `${own}-no-such` }]),
    ]);
    expect(unknown).toMatchObject({ status: "rejected", reason: { code: -32601 } });
    expect(image).toMatchObject({ status: "rejected", reason: { message: missing } });
    client.notify("GetImage", { id: own });
  });

  test("fetch reads a compressed reply and a download", async () => {
    const response = await fetch(`${target.url}${RPC_PATH}`, {
      method: "POST",
      headers: { ...headers, "Content-Type": "application/json", "Accept-Encoding": "gzip, deflate" },
      body: '{"method":"GetImage","params":[{}],"id":1}',
    });
    expect(response.headers.get("content-encoding")).toBe("gzip");
    expect(await response.text()).toBe('{"result":null,"error":"not found","id":1}\n');
    const download = await fetch(`${target.url}/snapshots/download?id=${own}@no-such`, { headers });
    expect([download.status, await download.text()]).toEqual([404, "not found\n"]);
  });

  test("a burst of requests on many connections is answered to the last one", async () => {
    const result = await autocannon({
      url: `${target.url}${RPC_PATH}`,
      method: "POST",
      headers: { ...headers, "content-type": "application/json" },
      body: `{"method":"ImageStore.GetImage","params":[{"id":"${own}-no-such"}],"id":1}`,
      expectBody: '{"result":null,"error":"not found","id":1}\n',
      amount: 2000,
      connections: 50,
    });
    expect(result).toMatchObject({ "2xx": 2000, non2xx: 0, errors: 0, timeouts: 0, mismatches: 0 });
    expect((await server.send({ method: "GET", path: "/healthz" })).status).toBe(200);
  });
});
