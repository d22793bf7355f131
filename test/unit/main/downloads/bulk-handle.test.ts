import { describe, expect, test } from "vitest";
import { type BulkReply, createBulkHandle } from "../../../../src/main/downloads/bulk-handle.js";
import { PLAIN_TEXT } from "../../../../src/protocol/http/headers.js";
import type { HttpRequest } from "../../../../src/protocol/http/transport.js";
import type { BulkRequest, BulkSettings } from "../../../../src/protocol/threads/bulk-contract.js";
import { turn } from "../../../support/until.js";

const SETTINGS: Omit<BulkSettings, "firstRequest"> = {
  host: "127.0.0.1",
  port: 0,
  limits: { bodyBytes: 1, bodyBytesInFlight: 1, bodyMs: 1, replyMs: 1, connections: 1 },
  stalledReaderMs: 1,
  pace: undefined,
};

const asked: BulkRequest = {
  method: "GET",
  path: "/snapshots/download",
  query: "id=v@s",
  body: "",
  tooLarge: false,
  headers: { host: "127.0.0.1" },
  requestId: "r-1",
  peer: "10.0.0.9",
};

/** A handle, what it orders, and the requests that it has handed over. */
function create() {
  const orders: unknown[] = [];
  const deaf: string[] = [];
  const taken: { request: HttpRequest; reply: BulkReply }[] = [];
  let lastId = 0;
  const handle = createBulkHandle({
    settings: SETTINGS,
    order: (order) => void orders.push(order),
    newId: () => ++lastId,
    onDeaf: (problem) => void deaf.push(problem),
  });
  const open = () =>
    handle.door.open({
      handle: (request, reply) => void taken.push({ request, reply }),
      onRefused: () => {},
    });
  const ends: unknown[] = [];
  const listener = {
    onBegun: () => void ends.push("begun"),
    onProgress: () => {},
    onWritten: () => void ends.push("written"),
    onEnd: (...end: unknown[]) => void ends.push(end),
  };
  const first = () => {
    const [each] = taken;
    if (!each) throw new Error("no request was handed over");
    return each;
  };
  return { handle, orders, deaf, taken, open, ends, listener, first };
}

describe("main's side of the port for bulk downloads", () => {
  test("knows the port once the thread listens, and a new thread listens there too", async () => {
    const { handle, deaf } = create();
    expect(handle.settings()).toEqual({ ...SETTINGS, firstRequest: 0 });
    handle.onEvent({ kind: "listening", port: 4711 });
    expect(await handle.door.listening).toEqual({ port: 4711 });
    handle.onEvent({ kind: "asked", request: 9, asked });
    expect(handle.settings()).toMatchObject({ port: 4711, firstRequest: 9 });
    handle.onEvent({ kind: "not-listening", code: "EADDRINUSE", message: "in use" });
    expect(deaf).toEqual(["in use"]);
  });

  test("tells of a first thread that can't listen only by its promise", async () => {
    const { handle, deaf } = create();
    handle.onEvent({ kind: "not-listening", code: "EACCES", message: "no" });
    expect(await handle.door.listening).toMatchObject({ code: "EACCES", message: "no" });
    expect(deaf).toEqual([]);
  });

  test("hands requests over in order once it is open, and none whose client has gone by then", () => {
    const { handle, taken, open, first } = create();
    for (const request of [1, 2, 3]) handle.onEvent({ kind: "asked", request, asked });
    handle.onEvent({ kind: "left", request: 2 });
    open();
    expect(taken).toHaveLength(2);
    const { request, reply } = first();
    expect(request.header("host")).toBe("127.0.0.1");
    expect(request.header("cookie")).toBe("");
    expect(reply).toMatchObject({ requestId: "r-1", peer: "10.0.0.9", isDisconnected: false });
  });

  test("answers once, and not a client that has left", () => {
    const { handle, orders, open, first } = create();
    open();
    handle.onEvent({ kind: "asked", request: 1, asked });
    const { reply } = first();
    const heard: string[] = [];
    reply.onDisconnect(() => heard.push("gone"));
    reply.onEnd(() => heard.push("end"));
    reply.send(404, PLAIN_TEXT, [Buffer.from("not "), Buffer.from("found\n")]);
    reply.send(500, PLAIN_TEXT, "again");
    expect(orders).toEqual([
      { kind: "answer", request: 1, status: 404, headers: PLAIN_TEXT, body: "not found\n" },
    ]);
    handle.onEvent({ kind: "left", request: 1 });
    expect(heard).toEqual(["end"]);
  });

  test("gives a connection to a command, and passes on what becomes of it", () => {
    const { handle, orders, open, ends, listener, first } = create();
    open();
    handle.onEvent({ kind: "asked", request: 1, asked });
    const { reply } = first();
    const send = reply.handOver({ command: ["zfs", "send"], headers: PLAIN_TEXT }, listener);
    expect(orders).toEqual([
      { kind: "hand", request: 1, id: send.id, headers: PLAIN_TEXT, command: ["zfs", "send"] },
    ]);
    expect(handle.ids).toEqual([send.id]);
    handle.onEvent({ kind: "begun", id: send.id });
    reply.send(500, PLAIN_TEXT, "too late");
    handle.onEvent({ kind: "written", id: send.id, bytes: 5 });
    send.cancel();
    expect(orders.slice(1)).toEqual([{ kind: "cancel", id: send.id }]);
    const end = { kind: "complete" } as const;
    for (let time = 0; time < 2; time++)
      handle.onEvent({ kind: "bulk-ended", id: send.id, end, hasBegun: true, written: 5 });
    expect(ends).toEqual(["begun", "written", [end, true, 5]]);
    expect(handle.ids).toEqual([]);
  });

  test("may still answer when nothing of a send has begun", () => {
    const { handle, orders, open, listener, first } = create();
    open();
    handle.onEvent({ kind: "asked", request: 1, asked });
    const { reply } = first();
    const { id } = reply.handOver({ command: ["zfs"], headers: [] }, listener);
    handle.onEvent({ kind: "bulk-ended", id, end: { kind: "gone" }, hasBegun: false, written: undefined });
    reply.send(503, PLAIN_TEXT, "no");
    expect(orders.at(-1)).toMatchObject({ kind: "answer", request: 1, status: 503 });
  });

  test("ends all when the thread has ended, and sends the next one no order for what came before", async () => {
    const { handle, orders, open, ends, listener, taken } = create();
    open();
    for (const request of [1, 2]) handle.onEvent({ kind: "asked", request, asked });
    const [sending, waiting] = taken;
    sending?.reply.handOver({ command: ["zfs"], headers: [] }, listener);
    const before = orders.length;
    handle.onThreadEnded();
    expect(ends).toEqual([[expect.objectContaining({ kind: "failed" }), true, undefined]]);
    expect(waiting?.reply.isDisconnected).toBe(true);
    waiting?.reply.send(404, PLAIN_TEXT, "");
    // A ticket that comes late finds nobody.
    waiting?.reply.handOver({ command: ["zfs"], headers: [] }, listener).cancel();
    await turn();
    expect(ends.at(-1)).toEqual([{ kind: "gone" }, false, undefined]);
    expect(orders.length).toBe(before);
  });
});
