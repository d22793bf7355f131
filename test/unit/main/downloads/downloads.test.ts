import { describe, expect, test } from "vitest";
import { ANYONE } from "../../../../src/main/access/caller.js";
import { createDownloads } from "../../../../src/main/downloads/downloads.js";
import type { SendListener, StreamingHandle } from "../../../../src/main/downloads/streaming-handle.js";
import type { Actor } from "../../../../src/main/pools/actor-handle.js";
import type { HttpReply } from "../../../../src/protocol/http/transport.js";
import { fail, failed, type Outcome, succeed } from "../../../../src/protocol/storage/failures.js";
import type { PoolName } from "../../../../src/protocol/storage/names.js";
import type { Operation } from "../../../../src/protocol/storage/operations.js";
import { downloadRequest } from "../../../support/download-request.js";
import { until } from "../../../support/until.js";

const POOL = "tank" as PoolName;

/** A client that takes no byte and stays. */
const reply = {
  isDisconnected: false,
  onDisconnect: () => {},
  send: () => {},
} as unknown as HttpReply;

/** Downloads of an actor whose releases are answered by `release`. */
function start(release: () => Outcome<null>) {
  let releases = 0;
  const actor = {
    pool: POOL,
    state: "restarting",
    call: async (operation: Operation) =>
      operation.op === "OpenSend"
        ? succeed({ name: "tank/v@s", tag: "t", command: ["zfs"] })
        : failed.interrupted,
    callAlways: async () => {
      releases++;
      return release();
    },
  } as unknown as Actor;
  const streaming = {
    send: (_command: readonly string[], listener: SendListener) => ({
      poll: () => 0,
      view: () => new Uint8Array(),
      release: () => {},
      cancel: () => setImmediate(() => listener.onEnd(failed.interrupted.failure)),
      close: () => {},
    }),
  } as unknown as StreamingHandle;
  const downloads = createDownloads({
    pools: [POOL],
    streaming,
    maxDownloads: 1,
    bodyBytes: 1_000,
    windowBytes: 65_536,
    bulkPort: undefined,
    stalledReaderMs: 60_000,
    actorOf: () => actor,
    onBytes: () => {},
    report: () => {},
    jobs: { begin: () => ({ id: "", onCancel: () => {}, end: () => {} }) },
    onChange: () => {},
  });
  return { downloads, releases: () => releases };
}

describe("the hold of a download", () => {
  test("is tried to be released once during a stop, which the pauses between tries don't delay", async () => {
    const { downloads, releases } = start(() => failed.interrupted);
    downloads.handle(downloadRequest, reply, ANYONE);
    await until("it runs", () => downloads.active === 1);
    const startedAt = performance.now();
    await downloads.endAll();
    expect(performance.now() - startedAt).toBeLessThan(900);
    expect(releases()).toBe(1);
    expect(downloads.active).toBe(0);
  });

  test("is released though the first try fails for good, and until then its tag is live", async () => {
    let fails = true;
    const { downloads, releases } = start(() =>
      fails ? fail("command.failed", "no space on the device") : succeed(null),
    );
    downloads.handle(downloadRequest, { ...reply, isDisconnected: true }, ANYONE);
    await until("the first try has failed", () => releases() === 1 && downloads.active === 0);
    expect(downloads.liveTags(POOL)).toEqual(["t"]);
    downloads.handle(downloadRequest, { ...reply, isDisconnected: true }, ANYONE);
    await until("it keeps no other download away", () => releases() === 2);
    fails = false;
    await until("both are released", () => downloads.liveTags(POOL).length === 0);
    expect(releases()).toBe(4);
  });

  test("is released before a stop has ended", async () => {
    const { downloads, releases } = start(() => succeed(null));
    downloads.handle(downloadRequest, reply, ANYONE);
    await until("it runs", () => downloads.active === 1);
    expect(downloads.liveTags(POOL)).toEqual(["t"]);
    await downloads.endAll();
    expect([releases(), downloads.liveTags(POOL)]).toEqual([1, []]);
  });
});
