import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { type DaemonProcess, startDaemonProcess } from "../support/daemon.js";
import type { TestEvent } from "../support/event-client.js";
import { secretOf, writeTokens } from "../support/token-file.js";
import { transportNames } from "../support/transports.js";
import { until } from "../support/until.js";

interface Message {
  readonly id?: number | string | null;
  readonly result?: unknown;
  readonly error?: {
    readonly code: number;
    readonly message: string;
    readonly data: { readonly reason: string };
  };
  readonly method?: string;
  readonly params?: TestEvent;
}

/** What a client of ours and Node's own, which is a browser's, have alike. */
interface TestSocket {
  readonly readyState: number;
  send(text: string): void;
  close(): void;
  addEventListener(type: string, listener: (event: object) => void): void;
}

const TOKENS = {
  all: { role: "admin" },
  reads: { role: "read" },
  team: { role: "operate", names: ["guests/team-*"] },
};

describe.each(transportNames)("JSON-RPC over a WebSocket (%s)", (transport) => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  const socketPath = join(folder, "imagestore.sock");
  const config = {
    listen: { port: 0, transport, socket: { path: socketPath } },
    dataDir: join(folder, "data"),
    auth: { tokens: join(folder, "tokens.json") },
    audit: { file: join(folder, "audit.log") },
    pools: [{ name: "tank", driver: "embedded", folder: join(folder, "pool") }],
  };
  let daemon: DaemonProcess;

  beforeAll(async () => {
    writeTokens(config.auth.tokens, TOKENS);
    daemon = await startDaemonProcess(config);
  });
  afterAll(async () => {
    await daemon.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const bearer = (token: string) => ({ Authorization: `Bearer ${secretOf(token)}` });
  const wsUrl = () => `${daemon.url.replace("http", "ws")}/rpc`;

  async function open(socket: TestSocket) {
    const messages: (Message | Message[])[] = [];
    const closed: { code?: number } = {};
    socket.addEventListener("message", (event) =>
      messages.push(JSON.parse(String(Reflect.get(event, "data")))),
    );
    socket.addEventListener("close", (event) => Object.assign(closed, { code: Reflect.get(event, "code") }));
    await until("it is open", () => socket.readyState === 1);
    let lastId = 0;
    async function call(method: string, params: unknown = {}): Promise<Message> {
      const id = ++lastId;
      socket.send(JSON.stringify({ jsonrpc: "2.0", method, params, id }));
      const find = () => messages.find((each): each is Message => !Array.isArray(each) && each.id === id);
      await until(`${method} is answered`, () => find() !== undefined);
      return find() ?? {};
    }
    const told = () =>
      messages.flatMap((each) =>
        !Array.isArray(each) && each.params ? [`${each.params.action} ${each.params.id}`] : [],
      );
    return { socket, messages, closed, call, told };
  }
  const asCaller = (token: string) => open(new WebSocket(wsUrl(), { headers: bearer(token) }));

  async function overHttp(body: unknown): Promise<unknown> {
    const headers = { "content-type": "application/json", authorization: bearer("all").Authorization };
    const response = await fetch(`${daemon.url}/rpc`, {
      method: "POST",
      headers,
      body: JSON.stringify(body),
    });
    return response.json();
  }

  test("answers what HTTP answers: results, failures, batches", async () => {
    const client = await asCaller("all");
    await client.call("CreateVolume", { id: "guests/same/disk-0", size: 8 });
    await client.call("CreateSnapshot", { id: "guests/same/disk-0", dest: "s" });
    const cases = [
      { jsonrpc: "2.0", method: "GetVolume", params: { id: "guests/same/disk-0" }, id: "text" },
      {
        jsonrpc: "2.0",
        method: "ImageStore.ListSnapshots",
        params: [{ id: "guests/same" }],
        id: 12345678901234,
      },
      { jsonrpc: "2.0", method: "ListImages", id: null },
      { jsonrpc: "2.0", method: "GetVolume", params: { id: "guests/none" }, id: 1.5 },
      { jsonrpc: "2.0", method: "GetVolume", params: { id: "../etc" }, id: 2 },
      { jsonrpc: "2.0", method: "GetVolume", params: { ids: "x" }, id: 3 },
      { jsonrpc: "2.0", method: "None", id: 4 },
      { jsonrpc: "2.0", method: "rpc.discover", id: 6 },
      { jsonrpc: "2.0", id: 5 },
      [],
      [
        { jsonrpc: "2.0", method: "GetSnapshot", params: { id: "guests/same/disk-0@s" }, id: 1 },
        { jsonrpc: "2.0", method: "GetPool", params: { pool: "none" }, id: 2 },
      ],
    ];
    for (const each of cases) {
      const before = client.messages.length;
      client.socket.send(JSON.stringify(each));
      await until("it is answered", () => client.messages.length > before);
      expect(client.messages[before]).toEqual(await overHttp(each));
    }
  });

  test("events come to who subscribes, after the reply, and again from where a client was", async () => {
    const client = await asCaller("reads");
    const other = await asCaller("all");
    const { result } = await client.call("Subscribe", { topics: ["volume"] });
    expect(result).toMatchObject({ complete: true });
    await other.call("CreateVolume", { id: "guests/e/disk-0", size: 8 });
    await other.call("CreateSnapshot", { id: "guests/e/disk-0", dest: "s" });
    await other.call("DeleteDataset", { id: "guests/e" });
    await until("both have come", () => client.told().length === 2);
    expect(client.told()).toEqual(["created tank/guests/e/disk-0", "deleted tank/guests/e"]);
    const { epoch, seq } = result as { epoch: string; seq: number };
    const later = await asCaller("reads");
    const again = await later.call("Subscribe", { topics: ["volume"], since: `${epoch}:${seq}` });
    expect(again.result).toEqual({ epoch, seq, complete: true });
    await until("both have come", () => later.told().length === 2);
    expect(later.told()).toEqual(client.told());
    const lost = await later.call("Subscribe", { since: `0123:${seq}` });
    expect(lost.result).toMatchObject({ epoch, complete: false });
    expect((await later.call("Unsubscribe")).result).toEqual({});
  });

  test("a caller may do and is told what its token covers", async () => {
    const team = await asCaller("team");
    const reads = await asCaller("reads");
    await team.call("Subscribe");
    const guest = (id: string) => ({ guest: { id, disks: [{ size: 8 }] } });
    expect((await reads.call("CreateGuestDisks", guest("team-1"))).error?.data.reason).toBe("access.denied");
    expect((await team.call("CreateGuestDisks", guest("other"))).error?.data.reason).toBe("access.denied");
    const all = await asCaller("all");
    await all.call("CreateGuestDisks", guest("other"));
    await team.call("CreateGuestDisks", guest("team-1"));
    await until("its own have come", () => team.told().length >= 2);
    expect(team.told()).toEqual(["created tank/guests/team-1", "created tank/guests/team-1/disk-0"]);
  });

  test("a change runs in the background, and once for its key; the audit file and the metrics have it", async () => {
    const client = await asCaller("all");
    const asked = { id: "guests/later/disk-0", size: 8, background: true, idempotencyKey: `k-${transport}` };
    const { result } = await client.call("CreateVolume", asked);
    const [job] = (result as { jobs: { id: string }[] }).jobs;
    expect((await client.call("WaitJob", { id: job?.id })).result).toMatchObject({
      jobs: [{ id: job?.id, state: "done", caller: "all" }],
    });
    const again = await overHttp({ jsonrpc: "2.0", method: "CreateVolume", params: asked, id: 1 });
    expect(again).toMatchObject({ result: { jobs: [{ id: job?.id }] } });
    const lines = readFileSync(config.audit.file, "utf8").trim().split("\n");
    const told = lines.map((line) => JSON.parse(line)).filter(({ method }) => method === "CreateVolume");
    expect(told.at(-2)).toMatchObject({
      ...{ caller: "all", code: "ok", peer: "127.0.0.1", requestId: expect.stringMatching(/\.\w+$/) },
    });
    const response = await fetch(`${daemon.url}/metrics`, { headers: bearer("all") });
    const counted = /^imagestore_calls_total\{method="CreateVolume",pool="tank",code="ok"\} (\d+)$/m;
    expect(Number(counted.exec(await response.text())?.[1])).toBe(told.length);
  });

  test("a token that is revoked ends its WebSockets at their next message", async () => {
    const client = await asCaller("reads");
    await client.call("Subscribe");
    const measured = async () => {
      const response = await fetch(`${daemon.url}/metrics`, { headers: bearer("all") });
      const lines = (await response.text())
        .split("\n")
        .filter((line) => /_websockets|_subscribers/.test(line));
      return Object.fromEntries(lines.filter((line) => !line.startsWith("#")).map((line) => line.split(" ")));
    };
    const kinds = '_cut_total{kind="websocket",reason=';
    const before = await measured();
    expect(Number(before['imagestore_event_subscribers{kind="websocket"}'])).toBeGreaterThan(0);
    const { reads: _, ...left } = TOKENS;
    writeTokens(config.auth.tokens, left);
    await until("it is closed", () => {
      if (client.socket.readyState === 1) client.socket.send('{"jsonrpc":"2.0","method":"ListVolumes"}');
      return client.closed.code !== undefined;
    });
    expect(client.closed.code).toBe(4001);
    const after = await measured();
    expect(Number(after.imagestore_websockets)).toBeLessThan(Number(before.imagestore_websockets));
    const cuts = (reason: string) =>
      [before, after].map((each) => Number(each[`imagestore_event_subscribers${kinds}"${reason}"}`]));
    expect(cuts("slow")).toEqual([0, 0]);
    expect(cuts("revoked")).toEqual([0, expect.any(Number)]);
    expect(cuts("revoked")[1]).toBeGreaterThan(0);
    writeTokens(config.auth.tokens, TOKENS);
    await until("it is known again", async () => {
      const { status } = await fetch(`${daemon.url}/whoami`, { headers: bearer("reads") });
      return status === 200;
    });
  });

  test("a browser offers its token as a subprotocol, which is not sent back", async () => {
    const bearerProtocol = `imagestore.bearer.${secretOf("reads")}`;
    const socket = new WebSocket(wsUrl(), ["imagestore.rpc", bearerProtocol]);
    const client = await open(socket);
    expect(socket.protocol).toBe("imagestore.rpc");
    expect((await client.call("DeleteImage", { id: "none" })).error?.data.reason).toBe("access.denied");
    expect((await client.call("ListVolumes")).result).toBeDefined();
    const Own = Reflect.get(globalThis, "WebSocket");
    if (Own === undefined) return console.log("not tried: Node's own WebSocket, which Node 20 does not have");
    const browser = await open(new Own(wsUrl(), ["imagestore.rpc", bearerProtocol]));
    expect((await browser.call("ListVolumes")).result).toBeDefined();
  });

  test("nobody without a token, and no page of another site, gets in; whoever may write to the socket does", async () => {
    const statusOf = async (headers: Record<string, string>, protocols: string[] = []) => {
      const socket = new WebSocket(wsUrl(), protocols, { headers });
      const [, response] = await once(socket, "unexpected-response");
      return response.statusCode;
    };
    expect(await statusOf({})).toBe(401);
    expect(await statusOf({ Authorization: "Bearer wrong" })).toBe(401);
    expect(await statusOf({}, ["imagestore.rpc", "imagestore.bearer.wrong"])).toBe(401);
    expect(await statusOf({ ...bearer("all"), Origin: "http://evil.example" })).toBe(403);
    expect(await statusOf({ ...bearer("all"), Host: "evil.example" })).toBe(403);
    const socket = new WebSocket(`ws+unix:${socketPath}:/rpc`);
    const local = await open(socket);
    expect((await local.call("ListVolumes")).result).toBeDefined();
    const elsewhere = new WebSocket(wsUrl().replace("/rpc", "/healthz"), { headers: bearer("all") });
    const [, response] = await once(elsewhere, "unexpected-response");
    expect(response.statusCode).toBe(200);
    local.socket.close();
  });

  test("Subscribe over HTTP says where it works", async () => {
    expect(await overHttp({ jsonrpc: "2.0", method: "Subscribe", params: {}, id: 1 })).toMatchObject({
      error: { code: -32602, message: expect.stringMatching(/WebSocket at \/rpc.*GET \/events/) },
    });
  });

  test("a stop tells clients that it is one", async () => {
    const [idle, subscribed] = [await asCaller("reads"), await asCaller("reads")];
    await subscribed.call("Subscribe");
    expect(await daemon.stop()).toBe(0);
    await until("both know", () => idle.closed.code !== undefined && subscribed.closed.code !== undefined);
    expect([idle.closed.code, subscribed.closed.code]).toEqual([1001, 1001]);
  });
});
