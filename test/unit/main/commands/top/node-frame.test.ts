import { describe, expect, test } from "vitest";
import { readExposition } from "../../../../../src/client/exposition.js";
import { plainly } from "../../../../../src/main/commands/terminal/paint.js";
import { frameLines } from "../../../../../src/main/commands/top/node-frame.js";
import type { NodeLook } from "../../../../../src/main/commands/top/node-look.js";
import { sortedMethods, viewOf } from "../../../../../src/main/commands/top/node-view.js";

const MIB = 1_048_576;

function metricsOf(calls: number, startedAt = 5): string {
  return `# TYPE imagestore_calls_total counter
process_start_time_seconds ${startedAt}
imagestore_build_info{version="1.2.3",node="20.0.0",transport="a \\"b\\""} 1
imagestore_calls_total{method="GetImage",pool="tank",code="ok"} ${calls}
imagestore_calls_total{method="GetImage",pool="dozer",code="ok"} ${calls}
imagestore_calls_total{method="CreateVolume",pool="tank",code="ok"} 3
imagestore_calls_total{method="CreateVolume",pool="tank",code="dataset.exists"} ${calls / 10}
imagestore_call_seconds_bucket{le="0.01",method="GetImage",pool="tank"} ${calls * 0.9}
imagestore_call_seconds_bucket{le="0.1",method="GetImage",pool="tank"} ${calls}
imagestore_call_seconds_bucket{le="+Inf",method="GetImage",pool="tank"} ${calls}
imagestore_call_seconds_sum{method="GetImage",pool="tank"} ${calls * 0.02}
imagestore_call_seconds_count{method="GetImage",pool="tank"} ${calls}
imagestore_actor_pending{pool="tank"} 7
imagestore_operations_late{pool="tank"} 1
imagestore_fetches{pool="tank"} 2
imagestore_fetches_waiting{pool="tank"} 4
imagestore_downloads 1
imagestore_streamed_bytes_total ${calls * MIB}
imagestore_fetched_bytes_total{pool="tank"} ${calls * MIB}
imagestore_event_subscribers 3
`;
}

const job = (number: number): never =>
  ({
    ...{ id: `job-${number}`, method: "RequestImage", pool: "tank", dataset: `tank/images/golden-${number}` },
    ...{ state: "running", phase: "receiving", bytes: 256 * MIB, totalBytes: 1024 * MIB },
    ...{ bytesPerSecond: 64 * MIB, etaSeconds: 12 },
  }) as never;

function lookOf(atMs: number, text: string, { jobs = 1, waits = 1 } = {}): NodeLook {
  const waiting = Array.from({ length: waits }, (_, at) => ({
    ...{ id: at + 2, name: "DeleteDataset", datasets: ["tank/a"] },
    waitsFor: [{ kind: "lock", what: "tank/a subtree owned", ms: 100 * (at + 1), heldBy: [1] }],
  }));
  const creating = {
    id: 1,
    name: "CreateVolume",
    datasets: ["tank/a"],
    waitsFor: [{ kind: "driver", ms: 9 }],
  };
  return {
    atMs,
    metrics: { ok: true, value: readExposition(text) },
    work: {
      ok: true,
      value: [
        { pool: "tank", state: "ready", pending: 7, mailbox: 100, work: [creating, ...waiting] },
        { pool: "dozer", state: "restarting", pending: 0, mailbox: 100, work: null },
      ],
    },
    jobs: { ok: true, value: Array.from({ length: jobs }, (_, at) => job(at)) },
    pools: [{ name: "tank", size: 1000, allocated: 850, available: 100, health: "ONLINE" } as never],
  };
}

const view = viewOf(lookOf(1_000, metricsOf(100)), lookOf(3_000, metricsOf(300)));
const of = {
  ...{ daemon: "http://lab:19999", at: new Date(2026, 10, 29, 14, 3, 4), sort: "calls" as const },
  ...{ view, problem: undefined },
};
const frame = (width?: number, height?: number, more = {}) =>
  frameLines({ ...of, ...more }, { width, height, paint: plainly });

describe("what two scrapes tell", () => {
  test("rates, means and the bound of 99 of 100 calls are of the time between them", () => {
    expect(view.methods.find(({ method }) => method === "GetImage")).toEqual({
      method: "GetImage",
      callsPerSecond: 200,
      failuresPerSecond: 0,
      meanMs: expect.closeTo(20),
      p99Ms: expect.closeTo(91),
    });
    expect(view.methods.find(({ method }) => method === "CreateVolume")).toEqual({
      ...{ method: "CreateVolume", callsPerSecond: 10, failuresPerSecond: 10 },
      ...{ meanMs: undefined, p99Ms: undefined },
    });
    expect(view.rates).toMatchObject({
      callsPerSecond: 210,
      downloadBytesPerSecond: 100 * MIB,
      subscribers: 3,
    });
  });

  test("a daemon that was started anew is compared with nothing", () => {
    const anew = viewOf(lookOf(1_000, metricsOf(100)), lookOf(3_000, metricsOf(300, 6)));
    expect([anew.rates, anew.methods]).toEqual([undefined, []]);
    expect(frameLines({ ...of, view: anew }, { width: 80, height: 24, paint: plainly })[1]).toBe("measuring");
  });

  test("who waits for a lock comes with who has it, the longest first", () => {
    expect(viewOf(undefined, lookOf(1, "", { waits: 2 })).waits).toEqual([
      expect.objectContaining({ work: "DeleteDataset#3", ms: 200, heldBy: ["CreateVolume#1"] }),
      expect.objectContaining({ work: "DeleteDataset#2", ms: 100, lock: "tank/a subtree owned" }),
    ]);
  });

  test("methods are sorted by what is asked for", () => {
    const first = (by: "calls" | "failed" | "name" | "p99") => sortedMethods(view.methods, by)[0]?.method;
    expect([first("calls"), first("failed"), first("name"), first("p99")]).toEqual([
      ...["GetImage", "CreateVolume", "CreateVolume", "GetImage"],
    ]);
  });
});

describe("a frame", () => {
  test("has all of it where there is room", () => {
    expect(frame(100, 30).slice(0, 20)).toEqual([
      `imagestore 1.2.3 http://lab:19999${" ".repeat(59)}14:03:04`,
      "210 calls/s  10 failed/s  mean 20 ms  p99 91 ms  1 download 100.0 MiB/s  2 fetches 100.0 MiB/s",
      "3 subscribers",
      "POOL   HEALTH      CAP      AVAIL  QUEUE  LATE  FETCHES  WAITING",
      "tank   ONLINE      85%  100.0 MiB      7     1        2        4",
      "dozer  restarting    -          -      0     -        -        -",
      "",
      "METHOD        CALLS/S   MEAN    P99  FAILED/S",
      "GetImage          200  20 ms  91 ms         0",
      "CreateVolume       10      -      -        10",
      "",
      "WAITS             SINCE  FOR THE LOCK          HELD BY",
      "DeleteDataset#2  100 ms  tank/a subtree owned  CreateVolume#1",
      "",
      "JOB    METHOD        NAME                  STATE      DONE      BYTES        RATE    LEFT",
      "job-0  RequestImage  tank/images/golden-0  receiving   25%  256.0 MiB  64.0 MiB/s  12.0 s",
      ...["", "", "", ""],
    ]);
    expect(frame(100, 30).at(-1)).toBe("q quits  sort: c calls m mean p p99 f failed n name");
  });

  const busy = viewOf(lookOf(1_000, metricsOf(100)), lookOf(3_000, metricsOf(300), { jobs: 40, waits: 20 }));
  const sizes = [
    ...[80, 40, 200, 20, 132].flatMap((width) =>
      [24, 10, 60, 5, 3, 1].map((height) => [width, height] as const),
    ),
  ];

  test.each(sizes)("of %i columns and %i rows is neither wider nor higher", (width, height) => {
    const lines = frame(width, height, { view: busy });
    expect(lines).toHaveLength(height);
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(width);
  });

  test("of 40 columns and 10 rows has the pools and the methods", () => {
    const text = frame(40, 10, { view: busy }).join("\n");
    expect(text).toMatch(/^POOL +HEALTH +CAP/m);
    expect(text).toMatch(/^GetImage +200 /m);
  });

  test("says how much more there is of a table", () => {
    expect(frame(80, 24, { view: busy }).filter((line) => /^… and \d+ more$/.test(line))).toHaveLength(2);
    expect(frame(undefined, undefined, { view: busy })).toHaveLength(2 + 4 + 4 + 22 + 42);
  });

  test("says plainly what the caller is not told", () => {
    const no = { ok: false as const, why: "not allowed: this needs the role read for all pools and names" };
    const narrow = viewOf(undefined, { ...lookOf(1, ""), metrics: no, work: no });
    const lines = frameLines({ ...of, view: narrow }, { width: 120, height: 24, paint: plainly });
    expect(lines.slice(1, 3)).toEqual([
      `not shown: calls, rates and queues (${no.why})`,
      `not shown: waits for locks (${no.why})`,
    ]);
    expect(lines.join("\n")).toMatch(/^tank +ONLINE +85%/m);
    expect(lines.join("\n")).not.toContain("calls/s");
  });

  test("of a daemon that does not answer says so, and shows nothing that is old", () => {
    const lines = frame(40, 10, { problem: "no answer from http://lab:19999: nothing listens there" });
    expect(lines.join(" ").replace(/ +/g, " ")).toContain(
      "nothing listens there; it is asked again each second",
    );
    expect(lines.join("\n")).not.toContain("POOL");
  });
});
