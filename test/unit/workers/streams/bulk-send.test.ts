import { readdirSync, readFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { BulkEnd } from "../../../../src/protocol/threads/bulk-contract.js";
import { createChildMemory, createChildTable } from "../../../../src/protocol/threads/child-table.js";
import { createPace, type Pace } from "../../../../src/protocol/threads/pace.js";
import { startBulkSend } from "../../../../src/workers/streams/bulk-send.js";
import { createBulkWatch } from "../../../../src/workers/streams/bulk-watch.js";
import { connectionKey } from "../../../../src/workers/streams/connection-table.js";
import type { ResetGuard } from "../../../../src/workers/streams/reset-guard.js";
import { countSentBytes } from "../../../../src/workers/streams/sent-bytes.js";
import { compiled } from "../../../support/in-process.js";
import { childrenOf } from "../../../support/processes.js";
import { hasSs } from "../../../support/socket-statistics.js";
import { isAlive, turn, until } from "../../../support/until.js";

const HEAD = "HTTP/1.1 200 OK\r\n\r\n";
const REQUEST = "GET / HTTP/1.1\r\n\r\n";
const MIB = 1024 * 1024;

interface Sent {
  readonly client: Socket;
  readonly own: Socket;
  /** What the client has got. */
  received(): number;
  end(): BulkEnd | undefined;
  written(): number | undefined;
  bytes(): number | undefined;
  readonly events: readonly string[];
  cancel(): void;
  pid(): number | undefined;
}

type GuardModule = typeof import("../../../../src/workers/streams/reset-guard.js");

let guard: ResetGuard;
beforeAll(async () => {
  const { createResetGuard } = await compiled<GuardModule>("workers/streams/reset-guard.js");
  guard = createResetGuard(createChildTable(createChildMemory()));
});
afterAll(() => guard.stop());

/** The process that runs the sends. */
const guardProcess = () => childrenOf(process.pid, "reset-process.js")[0] as number;

/** Sends by `command` to a client that has asked for it. Its connection is not guarded: nothing here tests resets. */
async function send(command: readonly string[], stalledReaderMs = 60_000, pace?: Pace): Promise<Sent> {
  const server = createServer({ allowHalfOpen: true });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const accepted = new Promise<Socket>((resolve) => server.once("connection", resolve));
  const address = server.address();
  const client = connect(typeof address === "object" && address ? address.port : 0, "127.0.0.1");
  client.on("error", () => {});
  client.write(REQUEST);
  const own = await accepted;
  await new Promise((resolve) => own.once("data", resolve));
  own.removeAllListeners("data");
  const key = connectionKey(own);
  if (!key) throw new Error("the socket is connected");
  let received = 0;
  client.on("data", (chunk) => {
    received += chunk.length;
  });
  const watch = createBulkWatch(stalledReaderMs);
  const events: string[] = [];
  let bytes: number | undefined;
  let ended: { end: BulkEnd; written: number | undefined } | undefined;
  const running = startBulkSend({
    socket: own,
    key,
    head: HEAD,
    command,
    pace,
    children: createChildTable(createChildMemory()),
    guard: {
      start: guard.start,
      environment: {},
      endWithUs: () => {
        events.push("guarded");
        return () => void events.push("released");
      },
      countSent: countSentBytes,
    },
    watch,
    stalledReaderMs,
    onBegun: () => void events.push("begun"),
    onProgress: () => {},
    onWritten: (counted) => {
      bytes = counted;
      events.push("written");
    },
    onEnd: (end, written) => {
      ended = { end, written };
      events.push("ended");
    },
  });
  onTestFinished(() => {
    client.destroy();
    own.destroy();
    watch.stop();
    server.close();
  });
  return {
    client,
    own,
    received: () => received,
    end: () => ended?.end,
    written: () => ended?.written,
    bytes: () => bytes,
    events,
    cancel: running.cancel,
    pid: () => running.pid,
  };
}

/** The processes of a group that run. */
function membersOf(group: number | undefined): readonly string[] {
  return readdirSync("/proc").filter((name) => {
    if (!/^\d+$/.test(name) || !isAlive(Number(name))) return false;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "latin1");
      return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[2]) === group;
    } catch {
      return false;
    }
  });
}

describe("a command that writes to a client's connection by itself", () => {
  test("gives the client every byte, of which Node neither reads nor writes one", async () => {
    const bytes = 32 * MIB;
    const sent = await send(["head", "-c", String(bytes), "/dev/zero"]);
    await until("the client has the end", () => sent.client.readableEnded);
    await until("it has ended", () => sent.end() !== undefined);
    expect(sent.end()).toEqual({ kind: "complete" });
    expect(sent.received()).toBe(HEAD.length + bytes);
    expect(sent.own.bytesWritten).toBe(HEAD.length);
    expect(sent.own.bytesRead).toBe(REQUEST.length);
    // The kernel counts what libuv writes between fork and exec too.
    expect(sent.written()).toBeGreaterThanOrEqual(bytes);
    expect(sent.written()).toBeLessThan(bytes + 64);
    expect(sent.bytes()).toBe(hasSs() ? bytes : undefined);
    expect(sent.events).toEqual(["begun", "written", "ended"]);
  });

  test("that fails ends with what it says, and one that can't be started with why", async () => {
    const failing = await send(["sh", "-c", "echo 'cannot send: no such pool' >&2; exit 1"]);
    await until("it has ended", () => failing.end() !== undefined);
    expect(failing.end()).toMatchObject({ kind: "failed", failure: { code: "dataset.not_found" } });
    const missing = await send(["/no/such/program"]);
    await until("it has ended", () => missing.end() !== undefined);
    expect(missing.end()).toMatchObject({ kind: "failed", failure: { code: "command.missing" } });
    expect(missing.events).not.toContain("written");
  });

  test("ends when its client goes, also while it is silent, and with it all that it has started", async () => {
    const sent = await send(["sh", "-c", "sleep 600 & wait"]);
    await until("it runs", () => sent.pid() !== undefined && sent.received() > 0);
    const group = sent.pid();
    await until("it has started another", () => membersOf(group).length === 2);
    sent.client.destroy();
    await until("it has ended", () => sent.end() !== undefined, 5_000);
    expect(sent.end()).toEqual({ kind: "gone" });
    await until("nothing of it is left", () => membersOf(group).length === 0, 5_000);
  });

  test("is a child of the reset process, and not of this one", async () => {
    const sent = await send(["sleep", "600"]);
    await until("it runs", () => sent.pid() !== undefined);
    expect(childrenOf(guardProcess(), "sleep 600")).toEqual([sent.pid()]);
    sent.cancel();
    await until("it has ended", () => sent.end() !== undefined);
  });

  test("ends with the process that runs it, and the next one is run by another", async () => {
    const sent = await send(["sleep", "600"]);
    await until("it runs", () => sent.pid() !== undefined);
    const pid = sent.pid() as number;
    process.kill(guardProcess(), "SIGKILL");
    await until("it has ended", () => sent.end() !== undefined);
    expect(sent.end()).toMatchObject({ kind: "failed", failure: { code: "service.interrupted" } });
    await until("nothing of it is left", () => !isAlive(pid), 5_000);
    const next = await send(["echo", "whole"]);
    await until("it has ended", () => next.end() !== undefined);
    expect(next.end()).toEqual({ kind: "complete" });
  });

  test("fails if the process that is to run it hangs, and does not run later", async () => {
    const hung = guardProcess();
    process.kill(hung, "SIGSTOP");
    const sent = await send(["sh", "-c", "echo late; sleep 600"]);
    await until("it has ended", () => sent.end() !== undefined);
    expect(sent.end()).toMatchObject({ kind: "failed", failure: { code: "service.interrupted" } });
    expect(isAlive(hung)).toBe(false);
    expect(sent.received()).toBe(HEAD.length);
  });

  test("ends if the process that runs it hangs meanwhile", async () => {
    const sent = await send(["sleep", "600"]);
    await until("it runs", () => sent.pid() !== undefined);
    const pid = sent.pid() as number;
    process.kill(guardProcess(), "SIGSTOP");
    await until("it has ended", () => sent.end() !== undefined, 40_000);
    expect(sent.end()).toMatchObject({ kind: "failed", failure: { code: "service.interrupted" } });
    await until("nothing of it is left", () => !isAlive(pid), 5_000);
  });

  test("ends when it is cancelled, even if it takes no SIGTERM", async () => {
    const sent = await send(["sh", "-c", "trap '' TERM; sleep 600"]);
    await until("it runs", () => sent.received() > 0);
    sent.cancel();
    await until("it has ended", () => sent.end() !== undefined, 10_000);
    sent.cancel();
    await turn();
    expect(sent.events.filter((event) => event === "ended")).toHaveLength(1);
  });

  test("ends at the first byte that the client sends, however many come", async () => {
    const sent = await send(["sleep", "600"]);
    await until("it runs", () => sent.received() > 0);
    // Exactly what libuv reads at once. It would read again, and the socket is a blocking one by now.
    sent.client.write(Buffer.alloc(65_536));
    await until("it has ended", () => sent.end() !== undefined, 5_000);
    expect(sent.end()).toEqual({ kind: "gone" });
  });

  test("ends when its client takes nothing, and not while it has nothing to give", async () => {
    const silent = await send(["sh", "-c", "sleep 1; echo late"], 300);
    await until("it has ended", () => silent.end() !== undefined);
    expect(silent.end()).toEqual({ kind: "complete" });
    const stalled = await send(["cat", "/dev/zero"], 300);
    stalled.client.pause();
    await until("it has ended", () => stalled.end() !== undefined);
    expect(stalled.end()).toEqual({ kind: "stalled" });
    expect(stalled.written()).toBeGreaterThan(0);
  });

  test("with a pace takes no less time than that says, is whole, and its length is known", async () => {
    const startedAt = performance.now();
    const sent = await send(["head", "-c", String(3 * MIB), "/dev/zero"], 60_000, createPace(2 * MIB));
    await until("it has ended", () => sent.end() !== undefined);
    expect(sent.end()).toEqual({ kind: "complete" });
    expect(sent.received() - HEAD.length).toBe(3 * MIB);
    expect(sent.bytes()).toBe(3 * MIB);
    expect(sent.written()).toBeGreaterThanOrEqual(3 * MIB);
    expect(sent.events).toEqual(["guarded", "begun", "released", "written", "ended"]);
    // The last of it is not waited for: at most what a pipe gives at once.
    expect(performance.now() - startedAt).toBeGreaterThan(1_400);
  });

  test("with a pace fails as its command does, ends with its client, and ends one that takes nothing", async () => {
    const failed = await send(["sh", "-c", "echo x; exit 3"], 60_000, createPace(MIB));
    await until("it has ended", () => failed.end() !== undefined);
    expect(failed.end()).toMatchObject({ kind: "failed", failure: { code: "command.failed" } });
    const left = await send(["cat", "/dev/zero"], 60_000, createPace(MIB));
    await until("it runs", () => left.received() > 100_000);
    left.client.destroy();
    await until("it has ended", () => left.end() !== undefined, 10_000);
    expect(left.end()).toEqual({ kind: "gone" });
    const stalled = await send(["cat", "/dev/zero"], 1_500, createPace(1024 * MIB));
    stalled.client.pause();
    await until("it has ended", () => stalled.end() !== undefined);
    expect(stalled.end()).toEqual({ kind: "stalled" });
  });

  test("is waited for by a client that takes the last bytes late, and not by one that takes none", async () => {
    // All of it fits into the sockets, so the command ends at once.
    const late = await send(["head", "-c", "100000", "/dev/zero"], 2_000);
    late.client.pause();
    await until("it is written", () => late.events.includes("written"));
    late.client.resume();
    await until("it has ended", () => late.end() !== undefined);
    expect(late.end()).toEqual({ kind: "complete" });
    const never = await send(["head", "-c", String(3 * MIB), "/dev/zero"], 500);
    never.client.pause();
    await until("it has ended", () => never.end() !== undefined);
    expect(never.end()?.kind).toMatch(/^(?:stalled|complete)$/);
  });
});
