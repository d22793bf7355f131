import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import {
  createJobRegistry,
  type JobRegistry,
  type JobStart,
} from "../../../../src/main/jobs/job-registry.js";
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
beforeEach(() => {
  vi.useFakeTimers({ now: Date.parse("2026-01-02T03:04:05.000Z") });
  jobs = createJobRegistry({ runId: "run" });
});
afterEach(async () => {
  await jobs.stop();
  vi.useRealTimers();
});

describe("a job", () => {
  test("that moves no bytes runs from its beginning", () => {
    const { id } = jobs.begin(START);
    expect(jobs.find(id)).toEqual({
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
    expect(jobs.find(id)).toMatchObject({ state: "queued", startedAt: null });
    for (let step = 0; step <= 20; step++) {
      progress = { phase: "receiving", bytes: step * 1_000, totalBytes: 30_000 };
      vi.advanceTimersByTime(500);
    }
    const found = jobs.find(id);
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
