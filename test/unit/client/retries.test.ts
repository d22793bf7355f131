import { describe, expect, test } from "vitest";
import type { Reason } from "../../../src/client/api-records.js";
import { CallError, connect, NoAnswerError } from "../../../src/client/client.js";
import { mayRepeat } from "../../../src/client/retries.js";

const failed = (reason: Reason, retryable: boolean) =>
  new CallError("GetImage", { code: 1, message: reason, data: { reason, retryable } });

describe("a call is repeated", () => {
  const CASES = [
    ["a failure that passes", failed("service.overloaded", true), [true, true, true]],
    ["a failure that stays", failed("dataset.not_found", false), [false, false, false]],
    ["an open end", failed("service.interrupted", true), [true, true, false]],
    ["a command without an end", failed("command.timed_out", true), [true, true, false]],
    ["no reply at all", new NoAnswerError("reset", {}), [true, true, false]],
    ["no room for its body", new NoAnswerError("503", { status: 503 }), [true, true, true]],
    ["no token", new NoAnswerError("401", { status: 401 }), [false, false, false]],
    ["an answer that is cut short", new NoAnswerError("short", {}), [true, true, false]],
    ["the end that its caller wanted", new DOMException("over", "AbortError"), [false, false, false]],
  ] as const;

  test.each(CASES)("or not, after %s, by what it changes", (_, error, expected) => {
    const repeats = ["read", "repeatable", "once"] as const;
    expect(repeats.map((repeat) => mayRepeat(error, repeat))).toEqual(expected);
  });
});

/** A daemon of these replies, one after the other; the last one stays. */
function daemonOf(...replies: (() => Response)[]) {
  const bodies: string[] = [];
  const client = connect({
    url: "http://daemon:1/ignored",
    token: "secret",
    fetch: async (url, init) => {
      expect(String(url)).toBe("http://daemon:1/rpc");
      expect(new Headers(init?.headers).get("authorization")).toBe("Bearer secret");
      bodies.push(String(init?.body));
      const reply = replies[Math.min(bodies.length, replies.length) - 1];
      if (!reply) throw new Error("no reply");
      return reply();
    },
  });
  return { client, bodies };
}
const result = () => Response.json({ jsonrpc: "2.0", result: { volumes: [] }, id: 1 });
const error =
  (reason: Reason, retryable: boolean, headers = {}) =>
  () =>
    Response.json(
      { jsonrpc: "2.0", error: { code: 1, message: "no", data: { reason, retryable } }, id: 1 },
      { headers },
    );
const unreachable = () => {
  throw new TypeError("fetch failed", { cause: new Error("connect ECONNREFUSED") });
};

describe("a client", () => {
  test("repeats what is safe, and waits as long as it was told", async () => {
    const { client, bodies } = daemonOf(
      error("service.overloaded", true, { "Retry-After": "0" }),
      unreachable,
      result,
    );
    expect(await client.listVolumes()).toEqual({ volumes: [] });
    expect(bodies).toEqual(Array(3).fill('{"jsonrpc":"2.0","method":"ListVolumes","params":{},"id":1}'));
  });

  test("gives up after as many repeats as it may, with the last failure", async () => {
    const { client, bodies } = daemonOf(error("dataset.busy", true, { "Retry-After": "0" }));
    await expect(client.listVolumes({}, { retries: 2 })).rejects.toMatchObject({
      name: "CallError",
      method: "ListVolumes",
      reason: "dataset.busy",
      retryable: true,
      retryAfter: 0,
    });
    expect(bodies.length).toBe(3);
  });

  test("does not repeat a change that may have happened, unless it has a key", async () => {
    const once = daemonOf(unreachable);
    await expect(once.client.createSnapshot({ id: "v", dest: "s" })).rejects.toThrow(
      "no answer from http://daemon:1: connect ECONNREFUSED",
    );
    expect(once.bodies.length).toBe(1);
    const keyed = daemonOf(error("service.interrupted", true, { "Retry-After": "0" }), result);
    const params = { id: "v", dest: "s", idempotencyKey: "k" };
    await keyed.client.call("CreateSnapshot", params);
    expect(keyed.bodies.length).toBe(2);
  });

  test("ends a pause with its signal or its time", async () => {
    const later = () => error("service.overloaded", true, { "Retry-After": "600" });
    const timed = daemonOf(later());
    await expect(timed.client.listVolumes({}, { timeoutMs: 20 })).rejects.toMatchObject({
      name: "TimeoutError",
    });
    const aborted = daemonOf(later());
    const controller = new AbortController();
    const call = aborted.client.listVolumes({}, { signal: controller.signal, timeoutMs: 600_000 });
    controller.abort(new Error("enough"));
    await expect(call).rejects.toThrow("enough");
  });

  test("tells a status that is not 200, with the line of its body", async () => {
    const { client } = daemonOf(() => new Response("unauthorized: no token\n", { status: 401 }));
    await expect(client.getPool()).rejects.toMatchObject({
      name: "NoAnswerError",
      status: 401,
      message: "HTTP status 401: unauthorized: no token",
    });
  });

  test("tells an answer that is none of JSON-RPC", async () => {
    const { client } = daemonOf(() => Response.json({ hello: "world" }));
    await expect(client.getPool()).rejects.toThrow("the answer is none of JSON-RPC");
  });

  test("puts the answers of a batch in the order of its calls", async () => {
    const { client } = daemonOf(() =>
      Response.json([
        {
          jsonrpc: "2.0",
          error: { code: 1, message: "no", data: { reason: "image.not_found", retryable: false } },
          id: 1,
        },
        { jsonrpc: "2.0", result: { pools: [] }, id: 0 },
      ]),
    );
    const [pools, image] = await client.batch([
      ["GetPool", {}],
      ["GetImage", { id: "none" }],
    ]);
    expect(pools).toEqual({ pools: [] });
    expect(image).toMatchObject({ name: "CallError", reason: "image.not_found" });
    expect(await client.batch([])).toEqual([]);
  });
});
