import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createSpanExport } from "../../../../src/main/tracing/span-export.js";
import type { SpanRecord } from "../../../../src/protocol/tracing/span.js";
import { until } from "../../../support/until.js";

const span = (name: string): SpanRecord => ({
  ...{ traceId: "1".repeat(32), spanId: "2".repeat(16), parentId: undefined, name, kind: "internal" },
  ...{ startMs: 1, endMs: 2, attributes: {}, failure: undefined },
});
const spans = (...names: string[]) => names.map(span);

/** Bodies that came, and how each is answered. */
let came: string[] = [];
let answer: (response: ServerResponse) => void;
const collector = createServer((request, response) => {
  let body = "";
  request.on("data", (chunk) => {
    body += chunk;
  });
  request.on("end", () => {
    came.push(`${request.headers.authorization} ${body}`);
    answer(response);
  });
});
beforeEach(async () => {
  came = [];
  answer = (response) => void response.end("{}");
  collector.listen(0, "127.0.0.1");
  await once(collector, "listening");
});
afterEach(async () => {
  collector.closeAllConnections();
  collector.close();
});

function open(limits: NonNullable<Parameters<typeof createSpanExport>[0]["limits"]> = {}) {
  const { port } = collector.address() as AddressInfo;
  const log: string[] = [];
  const told = { lost: 0 };
  const line = (level: string) => (fields: { why?: string }, message: string) =>
    void log.push(`${level} ${message} ${fields.why ?? ""}`.trim());
  const exported = createSpanExport({
    url: `http://127.0.0.1:${port}/v1/traces`,
    headers: { authorization: "Bearer x" },
    body: (batch) => batch.map(({ name }) => name).join(","),
    log: { warn: line("warn"), info: line("info") } as never,
    onLost: (count) => {
      told.lost += count;
    },
    limits: { gatherMs: 1, firstPauseMs: 1, longestPauseMs: 2, closeMs: 200, ...limits },
  });
  return { ...exported, log, told };
}

test("spans that end together go in one request, in batches, with the headers", async () => {
  const { add, close, told, log } = open({ batch: 2 });
  add(spans("a"));
  add(spans("b", "c"));
  await until("all came", () => came.length === 2);
  expect(came).toEqual(["Bearer x a,b", "Bearer x c"]);
  await close();
  expect([told.lost, log]).toEqual([0, []]);
});

test("what a busy collector does not take is sent again, and one line tells of it until it takes some", async () => {
  const { add, close, told, log } = open();
  let left = 5;
  answer = (response) => {
    response.statusCode = left-- > 0 ? 503 : 200;
    response.end();
  };
  add(spans("a", "b"));
  await until("it is told that spans are taken again", () => log.length === 2);
  expect(came).toEqual(new Array(6).fill("Bearer x a,b"));
  expect(log).toEqual([
    "warn the collector takes no spans the status 503",
    "info the collector takes spans again",
  ]);
  await close();
  expect(told.lost).toBe(0);
});

test("what it refuses for good is lost, and what comes later is sent", async () => {
  const { add, close, told, log } = open();
  answer = (response) => {
    response.statusCode = 400;
    response.end();
  };
  add(spans("a", "b", "c"));
  await until("it is lost", () => told.lost === 3);
  answer = (response) => void response.end();
  add(spans("d"));
  await until("the next came", () => came.length === 2);
  await close();
  expect(log[0]).toBe("warn the collector takes no spans the status 400");
  expect(told.lost).toBe(3);
});

test("a collector that never answers costs a bounded number of spans, and no time at the end", async () => {
  const { add, close, told } = open({ waiting: 10, batch: 4 });
  answer = () => {};
  for (let count = 0; count < 100; count++) add(spans(`s${count}`));
  expect(told.lost).toBe(90);
  await until("it was asked", () => came.length === 1);
  const since = performance.now();
  await close();
  // closeMs and whatever a busy machine adds.
  expect(performance.now() - since).toBeLessThan(10_000);
  expect(told.lost).toBe(100);
  add(spans("late"));
  expect(came.length).toBe(1);
});

test("a collector that is not there is tried again, with one line of the log", async () => {
  const { add, close, told, log } = open();
  collector.close();
  await once(collector, "close");
  add(spans("a"));
  await until("it is told", () => log.length > 0);
  expect(log).toEqual([expect.stringMatching(/^warn the collector takes no spans .*ECONNREFUSED/)]);
  await close();
  expect(told.lost).toBe(1);
  collector.listen(0);
  await once(collector, "listening");
});

test("close sends at once what has waited for others", async () => {
  const { add, close, told } = open({ gatherMs: 60_000 });
  add(spans("a"));
  await close();
  expect([came, told.lost]).toEqual([["Bearer x a"], 0]);
});
