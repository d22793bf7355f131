import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { request as httpRequest } from "node:http";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { listenOnSocket, SOCKET_PEER } from "../../../../src/main/http/unix-socket.js";
import type { HttpReply, HttpRequest, Listener } from "../../../../src/protocol/http/transport.js";
import { until } from "../../../support/until.js";

const LIMITS = {
  bodyBytes: 10_000,
  bodyBytesInFlight: 1_000_000,
  bodyMs: 30_000,
  replyMs: 30_000,
  connections: 10_000,
};

describe("the unix socket", () => {
  let folder = "";
  let path = "";
  const listeners: Listener[] = [];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "is-"));
    path = join(folder, "s");
  });
  afterEach(async () => {
    await Promise.all(listeners.splice(0).map((each) => each.close()));
    rmSync(folder, { recursive: true, force: true });
  });

  async function listen(
    settings: { mode?: string; group?: string } = {},
    handle = (_request: HttpRequest, reply: HttpReply) => reply.send(200, [], reply.peer),
  ): Promise<Listener> {
    const options = { limits: LIMITS, handle, onRefused: () => {} };
    const listener = await listenOnSocket({ path, mode: "0600", ...settings }, options);
    listeners.push(listener);
    return listener;
  }

  /** What is answered there. Rejects with the error of the connection. */
  function ask(): Promise<string> {
    return new Promise((resolve, reject) => {
      const sent = httpRequest({ socketPath: path, path: "/x", agent: false }, (reply) => {
        let text = "";
        reply.on("data", (part: Buffer) => {
          text += part;
        });
        reply.on("end", () => resolve(text));
        reply.on("error", reject);
      });
      sent.on("error", reject);
      sent.end();
    });
  }

  test("is there with its mode and nothing beside it, names its peers, and is gone when it is closed", async () => {
    const listener = await listen({ mode: "660" });
    expect(readdirSync(folder)).toEqual(["s"]);
    expect(statSync(path).mode & 0o777).toBe(0o660);
    expect(await ask()).toBe(SOCKET_PEER);
    await listener.close();
    expect(readdirSync(folder)).toEqual([]);
  });

  test("belongs to the group that is named, or given by its number", async () => {
    const { gid } = statSync(folder);
    await listen({ group: String(gid) });
    expect(statSync(path).gid).toBe(gid);
    await listeners.splice(0)[0]?.close();
    await expect(listen({ group: "no-such-group" })).rejects.toThrow("/etc/group has no group no-such-group");
    expect(readdirSync(folder)).toEqual([]);
    if (process.getuid?.() !== 0) return console.log("not as root: another group is not tried");
    await listen({ group: "daemon" });
    expect(statSync(path).gid).toBe(1);
  });

  test("replaces what a dead daemon has left", async () => {
    const dead = createServer();
    await new Promise<void>((resolve) => dead.listen(join(folder, "d"), resolve));
    renameSync(join(folder, "d"), path);
    await new Promise((resolve) => dead.close(resolve));
    await expect(ask()).rejects.toMatchObject({ code: "ECONNREFUSED" });
    await listen();
    expect(await ask()).toBe(SOCKET_PEER);
  });

  test("is refused where another answers, and takes nothing from it", async () => {
    await listen();
    await expect(listen()).rejects.toMatchObject({ code: "EADDRINUSE" });
    expect(await ask()).toBe(SOCKET_PEER);
    expect(readdirSync(folder)).toEqual(["s"]);
  });

  test.each([
    ["a file", () => writeFileSync(path, "data")],
    ["a folder", () => mkdirSync(path)],
    ["a link", () => symlinkSync("/nowhere", path)],
  ])("is refused where %s is, which stays", async (_what, make) => {
    make();
    const before = statSync(folder).mtimeMs;
    await expect(listen()).rejects.toMatchObject({ code: "EEXIST" });
    expect(statSync(folder).mtimeMs).toBe(before);
  });

  test("is refused where its folder is missing", async () => {
    path = join(folder, "none/s");
    await expect(listen()).rejects.toMatchObject({ code: "ENOENT" });
  });

  test("leaves the socket of a daemon that has come after it", async () => {
    const first = await listen();
    rmSync(path);
    await listen();
    await first.close();
    expect(existsSync(path)).toBe(true);
    expect(await ask()).toBe(SOCKET_PEER);
  });

  test("has an end of a stream that is cut, and learns that a client has gone", async () => {
    const gone: string[] = [];
    await listen({}, (request, reply) => {
      reply.onDisconnect(() => gone.push(reply.peer));
      const source = { available: 0, peek: () => new Uint8Array(0), take: () => {} };
      const sink = reply.stream(200, [], source, () => {});
      if (request.path === "/x") setImmediate(() => sink.reset());
    });
    await expect(ask()).rejects.toThrow();
    expect(gone).toEqual([SOCKET_PEER]);
    const client = connect(path);
    client.write("GET /stays HTTP/1.1\r\nHost: a\r\n\r\n");
    await new Promise((resolve) => client.once("connect", resolve));
    client.destroy();
    await until("the second client is missed", () => gone.length === 2, 5_000);
  });
});
