import { once } from "node:events";
import { get, type IncomingMessage } from "node:http";
import { afterEach, describe, expect, test } from "vitest";
import { createEventStreams } from "../../../../src/main/events/event-stream.js";
import { createEventHub, type EventHub } from "../../../../src/main/events/hub.js";
import type { Listener } from "../../../../src/protocol/http/transport.js";
import { transports } from "../../../support/transports.js";
import { until } from "../../../support/until.js";

const MIB = 1024 * 1024;
const limits = { bodyBytes: MIB, bodyBytesInFlight: MIB, bodyMs: 5_000, replyMs: 5_000, connections: 100 };
const happening = { topic: "volume", action: "changed", pool: "tank", id: "tank/v" } as const;

describe.each(transports)("event streams on $name", (transport) => {
  const open: (() => unknown)[] = [];
  afterEach(async () => {
    for (const close of open.splice(0).reverse()) await close();
  });

  async function serve(options: { keepAliveMs?: number; isCurrent?: () => boolean; kept?: number } = {}) {
    const hub = createEventHub("e0", options.kept ?? 1_000);
    const cuts: string[] = [];
    const serveStream = createEventStreams({
      hub,
      subscriberBytes: 64 * 1024,
      keepAliveMs: options.keepAliveMs ?? 60_000,
      endMs: 1_000,
      onCut: (reason) => cuts.push(reason),
    });
    const { isCurrent } = options;
    const caller = { id: "t", grant: { role: "read" as const }, ...(isCurrent && { isCurrent }) };
    const listener: Listener = await transport.listen({
      host: "127.0.0.1",
      port: 0,
      limits,
      onRefused: () => {},
      handle: (request, reply) => serveStream(request, reply, caller),
    });
    open.push(listener.close);
    return { hub, port: listener.port, cuts };
  }

  /** A client that reads what comes, unless it is paused. */
  async function ask(port: number, hub: EventHub, path = "/events", headers: Record<string, string> = {}) {
    const before = hub.subscribers();
    const asked = get({ host: "127.0.0.1", port, path, headers, agent: false });
    open.push(() => asked.destroy());
    const [response] = (await once(asked, "response")) as [IncomingMessage];
    let text = "";
    let isClosed = false;
    let isWhole = false;
    response.setEncoding("latin1");
    response.on("data", (chunk: string) => {
      text += chunk;
    });
    response.on("end", () => {
      isWhole = true;
    });
    response.on("error", () => {});
    response.on("close", () => {
      isClosed = true;
    });
    if (response.statusCode === 200) await until("it has subscribed", () => hub.subscribers() > before);
    else await until("it is answered", () => isClosed);
    return {
      response,
      status: response.statusCode,
      text: () => text,
      isClosed: () => isClosed,
      isWhole: () => isWhole,
      numbers: () => [...text.matchAll(/"seq":(\d+),"at"/g)].map(([, seq]) => Number(seq)),
    };
  }

  test("an event comes at once and whole, however short it is", async () => {
    const { hub, port } = await serve();
    const { text } = await ask(port, hub);
    for (let seq = 1; seq <= 3; seq++) {
      hub.publish(happening);
      await until("the event has come", () => new RegExp(`"seq":${seq},[^\\n]*\\}\\n\\n`).test(text()));
    }
  });

  test("a client that comes back with the id of its last event misses nothing", async () => {
    const { hub, port } = await serve();
    for (let count = 0; count < 500; count++) hub.publish(happening);
    const { text, numbers } = await ask(port, hub, "/events?since=e0:7&topics=volume", {
      "Last-Event-ID": "e0:100",
    });
    await until("the last has come", () => text().includes('"seq":500,'));
    expect(text()).toContain('event: subscribed\ndata: {"epoch":"e0","seq":100,"complete":true}\n\n');
    expect(numbers()).toEqual(Array.from({ length: 400 }, (_, index) => 101 + index));
  });

  test("a client that takes nothing is cut off with a reason, and others lose nothing", async () => {
    const { hub, port, cuts } = await serve({ kept: 100 });
    const slow = await ask(port, hub);
    slow.response.pause();
    const quick = await ask(port, hub);
    let published = 0;
    await until("it is cut off", async () => {
      for (let count = 0; count < 5; count++) hub.publish({ ...happening, id: `tank/${"v".repeat(8_000)}` });
      published += 5;
      await until("the other has them", () => quick.text().slice(-20_000).includes(`"seq":${published},`));
      return hub.subscribers() === 1;
    });
    expect(quick.numbers()).toEqual(Array.from({ length: published }, (_, index) => index + 1));
    expect(cuts).toEqual(["slow"]);
    slow.response.resume();
    await until("it has ended", slow.isClosed);
    // It is reset if it does not read within a second, which a busy machine may not.
    const [, ended] = /event: end\ndata: (.*)\n\n$/.exec(slow.text()) ?? [];
    expect(ended === undefined).toBe(!slow.isWhole());
    if (ended) expect(JSON.parse(ended)).toMatchObject({ reason: "slow" });
    const numbers = slow.numbers();
    expect(numbers).toEqual(Array.from(numbers, (_, index) => index + 1));
  });

  test("a client for whom nothing comes hears a comment, with the place up to which it has all", async () => {
    const { hub, port } = await serve({ keepAliveMs: 50 });
    const { text } = await ask(port, hub, "/events?topics=guest");
    hub.publish(happening);
    await until("it hears something", () => text().includes(": keep-alive\nid: e0:1\n\n"));
    expect(text()).not.toContain('"topic":"volume"');
  });

  test("a client whose token is revoked is cut off", async () => {
    let isCurrent = true;
    const { hub, port, cuts } = await serve({ keepAliveMs: 50, isCurrent: () => isCurrent });
    const { text } = await ask(port, hub);
    await until("it hears something", () => text().includes(": keep-alive"));
    isCurrent = false;
    await until("it is told", () => text().includes('event: end\ndata: {"reason":"revoked"'));
    await until("nobody is left", () => hub.subscribers() === 0);
    expect(cuts).toEqual(["revoked"]);
  });

  test("a client that goes leaves nothing, and a stop ends those that stay", async () => {
    const { hub, port } = await serve();
    const gone = await ask(port, hub);
    const stays = await ask(port, hub);
    gone.response.destroy();
    await until("one has gone", () => {
      hub.publish(happening);
      return hub.subscribers() === 1;
    });
    await hub.close();
    await until("it is told", () => stays.text().includes('event: end\ndata: {"reason":"stopping"'));
    await until("it has ended", stays.isWhole);
    expect((await ask(port, hub)).status).toBe(503);
  });

  test("what it can't make sense of is refused", async () => {
    const { hub, port } = await serve();
    expect((await ask(port, hub, "/events?topics=volume,disk")).text()).toContain(
      'topics: there is no "disk"',
    );
    expect((await ask(port, hub, "/events?since=7")).status).toBe(400);
    expect((await ask(port, hub, "/events", { "Last-Event-ID": "x" })).status).toBe(400);
  });
});
