import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { JobStart } from "../../../../src/main/jobs/job-records.js";
import { createJobRegistry, type JobRegistry, KEPT_MS } from "../../../../src/main/jobs/job-registry.js";
import { fail } from "../../../../src/protocol/storage/failures.js";
import type { JobProgress } from "../../../../src/protocol/storage/job-record.js";

const START: JobStart = {
  method: "DeleteDataset",
  pool: "tank",
  dataset: "tank/v",
  caller: null,
  peer: "192.0.2.1",
  requestId: "r1",
  repeatSafe: false,
};

let jobs: JobRegistry;
/** What `onChange` was told, as `ACTION STATE`. */
let told: string[];
beforeEach(() => {
  vi.useFakeTimers({ now: Date.parse("2026-01-02T03:04:05.000Z") });
  told = [];
  jobs = createJobRegistry({
    runId: "run",
    onChange: (job, action) => told.push(`${action} ${job.state}`),
  });
});
afterEach(async () => {
  await jobs.stop();
  vi.useRealTimers();
});

describe("a job", () => {
  test("that moves no bytes runs from its beginning", () => {
    const { id } = jobs.begin(START);
    expect(jobs.find(id)?.job).toEqual({
      ...{ id: "run-0000001", ...START },
      ...{
        state: "running",
        phase: null,
        bytes: 0,
        totalBytes: null,
        bytesPerSecond: null,
        etaSeconds: null,
      },
      createdAt: "2026-01-02T03:04:05.000Z",
      startedAt: "2026-01-02T03:04:05.000Z",
      ...{ endedAt: null, failure: null },
    });
  });

  test("is queued until its turn comes, and tells its rate and how long it will take", () => {
    let progress: JobProgress | undefined;
    const { id } = jobs.begin({ ...START, progress: () => progress });
    vi.advanceTimersByTime(5_000);
    expect(jobs.find(id)?.job).toMatchObject({ state: "queued", startedAt: null });
    for (let step = 0; step <= 20; step++) {
      progress = { phase: "receiving", bytes: step * 1_000, totalBytes: 30_000 };
      vi.advanceTimersByTime(500);
    }
    const found = jobs.find(id)?.job;
    expect(found).toMatchObject({ state: "running", phase: "receiving", bytes: 20_000, totalBytes: 30_000 });
    expect(Date.parse(found?.startedAt ?? "")).toBeGreaterThan(Date.parse(found?.createdAt ?? ""));
    expect(found?.bytesPerSecond).toBeGreaterThan(1_900);
    expect(found?.bytesPerSecond).toBeLessThan(2_100);
    expect(found?.etaSeconds).toBeGreaterThanOrEqual(5);
    expect(found?.etaSeconds).toBeLessThanOrEqual(6);
  });

  test("that lasted is known after its end, with its failure", () => {
    const job = jobs.begin(START);
    vi.advanceTimersByTime(1_000);
    job.end(fail("dataset.busy", "busy").failure);
    expect(jobs.list()).toMatchObject([
      {
        state: "failed",
        failure: { code: "dataset.busy", message: "busy", retryable: true },
        endedAt: "2026-01-02T03:04:06.000Z",
      },
    ]);
  });

  test("that was over at once is forgotten", () => {
    const job = jobs.begin(START);
    vi.advanceTimersByTime(999);
    job.end(undefined);
    expect(jobs.list()).toEqual([]);
    expect(jobs.find(job.id)).toBeUndefined();
    expect(told).toEqual([]);
  });

  test("that was asked for is kept however short it was, with its result", () => {
    const job = jobs.begin(START, true);
    job.end(undefined, '{"volumes":[]}');
    expect(jobs.find(job.id)).toMatchObject({ job: { state: "done" }, result: '{"volumes":[]}' });
    expect(told).toEqual(["started running", "ended done"]);
  });

  test.each([
    ["job.cancelled", "cancelled"],
    ["service.interrupted", "interrupted"],
    ["service.stopping", "interrupted"],
    ["command.failed", "failed"],
  ] as const)("that ends by %s is %s", (code, state) => {
    const job = jobs.begin(START, true);
    job.end(fail(code, "why").failure);
    expect(jobs.find(job.id)?.job.state).toBe(state);
  });

  test("tells of its progress at most twice a second, and only where it moves", () => {
    let bytes = 0;
    jobs.begin({ ...START, progress: () => ({ phase: "receiving", bytes, totalBytes: null }) }, true);
    for (let step = 0; step < 100; step++) {
      bytes += 10;
      vi.advanceTimersByTime(20);
    }
    vi.advanceTimersByTime(10_000);
    const progress = told.filter((each) => each.startsWith("progress"));
    expect(progress.length).toBeGreaterThanOrEqual(4);
    expect(progress.length).toBeLessThanOrEqual(5);
  });

  test("tells those who wait when it ends, and no one who has left", () => {
    const job = jobs.begin(START);
    const ends: string[] = [];
    jobs.onceEnded(job.id, ({ job: ended }) => ends.push(ended.state));
    jobs.onceEnded(job.id, () => ends.push("left"))();
    job.end(undefined);
    expect(ends).toEqual(["done"]);
  });

  test("can be cancelled once it says how, and while it runs", () => {
    const job = jobs.begin(START, true);
    expect(jobs.cancelOf(job.id)).toBeUndefined();
    let asked = 0;
    job.onCancel(() => asked++);
    jobs.cancelOf(job.id)?.();
    expect(asked).toBe(1);
    job.end(undefined);
    expect(jobs.cancelOf(job.id)).toBeUndefined();
  });

  test("that still runs at a stop is interrupted", async () => {
    const job = jobs.begin(START, true);
    await jobs.stop();
    expect(jobs.find(job.id)?.job).toMatchObject({
      state: "interrupted",
      failure: { code: "service.stopping" },
    });
  });

  test("is forgotten a week after its end, when another ends", () => {
    const old = jobs.begin(START, true);
    old.end(undefined);
    vi.advanceTimersByTime(KEPT_MS + 1);
    const next = jobs.begin(START, true);
    next.end(undefined);
    expect(jobs.list().map(({ id }) => id)).toEqual([next.id]);
  });

  test("is counted by its state", () => {
    jobs.begin(START);
    jobs.begin({ ...START, progress: () => undefined });
    jobs.begin(START, true).end(undefined);
    expect([...jobs.counts()].sort()).toEqual([
      ["done", 1],
      ["queued", 1],
      ["running", 1],
    ]);
  });
});

test("of those that have ended the newest thousand are known, and all that run, in the order of their ids", () => {
  const first = jobs.begin(START);
  const many = Array.from({ length: 1_001 }, () => jobs.begin(START));
  vi.advanceTimersByTime(1_000);
  for (const job of many) job.end(undefined);
  const ids = jobs.list().map(({ id }) => id);
  expect(ids).toEqual([first, ...many.slice(1)].map(({ id }) => id));
  expect(ids).toEqual(ids.toSorted());
});
