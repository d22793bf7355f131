import { randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Collector, type ReceivedSpan, startCollector } from "../support/collector.js";
import { type DaemonProcess, freePort, startDaemonProcess } from "../support/daemon.js";
import { must } from "../support/rpc.js";
import { standInPool } from "../support/stand-in-zfs.js";
import { transportNames } from "../support/transports.js";
import { until } from "../support/until.js";

/** Times are rounded to microseconds, and the clocks of two threads are compared to some of them. */
const ROUNDED_MS = 0.05;

/** A trace that a client has begun. */
function clientTrace(flags = "01") {
  const traceId = randomBytes(16).toString("hex");
  const spanId = randomBytes(8).toString("hex");
  return { traceId, spanId, traceparent: `00-${traceId}-${spanId}-${flags}` };
}

async function post(url: string, body: object, headers: Record<string, string>): Promise<unknown> {
  const response = await fetch(`${url}/rpc`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
  expect(response.status).toBe(200);
  return response.json();
}

const request = (method: string, params: object, id = 1) => ({ jsonrpc: "2.0", method, params, id });

/** The names of the spans, each below its parent, sorted. Fails for one whose parent is missing. */
function tree(spans: readonly ReceivedSpan[], parent: string): Record<string, unknown>[] {
  return spans
    .filter(({ parentSpanId }) => parentSpanId === parent)
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, spanId }) => ({ [name]: tree(spans, spanId) }));
}

/** Each span lies in its parent's time. That of the request may end before, once the reply is with the kernel. */
function expectNested(spans: readonly ReceivedSpan[]): void {
  const byId = new Map(spans.map((span) => [span.spanId, span]));
  for (const span of spans) {
    const parent = byId.get(span.parentSpanId ?? "");
    expect(span.endMs).toBeGreaterThanOrEqual(span.startMs);
    if (!parent) continue;
    expect([span.name, span.startMs]).toEqual([
      span.name,
      expect.toSatisfy((ms) => ms >= parent.startMs - ROUNDED_MS),
    ]);
    expect([span.name, span.endMs]).toEqual([
      span.name,
      expect.toSatisfy((ms) => ms <= parent.endMs + ROUNDED_MS),
    ]);
  }
}

const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
const poolIn = (name: string) => ({ name, driver: "embedded", folder: join(folder, name) });
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe.each(transportNames)("with a collector, over %s", (transport) => {
  let collector: Collector;
  let daemon: DaemonProcess;
  beforeAll(async () => {
    collector = await startCollector();
    daemon = await startDaemonProcess({
      listen: { port: 0, transport },
      log: { level: "info" },
      pools: [poolIn(`tank-${transport}`), standInPool(folder, `dozer-${transport}`)],
      imageSources: ["127.0.0.1:9"],
      tracing: { url: collector.url, sampleRatio: 0 },
    });
  });
  afterAll(async () => {
    expect(await daemon.stop()).toBe(0);
    await collector.close();
  });

  /** The spans of a trace, once those with these names are among them: that of the request, and those of what ends last. */
  async function spansOf(trace: { readonly traceId: string; readonly spanId: string }, ...names: string[]) {
    await until(`${names} came`, () => {
      const came = collector.spansOf(trace.traceId).map(({ name }) => name);
      return names.every((name) => came.includes(name));
    });
    const spans = collector.spansOf(trace.traceId);
    expect(spans.filter(({ parentSpanId }) => parentSpanId === trace.spanId).length).toBe(1);
    return spans;
  }

  test("a change is traced from the client's span down to what it waits for", async () => {
    const trace = clientTrace();
    await post(daemon.url, request("CreateVolume", { id: "v", size: 8 }), trace);
    const spans = await spansOf(trace, "POST /rpc", "actor CreateVolume");
    const [http] = tree(spans, trace.spanId);
    expect(http).toMatchObject({
      "POST /rpc": [{ CreateVolume: [{ "actor CreateVolume": expect.any(Array) }] }],
    });
    const names = spans.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(["lock", "driver createVolume", "driver findSize"]));
    expectNested(spans);
    const call = spans.find(({ name }) => name === "CreateVolume");
    expect(call?.attributes).toMatchObject({
      "rpc.system": "jsonrpc",
      "rpc.method": "CreateVolume",
      "imagestore.pool": `tank-${transport}`,
      "imagestore.datasets": [`tank-${transport}/v`],
    });
    expect(spans.map(({ failure }) => failure)).toEqual(spans.map(() => undefined));
    const line = () =>
      daemon
        .log()
        .split("\n")
        .find((each) => each.includes(trace.traceId));
    await until("it is logged", () => line() !== undefined);
    expect(JSON.parse(line() ?? "{}")).toMatchObject({ method: "CreateVolume", traceId: trace.traceId });
  });

  test("a look-up is traced too, and one that is refused has its code", async () => {
    const trace = clientTrace();
    await post(daemon.url, request("GetVolume", { id: "nothing" }), trace);
    const spans = await spansOf(trace, "POST /rpc", "actor GetVolume");
    expect(spans.find(({ name }) => name === "GetVolume")).toMatchObject({ failure: "dataset.not_found" });
    expectNested(spans);
  });

  test("each command of zfs is below the call of the driver that it serves, with its outcome", async () => {
    const trace = clientTrace();
    const pool = `dozer-${transport}`;
    await post(daemon.url, request("CreateVolume", { id: "busy", size: 8, pool }), trace);
    const spans = await spansOf(trace, "POST /rpc", "actor CreateVolume");
    const creates = spans.filter(({ name }) => name === "zfs create");
    // A dataset that is busy is tried six times.
    expect(creates.length).toBe(6);
    const driver = spans.find(({ name }) => name === "driver createVolume");
    for (const each of creates) {
      expect(each).toMatchObject({ parentSpanId: driver?.spanId, failure: "failed", kind: 3 });
      expect(each.endMs - each.startMs).toBeGreaterThan(500);
    }
    expect(spans.find(({ name }) => name === "CreateVolume")?.failure).toBe("dataset.busy");
    expectNested(spans);
  });

  test("many requests at the same time keep to their own traces", async () => {
    const traces = Array.from({ length: 40 }, (_, index) => ({ ...clientTrace(), id: `many${index}` }));
    await Promise.all(
      traces.map(({ id, ...trace }) => post(daemon.url, request("CreateVolume", { id, size: 8 }), trace)),
    );
    for (const trace of traces) {
      const spans = await spansOf(trace, "POST /rpc", "actor CreateVolume");
      expectNested(spans);
      const dataset = `tank-${transport}/${trace.id}`;
      const about = spans.flatMap(({ attributes }) => attributes["imagestore.datasets"] ?? []);
      expect(new Set(about)).toEqual(new Set([dataset]));
      const waits = spans.map(({ attributes }) => String(attributes["imagestore.waits_for"] ?? dataset));
      expect(waits.filter((what) => what.includes("many") && !`${what} `.includes(`${dataset} `))).toEqual(
        [],
      );
    }
  });

  test("the calls of a batch are beside each other, below their request", async () => {
    const trace = clientTrace();
    const batch = [request("GetImage", { id: "a" }), request("GetImage", { id: "b" }, 2)];
    await post(daemon.url, batch, trace);
    const spans = await spansOf(trace, "POST /rpc");
    expect(tree(spans, trace.spanId)).toEqual([{ "POST /rpc": [{ GetImage: [] }, { GetImage: [] }] }]);
  });

  test("a download and an image fetch are traced, and the fetch tells no more of its URL than the log", async () => {
    await must(daemon.url, "CreateVolume", { id: "d", size: 8 });
    await must(daemon.url, "CreateSnapshot", { id: "d", dest: "s" });
    const trace = clientTrace();
    const headers = { traceparent: trace.traceparent };
    await (await fetch(`${daemon.url}/snapshots/download?id=d@s`, { headers })).arrayBuffer();
    const spans = await spansOf(trace, "GET /snapshots/download", "actor OpenSend");
    const [http] = tree(spans, trace.spanId);
    expect(http).toMatchObject({
      "GET /snapshots/download": [{ "actor OpenSend": expect.any(Array) }, { send: [] }],
    });
    expect(spans.find(({ name }) => name === "send")?.attributes).toMatchObject({
      "imagestore.path": "ring",
      "imagestore.bytes": expect.toSatisfy((bytes) => bytes > 0),
    });
    expectNested(spans);

    const fetched = clientTrace();
    const source = "http://127.0.0.1:9/image?signature=hidden";
    await post(daemon.url, request("RequestImage", { id: "i", source }), fetched);
    const ofFetch = await spansOf(fetched, "POST /rpc", "actor RequestImage");
    expect(ofFetch.map(({ name }) => name)).toContain("stream");
    expect(JSON.stringify(ofFetch)).not.toContain("hidden");
    expect(ofFetch.find(({ name }) => name === "RequestImage")?.failure).toBe("image.unreachable");
  });

  test("what the client does not sample, or nobody asks for, is in no trace", async () => {
    const before = collector.spans().length;
    const unsampled = clientTrace("00");
    await post(daemon.url, request("CreateVolume", { id: "u", size: 8 }), unsampled);
    await post(daemon.url, request("CreateVolume", { id: "w", size: 8 }), {});
    await post(daemon.url, request("CreateVolume", { id: "x", size: 8 }), { traceparent: "00-nonsense" });
    await fetch(`${daemon.url}/metrics`, { headers: { traceparent: clientTrace().traceparent } });
    const last = clientTrace();
    await post(daemon.url, request("GetImage", { id: "a" }), last);
    await spansOf(last, "POST /rpc");
    const others = collector
      .spans()
      .slice(before)
      .filter(({ traceId }) => traceId !== last.traceId);
    expect(others.map(({ name, attributes }) => [name, attributes])).toEqual([]);
    expect(daemon.log()).not.toContain(unsampled.traceId);
  });
});

test("without a client's trace, sampleRatio decides, and a new trace begins", async () => {
  const collector = await startCollector();
  const daemon = await startDaemonProcess({
    listen: { port: 0 },
    pools: [poolIn("all")],
    tracing: { url: collector.url },
  });
  await post(daemon.url, request("GetImage", { id: "a" }), {});
  // A stop sends what has waited for others.
  expect(await daemon.stop()).toBe(0);
  const spans = collector.spans();
  const [root] = spans.filter(({ parentSpanId }) => parentSpanId === undefined);
  expect(spans.length).toBe(2);
  expect(tree(spans, root?.spanId ?? "")).toEqual([{ GetImage: [] }]);
  await collector.close();
});

test.each(["dead", "silent"])(
  "a %s collector costs a line of the log, and no time of calls or of the stop",
  async (kind) => {
    const collector = await startCollector();
    collector.isSilent = true;
    const url = kind === "silent" ? collector.url : `http://127.0.0.1:${await freePort()}/v1/traces`;
    const daemon = await startDaemonProcess({
      listen: { port: 0 },
      pools: [poolIn(kind)],
      tracing: { url, headers: { authorization: "Bearer hidden" } },
    });
    const since = performance.now();
    for (let count = 0; count < 100; count++) await post(daemon.url, request("GetImage", { id: "a" }), {});
    // Far below the time that a collector may take to answer, for each call.
    expect(performance.now() - since).toBeLessThan(20_000);
    if (kind === "dead")
      await until("it is told", () => daemon.log().includes("the collector takes no spans"));
    expect(await (await fetch(`${daemon.url}/diagnose`)).text()).not.toContain("hidden");
    const stoppedAt = performance.now();
    expect(await daemon.stop()).toBe(0);
    expect(performance.now() - stoppedAt).toBeLessThan(30_000);
    expect(daemon.log().match(/the collector takes no spans/g)?.length ?? 0).toBeLessThan(2);
    await collector.close();
  },
);

test("nothing of it is loaded where it is off: no other file imports it but when it is called for", () => {
  const compiled = fileURLToPath(new URL("../../compiled/", import.meta.url));
  const files = readdirSync(compiled, { recursive: true, encoding: "utf8" }).filter((path) =>
    path.endsWith(".js"),
  );
  const own = /(?:^|\/)(?:tracing\/\S+|actor-spans|work-spans|span-batches)\.js$/;
  const importing = files.filter((path) => {
    const imported = readFileSync(join(compiled, path), "utf8").matchAll(/^(?:import|export) .*"(\S+)";$/gm);
    return !own.test(path) && [...imported].some(([, from = ""]) => own.test(from));
  });
  expect([files.filter((path) => own.test(path)).length, importing]).toEqual([8, []]);
});
