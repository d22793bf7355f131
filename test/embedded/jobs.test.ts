import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type DaemonProcess, startDaemonProcess } from "../support/daemon.js";
import { call, type Images, must, type Snapshots, type Volumes } from "../support/rpc.js";
import { until } from "../support/until.js";

interface Job {
  readonly id: string;
  readonly method: string;
  readonly dataset: string;
  readonly state: string;
  readonly phase: string | null;
  readonly bytes: number;
  readonly totalBytes: number | null;
  readonly repeatSafe: boolean;
  readonly failure: { readonly code: string } | null;
  readonly result?: unknown;
}

interface Jobs {
  readonly jobs: readonly Job[];
}

describe("jobs", () => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-jobs-"));
  const audit = join(folder, "audit.log");
  /** An image service that sends half of an image, and the rest when it is let go on. */
  let service: Server;
  const held = new Map<string, ServerResponse>();
  let daemon: DaemonProcess;
  let stream = Buffer.alloc(0);

  const start = () =>
    startDaemonProcess({
      listen: { port: 0, bulk: { port: 0 } },
      pools: [{ name: "tank", driver: "embedded", folder: join(folder, "tank") }],
      imageService: `127.0.0.1:${(service.address() as AddressInfo).port}`,
      dataDir: join(folder, "data"),
      audit: { file: audit },
      numFetchers: 2,
      timeouts: { graceMs: 1_000 },
    });

  beforeAll(async () => {
    service = createServer((request, response) => {
      const [, id = ""] = /^\/images\/([^/]+)\/download$/.exec(request.url ?? "") ?? [];
      response.writeHead(200, { "Content-Length": stream.length });
      response.write(stream.subarray(0, stream.length / 2));
      held.set(id, response);
    });
    await new Promise<void>((resolve) => service.listen(0, "127.0.0.1", resolve));
    daemon = await start();
    await must(daemon.url, "CreateVolume", { id: "seed", size: 64 });
    await must(daemon.url, "CreateSnapshot", { id: "seed", dest: "s" });
    const response = await fetch(`${daemon.url}/snapshots/download?id=seed@s`);
    stream = Buffer.from(await response.arrayBuffer());
  });
  afterAll(async () => {
    await daemon?.stop();
    service?.closeAllConnections();
    service?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const goOn = (id: string) => held.get(id)?.end(stream.subarray(stream.length / 2));
  const list = async (params: object = {}) => (await must<Jobs>(daemon.url, "ListJobs", params)).jobs;
  async function ask(method: string, params: object): Promise<Job> {
    const [job] = (await must<Jobs>(daemon.url, method, params)).jobs;
    if (!job) throw new Error(`${method}: no job`);
    return job;
  }
  const request = (id: string) => ask("RequestImage", { id, background: true });
  const halfHasCome = (id: string, url = daemon.url) =>
    until(`half of ${id} has come`, async () => {
      const { jobs } = await must<Jobs>(url, "ListJobs", { state: "running" });
      const job = jobs.find(({ dataset }) => dataset === `tank/images/${id}`);
      return job?.phase === "receiving" && job.bytes === Math.floor(stream.length / 2);
    });
  const imageIds = async () => (await must<Images>(daemon.url, "ListImages", {})).images?.map(({ id }) => id);
  /** What is being received, on the disk. */
  const incoming = () => readdirSync(join(folder, "tank", "incoming"));

  test("a fetch is one while its client waits, with the bytes that have come", async () => {
    const requested = must(daemon.url, "RequestImage", { id: "slow" });
    await halfHasCome("slow");
    const [job] = await list({ state: "running", method: "RequestImage" });
    expect(job).toMatchObject({ pool: "tank", dataset: "tank/images/slow", totalBytes: stream.length });
    expect(await ask("GetJob", { id: job?.id })).toMatchObject({ id: job?.id, repeatSafe: true });
    expect(await list({ state: "failed" })).toEqual([]);
    goOn("slow");
    await requested;
    expect(await list({ state: "running" })).toEqual([]);
  });

  test("a request in the background is answered at once, and goes on when its client has gone", async () => {
    const { hostname, port } = new URL(daemon.url);
    const body = JSON.stringify({
      ...{ jsonrpc: "2.0", method: "RequestImage", id: 1 },
      params: { id: "later", background: true },
    });
    const socket = connect(Number(port), hostname);
    socket.write(
      `POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    await halfHasCome("later");
    socket.destroy();
    const [job] = await list({ state: "running" });
    const waiting = ask("WaitJob", { id: job?.id });
    expect(await ask("WaitJob", { id: job?.id, timeoutMs: 1 })).toMatchObject({ state: "running" });
    goOn("later");
    expect(await waiting).toMatchObject({
      ...{ state: "done", bytes: stream.length, failure: null },
      result: { images: [{ id: "later", status: "complete" }] },
    });
    expect(await imageIds()).toContain("later");
    // Its line in the audit file is the one that a client who waits would have had, and says how it ended.
    await until("the audit file has it", () => readFileSync(audit, "utf8").includes('"later"'));
  });

  test("a change in the background that fails has its failure, and one that nobody may make is refused", async () => {
    const { id } = await ask("DeleteDataset", { id: "absent", background: true });
    expect(await ask("WaitJob", { id })).toMatchObject({
      ...{ state: "failed", repeatSafe: false },
      failure: { code: "dataset.not_found", message: "not found" },
    });
    const { error } = await call(daemon.url, "DeleteDataset", { id: "images", background: true });
    expect(error).toContain("can't be deleted");
  });

  test("a fetch that is cancelled leaves nothing, and can be asked for again", async () => {
    const { id } = await request("unwanted");
    await halfHasCome("unwanted");
    await until("it is on the disk", () => incoming().length === 1);
    expect(await ask("CancelJob", { id })).toMatchObject({
      state: "cancelled",
      failure: { code: "job.cancelled" },
    });
    expect(await imageIds()).not.toContain("unwanted");
    expect(incoming()).toEqual([]);
    expect(await ask("CancelJob", { id })).toMatchObject({ state: "cancelled" });
    const again = await request("unwanted");
    await halfHasCome("unwanted");
    goOn("unwanted");
    expect(await ask("WaitJob", { id: again.id })).toMatchObject({ state: "done" });
  });

  test("a fetch that several wait for goes on until the last of them has cancelled", async () => {
    const [first, second, third] = [
      await request("shared"),
      await request("shared"),
      await request("shared"),
    ];
    await halfHasCome("shared");
    expect(await ask("CancelJob", { id: first.id })).toMatchObject({ state: "cancelled" });
    expect(await ask("GetJob", { id: second.id })).toMatchObject({ state: "running" });
    goOn("shared");
    expect(await ask("WaitJob", { id: third.id })).toMatchObject({ state: "done" });
    expect(await ask("GetJob", { id: first.id })).toMatchObject({ state: "cancelled" });
  });

  test("a fetch that waits for its turn is queued, and leaves the queue when it is cancelled", async () => {
    const running = [await request("one"), await request("two")];
    await halfHasCome("one");
    await halfHasCome("two");
    const { id, state } = await request("three");
    expect(state).toBe("queued");
    expect(await ask("CancelJob", { id })).toMatchObject({ state: "cancelled", bytes: 0 });
    expect(held.has("three")).toBe(false);
    for (const job of running) {
      expect(await ask("CancelJob", { id: job.id })).toMatchObject({ state: "cancelled" });
    }
  });

  test.each(["main", "bulk"])(
    "a download is one, and is cut off when it is cancelled (%s port)",
    async (port) => {
      // More than the ring and the kernel take for a reader that reads nothing.
      const { volumes } = await must<Volumes>(daemon.url, "CreateVolume", { id: `${port}/big`, size: 48 });
      writeFileSync(volumes[0]?.device ?? "", randomBytes(48 * 1024 * 1024));
      await must(daemon.url, "CreateSnapshot", { id: `${port}/big`, dest: "s" });
      const { hostname, port: number } = new URL(port === "bulk" ? daemon.bulkUrl : daemon.url);
      const socket = connect(Number(number), hostname);
      socket.on("error", () => {});
      socket.pause();
      socket.write(`GET /snapshots/download?id=${port}/big@s HTTP/1.1\r\nHost: localhost\r\n\r\n`);
      const isClosed = new Promise((resolve) => socket.once("close", resolve));
      await until("bytes of the download have gone out", async () => {
        const [job] = await list({ method: "download", state: "running" });
        return job?.phase === "sending" && (port === "bulk" || job.bytes > 0);
      });
      const [job] = await list({ method: "download", state: "running" });
      expect(job).toMatchObject({ pool: "tank", dataset: `tank/${port}/big@s` });
      expect(await ask("CancelJob", { id: job?.id })).toMatchObject({ state: "cancelled" });
      socket.resume();
      await isClosed;
      // Nothing holds the snapshot any more.
      await must(daemon.url, "DeleteSnapshot", { id: `${port}/big@s` });
    },
  );

  test("a job that can't be cancelled says so, and one that nobody knows is not found", async () => {
    const { error } = await call(daemon.url, "CancelJob", { id: "none" });
    expect(error).toBe("not found");
    expect((await call(daemon.url, "GetJob", { id: "none" })).error).toBe("not found");
    expect((await call(daemon.url, "WaitJob", {})).error).toBe("need an id");
    expect((await call(daemon.url, "ListJobs", { state: "lost" })).error).toBe("not a state of jobs");
    expect((await call(daemon.url, "ListJobs", { pool: "other" })).error).toContain("no such pool");
  });

  test("a request with a key runs once under fifty repeats at once, also after its answer", async () => {
    await must(daemon.url, "CreateVolume", { id: "keyed", size: 8 });
    const params = { id: "keyed", dest: "once", idempotencyKey: "snapshot-1" };
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => must<Snapshots>(daemon.url, "CreateSnapshot", params)),
    );
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    expect(answers[0]?.snapshots).toMatchObject([{ id: "tank/keyed@once" }]);
    await must(daemon.url, "DeleteSnapshot", { id: "keyed@once" });
    expect(await must(daemon.url, "CreateSnapshot", params)).toEqual(answers[0]);
    expect((await must<Snapshots>(daemon.url, "ListSnapshots", { id: "keyed" })).snapshots).toEqual([]);
    const other = await call(daemon.url, "CreateSnapshot", { ...params, dest: "other" });
    expect(other.error).toContain("the key was used for another request");
    const long = await call(daemon.url, "CreateSnapshot", { ...params, idempotencyKey: "k".repeat(129) });
    expect(long.error).toBe("not a key");
  });

  test("a repeat in the background answers the first one's job", async () => {
    const params = { id: "twice", background: true, idempotencyKey: "twice-1" };
    const [first, second] = [await ask("RequestImage", params), await ask("RequestImage", params)];
    expect(second.id).toBe(first.id);
    await halfHasCome("twice");
    goOn("twice");
    expect(await ask("WaitJob", { id: first.id })).toMatchObject({ state: "done" });
  });

  test("a call without these members is answered as ever, and a read does not know them", async () => {
    expect(await must<Volumes>(daemon.url, "CreateVolume", { id: "plain", size: 8 })).toEqual({
      volumes: [expect.objectContaining({ id: "tank/plain", size: 8 })],
    });
    const reply = await fetch(`${daemon.url}/rpc`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        ...{ jsonrpc: "2.0", method: "GetVolume", id: 1 },
        params: { id: "plain", background: true },
      }),
    });
    expect(await reply.text()).toContain("unknown member");
  });

  test("a stop gives a job in the background graceMs, then interrupts it", async () => {
    const { id } = await request("cut");
    await halfHasCome("cut");
    await daemon.stop();
    daemon = await start();
    expect(await ask("GetJob", { id })).toMatchObject({ state: "interrupted", repeatSafe: true });
    expect(incoming()).toEqual([]);
  });

  test("after a crash jobs are what they were, those that ran are interrupted, and keys count", async () => {
    const done = await ask("DeleteDataset", { id: "plain", background: true });
    await ask("WaitJob", { id: done.id });
    const params = { id: "keyed", dest: "kept", idempotencyKey: "snapshot-2" };
    const answer = await must(daemon.url, "CreateSnapshot", params);
    const { id } = await request("lost");
    await halfHasCome("lost");
    daemon.process.kill("SIGKILL");
    await daemon.exited;
    daemon = await start();
    expect(await ask("GetJob", { id: done.id })).toMatchObject({
      state: "done",
      result: { volumes: [{ id: "tank/plain" }] },
    });
    expect(await ask("GetJob", { id })).toMatchObject({
      ...{ state: "interrupted", repeatSafe: true },
      failure: { code: "service.interrupted", retryable: true },
    });
    const ids = (await list()).map((job) => job.id);
    expect(ids).toEqual(ids.toSorted());
    await must(daemon.url, "DeleteSnapshot", { id: "keyed@kept" });
    expect(await must(daemon.url, "CreateSnapshot", params)).toEqual(answer);
  });

  test("a damaged file is put aside, and the daemon starts", async () => {
    await daemon.stop();
    const data = join(folder, "data");
    writeFileSync(join(data, "jobs.log"), '\u0000\u0000\nnonsense\n{"job":1}\n');
    daemon = await start();
    await expect.poll(() => daemon.log()).toContain("a file of jobs is damaged, and put aside");
    expect(readdirSync(data).some((name) => name.startsWith("jobs.log.damaged-"))).toBe(true);
    expect(existsSync(join(data, "jobs.log"))).toBe(true);
    expect(await list()).toEqual([]);
  });

  test("are told by events, from their beginning to their end", async () => {
    const leaving = new AbortController();
    const reply = await fetch(`${daemon.url}/events?topics=job`, { signal: leaving.signal });
    let told = "";
    const reading = (async () => {
      for await (const chunk of reply.body ?? []) told += Buffer.from(chunk).toString();
    })().catch(() => {});
    await until("the subscription begins", () => told.includes("subscribed"));
    const { id } = await request("told");
    await halfHasCome("told");
    await until("its progress is told", () => told.includes('"action":"progress"'));
    await ask("CancelJob", { id });
    await until("its end is told", () => told.includes('"action":"ended"'));
    leaving.abort();
    await reading;
    const events = [...told.matchAll(/^data: (.*"topic":"job".*)$/gm)].map(([, data = ""]) =>
      JSON.parse(data),
    );
    expect(events[0]).toMatchObject({ action: "started", id: "tank/images/told", job: { id } });
    expect(events.at(-1)).toMatchObject({ action: "ended", failure: { code: "job.cancelled" } });
    expect(events.at(-1).job).toMatchObject({ id, state: "cancelled" });
  });

  test("are counted by the metrics", async () => {
    const text = await fetch(`${daemon.url}/metrics`).then((response) => response.text());
    expect(text).toContain('imagestore_jobs{state="running"} 0');
  });
});
