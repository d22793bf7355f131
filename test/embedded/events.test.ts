import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type DaemonProcess, startDaemonProcess } from "../support/daemon.js";
import { type EventFrame, readFrames, type TestEvent } from "../support/event-client.js";
import { secretOf, writeTokens } from "../support/token-file.js";
import { transportNames } from "../support/transports.js";
import { until } from "../support/until.js";

const TOKENS = {
  all: { role: "admin" },
  reads: { role: "read" },
  team: { role: "operate", names: ["guests/team-*"] },
  otherPool: { role: "admin", pools: ["other"] },
} as const;
type TokenName = keyof typeof TOKENS;

describe.each(transportNames)("events (%s)", (transport) => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  const config = {
    listen: { port: 0, transport },
    dataDir: join(folder, "data"),
    auth: { tokens: join(folder, "tokens.json") },
    pools: [{ name: "tank", driver: "embedded", folder: join(folder, "pool") }],
  };
  let daemon: DaemonProcess;
  const children: ChildProcess[] = [];

  beforeAll(async () => {
    writeTokens(config.auth.tokens, TOKENS);
    daemon = await startDaemonProcess(config);
  });
  afterAll(async () => {
    for (const child of children) child.kill();
    await daemon.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const authorization = (token: TokenName) => `Bearer ${secretOf(token)}`;

  async function must(token: TokenName, method: string, params: object): Promise<void> {
    const response = await fetch(`${daemon.url}/rpc`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: authorization(token) },
      body: JSON.stringify({ jsonrpc: "2.0", method, params, id: 1 }),
    });
    const { error } = (await response.json()) as { error?: { message: string } };
    if (error) throw new Error(`${method}: ${error.message}`);
  }

  /** Runs curl, as an operator does, until it is ended or the daemon ends the stream. */
  async function follow(token: TokenName, query = "", ...words: string[]) {
    const headers = ["-H", `Authorization: ${authorization(token)}`];
    const child = spawn("curl", ["-sN", `${daemon.url}/events${query}`, ...headers, ...words]);
    children.push(child);
    let text = "";
    child.stdout.on("data", (chunk: Buffer) => {
      text += chunk.toString();
    });
    let isOver = false;
    child.once("close", () => {
      isOver = true;
    });
    const frames = (): EventFrame[] => readFrames(text);
    await until("it has subscribed", () => frames().length > 0);
    const events = () =>
      frames().flatMap(({ id, data }) => (id && "seq" in Object(data) ? [data as TestEvent] : []));
    const told = () =>
      events().flatMap(({ topic, action, id }) => (topic ? [`${topic} ${action} ${id}`] : []));
    return { frames, events, told, isOver: () => isOver };
  }

  test("curl shows what calls change, who did it, and the download of a snapshot", async () => {
    const { told, events, frames } = await follow("reads", "?topics=volume,snapshot,download");
    await must("all", "CreateVolume", { id: "guests/one/disk-0", size: 8 });
    await must("all", "CreateSnapshot", { id: "guests/one", dest: "s", recursive: true });
    const headers = { authorization: authorization("reads"), "x-request-id": "download-1" };
    await (await fetch(`${daemon.url}/snapshots/download?id=guests/one/disk-0@s`, { headers })).arrayBuffer();
    await must("all", "RollbackSnapshot", { id: "guests/one/disk-0@s" });
    await must("all", "DeleteDataset", { id: "guests/one" });
    const due = [
      "volume created tank/guests/one/disk-0",
      "snapshot created tank/guests/one@s",
      "snapshot created tank/guests/one/disk-0@s",
      "download started tank/guests/one/disk-0@s",
      "download ended tank/guests/one/disk-0@s",
      "snapshot rolled-back tank/guests/one/disk-0@s",
      "volume deleted tank/guests/one",
    ];
    await until("all have come", () => told().length >= due.length);
    expect(told()).toEqual(due);
    const [, created, , , started, ended] = events();
    expect(created).toMatchObject({ caller: "all", pool: "tank" });
    expect(started).toMatchObject({ caller: "reads", requestId: "download-1" });
    expect(ended?.failure).toBeUndefined();
    const [first, ...others] = frames();
    expect(first).toMatchObject({ name: "subscribed", data: { complete: true } });
    for (const { id, name, data } of others) {
      const { epoch, seq, topic } = data as TestEvent;
      expect([id, name]).toEqual([`${epoch}:${seq}`, topic]);
    }
  });

  test("a token that is narrowed is told of what is its own, and of no other", async () => {
    const [team, otherPool, snapshots] = [
      await follow("team"),
      await follow("otherPool"),
      await follow("all", "?topics=snapshot"),
    ];
    await must("all", "CreateGuestDisks", { guest: { id: "other-1", disks: [{ size: 8 }] } });
    await must("team", "CreateGuestDisks", { guest: { id: "team-1", disks: [{ size: 8 }] } });
    await must("all", "CreateSnapshot", { id: "guests", dest: "all", recursive: true });
    await must("all", "DeleteGuestsDisks", { guest: { id: "team-1" } });
    await until("the last has come", () => team.told().includes("guest deleted tank/guests/team-1"));
    expect(team.told()).toEqual([
      "guest created tank/guests/team-1",
      "volume created tank/guests/team-1/disk-0",
      "snapshot created tank/guests/team-1@all",
      "snapshot created tank/guests/team-1/disk-0@all",
      "guest deleted tank/guests/team-1",
    ]);
    await until("they have come", () => snapshots.told().length === 5);
    expect(snapshots.told().every((each) => each.startsWith("snapshot created"))).toBe(true);
    expect(otherPool.told()).toEqual([]);
  });

  test("nobody without a token, and no page of another site, is told anything", async () => {
    const ask = async (headers: Record<string, string>, path = "/events") => {
      const response = await fetch(`${daemon.url}${path}`, { headers, signal: AbortSignal.timeout(10_000) });
      await response.body?.cancel();
      return response.status;
    };
    expect(await ask({})).toBe(401);
    expect(await ask({ authorization: "Bearer secret-nobody" })).toBe(401);
    expect(await ask({ authorization: authorization("all"), origin: "http://evil.example" })).toBe(403);
    expect(await ask({ authorization: authorization("reads") }, "/events?topics=none")).toBe(400);
    expect(await ask({ authorization: authorization("reads") })).toBe(200);
  });

  test("who comes back gets what it has missed, and is told after a restart that some may be lost", async () => {
    const before = await follow("reads");
    await must("all", "CreateVolume", { id: "guests/two/disk-0", size: 8 });
    await until("it has come", () => before.told().length === 1);
    const place = before.frames().at(-1)?.id ?? "";
    await must("all", "DeleteDataset", { id: "guests/two" });
    const resumed = await follow("reads", `?since=${place}`);
    await until("what was missed has come", () => resumed.told().length === 1);
    expect(resumed.told()).toEqual(["volume deleted tank/guests/two"]);
    expect(resumed.frames()[0]).toMatchObject({ id: place, data: { complete: true } });

    expect(await daemon.stop()).toBe(0);
    await until("the streams have ended", () => before.isOver() && resumed.isOver());
    expect(before.frames().at(-1)).toMatchObject({ name: "end", data: { reason: "stopping" } });
    daemon = await startDaemonProcess(config);
    const later = await follow("reads", "", "-H", `Last-Event-ID: ${place}`);
    expect(later.frames()[0]).toMatchObject({ data: { complete: false } });
  });
});
