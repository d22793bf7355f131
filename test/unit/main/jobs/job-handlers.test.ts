import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ANYONE, type Caller } from "../../../../src/main/access/caller.js";
import { jobHandlers } from "../../../../src/main/jobs/job-handlers.js";
import { createJobRegistry, type JobRegistry } from "../../../../src/main/jobs/job-registry.js";
import type { Client } from "../../../../src/main/pools/actor-handle.js";
import { failed } from "../../../../src/protocol/storage/failures.js";

let jobs: JobRegistry;
let handlers: ReturnType<typeof jobHandlers>;
beforeEach(() => {
  jobs = createJobRegistry({ runId: "run", onChange: () => {} });
  handlers = jobHandlers(jobs);
});
afterEach(() => jobs.stop());

const client: Client = { requestId: "r", peer: "192.0.2.1", onDisconnect: () => {} };
const asker = (caller: Caller = ANYONE, of: Client = client) => ({ caller, client: of });
const begin = (dataset: string) =>
  jobs.begin(
    {
      ...{ method: "DeleteDataset", pool: dataset.split("/")[0] ?? "", dataset, caller: null },
      ...{ peer: "192.0.2.1", requestId: "r", repeatSafe: false },
    },
    true,
  );
const TEAM: Caller = { id: "t", grant: { role: "operate", pools: ["tank"], names: ["guests/team-*"] } };

describe("jobs", () => {
  test("about what a token does not cover are not there for it", async () => {
    const own = begin("tank/guests/team-1/disk-0");
    const others = [begin("tank/guests/other/disk-0"), begin("dozer/guests/team-1/disk-0")];
    const listed = await handlers.ListJobs({ op: "ListJobs", state: "", method: "", pool: "" }, asker(TEAM));
    expect(listed).toMatchObject({ value: [{ id: own.id }] });
    for (const { id } of others) {
      expect(await handlers.GetJob({ op: "GetJob", id }, asker(TEAM))).toEqual(failed.jobNotFound);
      expect(await handlers.WaitJob({ op: "WaitJob", id, timeoutMs: 1 }, asker(TEAM))).toEqual(
        failed.jobNotFound,
      );
      expect(await handlers.CancelJob({ op: "CancelJob", id }, asker(TEAM))).toEqual(failed.jobNotFound);
    }
    expect(await handlers.GetJob({ op: "GetJob", id: own.id }, asker(TEAM))).toMatchObject({ ok: true });
  });

  test("are listed by state, method and pool, in pages", async () => {
    const first = begin("tank/a");
    begin("dozer/b").end(undefined);
    const third = begin("tank/c");
    const list = async (asked: object) => {
      const listed = await handlers.ListJobs(
        { op: "ListJobs", state: "", method: "", pool: "", ...asked },
        asker(),
      );
      return listed.ok ? listed.value.map(({ id }) => id) : [];
    };
    expect(await list({ state: "running" })).toEqual([first.id, third.id]);
    expect(await list({ pool: "tank", limit: 1 })).toEqual([first.id]);
    expect(await list({ pool: "tank", limit: 1, after: first.id })).toEqual([third.id]);
    expect(await list({ method: "download" })).toEqual([]);
  });

  test("are waited for until their end, the end of the time or of the client", async () => {
    const job = begin("tank/a");
    let leave = () => {};
    const leaving: Client = { ...client, onDisconnect: (listener) => (leave = listener) };
    const ask = (timeoutMs: number, of?: Client) =>
      handlers.WaitJob({ op: "WaitJob", id: job.id, timeoutMs }, asker(ANYONE, of));
    expect(await ask(1)).toMatchObject({ value: { job: { state: "running" } } });
    const left = ask(0, leaving);
    leave();
    expect(await left).toMatchObject({ value: { job: { state: "running" } } });
    const waits = ask(0);
    job.end(undefined, "{}");
    expect(await waits).toMatchObject({ value: { job: { state: "done" }, result: "{}" } });
    expect(await ask(0)).toMatchObject({ value: { job: { state: "done" } } });
  });

  test("that can't be cancelled say so; others are asked, and answered when they have ended", async () => {
    const job = begin("tank/a");
    const cancel = () => handlers.CancelJob({ op: "CancelJob", id: job.id }, asker());
    expect(await cancel()).toMatchObject({
      failure: {
        code: "job.not_cancellable",
        message: "DeleteDataset can't be cancelled once it has begun",
      },
    });
    job.onCancel(() => job.end(failed.cancelled.failure));
    expect(await cancel()).toMatchObject({ value: { job: { state: "cancelled" } } });
    expect(await cancel()).toMatchObject({ value: { job: { state: "cancelled" } } });
  });
});
