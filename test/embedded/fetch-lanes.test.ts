import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { DatasetName } from "../../src/protocol/storage/names.js";
import { createHostMemory } from "../../src/protocol/threads/host-slots.js";
import { compiled } from "../support/in-process.js";
import { until } from "../support/until.js";

type Lanes = typeof import("../../src/main/downloads/streaming-lanes.js");
type Threads = typeof import("../../src/main/downloads/streaming-handle.js");

const MOST = 3;

describe("fetches at the same time", () => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  const image = randomBytes(300_000);
  /** The replies that have only half of their image so far. */
  let halves: ServerResponse[] = [];
  let started = 0;
  const service = createServer((_request, response) => {
    response.writeHead(200, { "Content-Length": image.length });
    response.write(image.subarray(0, image.length / 2));
    halves.push(response);
  });
  let streaming: ReturnType<Lanes["startStreamingLanes"]>;

  beforeEach(async () => {
    [halves, started] = [[], 0];
    service.listen(0, "127.0.0.1");
    await once(service, "listening");
    const { startStreaming } = await compiled<Threads>("main/downloads/streaming-handle.js");
    const { startStreamingLanes } = await compiled<Lanes>("main/downloads/streaming-lanes.js");
    streaming = startStreamingLanes(
      {
        settings: {
          ...{ fetchConnectMs: 5_000, fetchIdleMs: 20_000 },
          ...{ ca: undefined, ranges: 1, atHost: { limit: 100, taken: createHostMemory() } },
          repeats: { attempts: 1, firstDelayMs: 1, mostDelayMs: 1 },
        },
        windowBytes: 1024 * 1024,
        folder,
        bulk: undefined,
        onFetchEnd: () => {},
        log: pino({ level: "silent" }),
      },
      {
        most: MOST,
        start: (options) => {
          started++;
          return startStreaming(options);
        },
      },
    );
  });
  afterEach(async () => {
    await streaming.stop();
    service.closeAllConnections();
    service.close();
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  });

  /** Fetches the image into files with these names. */
  function fetchInto(...names: readonly string[]) {
    const { port } = service.address() as AddressInfo;
    return names.map((name) => {
      const command = ["sh", "-c", 'mkdir -p "$1"; exec cat >"$1/$2"', "sh", folder, name];
      const url = `http://127.0.0.1:${port}/${name}`;
      const hosts = { service: `127.0.0.1:${port}`, sources: [] };
      const target = `tank/images/${name}` as DatasetName;
      return streaming.fetch("tank", { url, hosts, target, command });
    });
  }

  const finish = () => {
    for (const response of halves.splice(0)) response.end(image.subarray(image.length / 2));
  };

  test("have a thread for every two, up to a limit, and each gets its own bytes", async () => {
    const names = Array.from({ length: 8 }, (_, index) => `i${index}`);
    const two = fetchInto(...names.slice(0, 2));
    expect(started).toBe(1);
    const others = fetchInto(...names.slice(2));
    expect(started).toBe(MOST);
    await until("all images are half sent", () => halves.length === names.length);
    expect(streaming.fetches).toBe(names.length);
    expect(streaming.listFetches().map(({ order }) => order.url.slice(-2))).toEqual(names);
    // Each of them has its process, whichever thread runs it.
    const ids = streaming.listFetches().map(({ id }) => id);
    await until("all have one", async () => (await streaming.report()).pids.size === names.length);
    expect([...(await streaming.report()).pids.keys()].sort()).toEqual(ids);
    finish();
    for (const outcome of await Promise.all([...two, ...others]))
      expect(outcome).toMatchObject({ ok: true, value: { receivedBytes: image.length } });
    for (const name of names) expect(readFileSync(join(folder, name)).equals(image)).toBe(true);
    expect(streaming.fetches).toBe(0);
    // The threads stay.
    const again = fetchInto(...names);
    await until("all images are half sent", () => halves.length === names.length);
    finish();
    await Promise.all(again);
    expect(started).toBe(MOST);
  });

  test("fail together if their threads crash, and the next ones work", async () => {
    const all = fetchInto("a", "b", "c", "d", "e");
    await until("all images are half sent", () => halves.length === 5);
    await streaming.crash();
    for (const outcome of await Promise.all(all))
      expect(outcome).toMatchObject({ ok: false, failure: { code: "service.interrupted" } });
    expect(streaming.restarts).toBe(MOST);
    halves = [];
    const [next] = fetchInto("f");
    await until("all images are half sent", () => halves.length === 1);
    finish();
    expect(await next).toMatchObject({ ok: true });
  });

  test("are given up together, in all threads", async () => {
    const all = fetchInto("a", "b", "c", "d", "e");
    await until("all images are half sent", () => halves.length === 5);
    await streaming.abandonFetches("tank");
    for (const outcome of await Promise.all(all))
      expect(outcome).toMatchObject({ ok: false, failure: { code: "service.interrupted" } });
    expect((await streaming.report()).pids.size).toBe(0);
  });
});
