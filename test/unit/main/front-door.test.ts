import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import type { Logger } from "pino";
import { describe, expect, test } from "vitest";
import { ANYONE } from "../../../src/main/access/caller.js";
import { configSchema } from "../../../src/main/config/schema.js";
import { guard, refuseWhileStarting, takePort } from "../../../src/main/front-door.js";
import { createBodyEncoder } from "../../../src/main/http/encoding.js";
import { createRoutes, type RouteOptions } from "../../../src/main/routes.js";
import { sendJson } from "../../../src/main/rpc/send-json.js";
import type { HttpReply, HttpRequest } from "../../../src/protocol/http/transport.js";
import { createKeptLog } from "../../support/memory-actor.js";
import { transportNames } from "../../support/transports.js";

const bug = new Error("a bug");
const request = (path: string): HttpRequest => ({
  method: "GET",
  path,
  query: "",
  header: () => "",
  body: "",
  tooLarge: false,
});

interface Sent {
  readonly status: number;
  readonly body: string;
  readonly retryAfter: string | undefined;
}

/** What a handler sends. Rejects after 5 s without an answer. */
function answerOf(handle: (request: HttpRequest, reply: HttpReply) => void, path: string): Promise<Sent> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`${path}: no answer`)), 5_000);
    const reply: Pick<HttpReply, "send" | "isDisconnected" | "onDisconnect"> = {
      isDisconnected: false,
      onDisconnect: () => {},
      send: (status, headers, body) => {
        clearTimeout(late);
        const retryAfter = headers.find(([name]) => name === "Retry-After")?.[1];
        resolve({ status, body: String(body), retryAfter });
      },
    };
    handle(request(path), reply as HttpReply);
  });
}

describe("a bug in a request", () => {
  const rejects = async () => {
    throw bug;
  };
  const throws = () => {
    throw bug;
  };
  const options: RouteOptions = {
    gate: { callerOf: () => ANYONE },
    diagnose: rejects,
    page: undefined,
    rpc: throws,
    download: rejects,
    result: rejects,
    receive: rejects,
    events: throws,
    readiness: rejects,
    metrics: rejects,
    work: rejects,
    configured: { peers: [], backups: [] },
  };

  test.each([
    "/_mistify_RPC_",
    "/rpc",
    "/snapshots/download",
    "/snapshots/download/result",
    "/volumes/receive",
    "/events",
    "/readyz",
    "/metrics",
    "/diagnose",
  ])("is answered 500 and logged on %s, whether it throws or rejects", async (path) => {
    const logged: unknown[] = [];
    const handle = guard(createRoutes(options), { error: (entry: unknown) => void logged.push(entry) });
    expect(await answerOf(handle, path)).toEqual({
      status: 500,
      body: "internal error\n",
      retryAfter: undefined,
    });
    expect(logged).toEqual([{ err: bug, method: "GET", path }]);
  });

  test("in the coding of a long reply reaches the caller of sendJson", async () => {
    const reply = { send: throws } as unknown as HttpReply;
    const long = { text: "x".repeat(100_000), isOverload: false };
    await expect(sendJson(reply, "gzip", long, createBodyEncoder())).rejects.toBe(bug);
  });
});

describe("before the pools are open", () => {
  test.each(["/rpc", "/_mistify_RPC_", "/snapshots/download", "/metrics", "/nope"])(
    "%s is answered 503, to be repeated",
    async (path) => {
      expect(await answerOf(refuseWhileStarting, path)).toEqual({
        status: 503,
        body: "imagestore is starting: its pools are being opened\n",
        retryAfter: "1",
      });
    },
  );

  test("the process is alive and not ready", async () => {
    expect((await answerOf(refuseWhileStarting, "/healthz")).status).toBe(200);
    const { status, body } = await answerOf(refuseWhileStarting, "/readyz");
    expect([status, JSON.parse(body)]).toEqual([
      503,
      { ready: false, stopping: false, starting: true, pools: {} },
    ]);
  });
});

describe.each(transportNames)("the port, on %s", (transport) => {
  const onRefused = () => {};
  const admit = () => true;
  const log = { ...createKeptLog() } as unknown as Logger;
  const config = (port: number) => ({
    listen: { host: "127.0.0.1", port, transport, names: [], origins: [], ui: false },
    limits: configSchema.parse({}).limits,
    timeouts: { bodyMs: 5_000, replyMs: 5_000 },
  });

  test("answers from the start, and by the handler once the door is open", async () => {
    const door = await takePort(config(0), log);
    if (!door.ok) throw new Error(door.failure.message);
    const { listener, open } = door.value;
    try {
      const url = `http://127.0.0.1:${listener.port}/rpc`;
      const before = await fetch(url, { method: "POST", body: "{}" });
      expect([before.status, before.headers.get("retry-after")]).toEqual([503, "1"]);
      open({ onRefused, admit, handle: (_request, reply) => reply.send(200, [], "open") });
      expect(await (await fetch(url, { method: "POST", body: "{}" })).text()).toBe("open");
      open({ onRefused, admit, handle: () => Promise.reject(bug) });
      const failed = await fetch(url, { method: "POST", body: "{}" });
      expect([failed.status, await failed.text()]).toEqual([500, "internal error\n"]);
    } finally {
      listener.stopAccepting();
      await listener.close();
    }
  });

  test("says what to do when it is taken", async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    const { port } = taken.address() as AddressInfo;
    const door = await takePort(config(port), log);
    taken.close();
    expect(door).toEqual({
      ok: false,
      failure: {
        code: "internal",
        message: `port ${port} on 127.0.0.1 is in use: another imagestore may be running; choose another with --port`,
      },
    });
  });
});
