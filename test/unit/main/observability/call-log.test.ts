import { pino } from "pino";
import { expect, test } from "vitest";
import { logCall } from "../../../../src/main/observability/call-log.js";
import type { CallReport } from "../../../../src/main/observability/call-report.js";
import type { DatasetName, SnapshotName } from "../../../../src/protocol/storage/names.js";
import { bytes } from "../../../../src/protocol/storage/units.js";

const name = "tank/guests/g1/disk-0" as DatasetName;
const snapshot = `${name}@s1` as SnapshotName;
const create = { op: "CreateVolume", name, size: bytes(1n) } as const;
const client = { requestId: "r1", client: { peer: "192.0.2.1" } };
const shownClient = { requestId: "r1", peer: "192.0.2.1" };
const busy = {
  ...client,
  pool: "tank",
  code: "dataset.busy",
  ms: 1.23456,
  message: "is busy",
  detail: "zfs create: busy",
};

/** The lines that a log of this level has of a call. */
function linesOf(level: string, call: CallReport): unknown[] {
  const lines: unknown[] = [];
  logCall(
    pino({ level, base: null, timestamp: false }, { write: (line) => void lines.push(JSON.parse(line)) }),
    call,
  );
  return lines;
}

test("a change that failed is in the log at warn, with what it was about and why", () => {
  const call = { method: "CreateVolume", ...busy, operation: create };
  const { client: _, ...shown } = busy;
  const line = {
    ...shown,
    ...shownClient,
    level: 40,
    method: "CreateVolume",
    datasets: [name],
    ms: 1.23,
    msg: "a change failed",
  };
  expect(linesOf("warn", call)).toEqual([line]);
  expect(linesOf("error", call)).toEqual([]);
});

test.each<[string, CallReport]>([
  [
    "a change that was made",
    { ...client, method: "CreateVolume", pool: "tank", code: "ok", ms: 1, operation: create },
  ],
  [
    "a read that failed",
    { method: "GetSnapshot", ...busy, operation: { op: "GetSnapshot", name: snapshot } },
  ],
  ["a download that failed", { method: "download", ...busy, operation: { op: "OpenSend", name: snapshot } }],
  ["a request that named nothing", { method: "CreateVolume", ...busy }],
])("%s is there at info only", (_, call) => {
  expect(linesOf("warn", call)).toEqual([]);
  expect(linesOf("info", call)).toMatchObject([
    {
      level: 30,
      msg: "call",
      method: call.method,
      ...shownClient,
      datasets: call.operation && "name" in call.operation ? [call.operation.name] : [],
    },
  ]);
});
