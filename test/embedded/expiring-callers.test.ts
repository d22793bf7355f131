import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { type Agent, type IncomingMessage, Agent as PlainAgent, request as requestPlain } from "node:http";
import { request as requestTls, Agent as TlsAgent } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text as textOf } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, expect, test } from "vitest";
import { WebSocket } from "ws";
import { createTestCa, issueForHost } from "../support/certificates.js";
import { startDaemonProcess } from "../support/daemon.js";
import { secretOf, writeTokens } from "../support/token-file.js";
import { transportNames } from "../support/transports.js";
import { until } from "../support/until.js";

/** Long enough to open all on a busy machine. What is open is looked at each 15 s. */
const VALID_MS = 25_000;
const DISK_MIB = 32;
const LIMIT_MS = 60_000;
/** How often is called on the connection that stays open. */
const CALL_MS = 250;

const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
const ca = createTestCa();
afterAll(() => {
  ca.remove();
  rmSync(folder, { recursive: true, force: true });
});

/** How a caller reaches a daemon, and shows who it is. */
interface Way {
  readonly name: string;
  readonly url: string;
  readonly headers?: Record<string, string>;
  readonly tls?: { readonly ca: Buffer; readonly cert?: Buffer; readonly key?: Buffer };
}

/** Sends a request. Resolves with the head of its reply. */
function send({ url, headers, tls }: Way, path: string, agent: Agent | false, body?: string) {
  const options = { method: body ? "POST" : "GET", agent, ...tls };
  const type = { "content-type": "application/json" };
  return new Promise<IncomingMessage>((resolve, reject) => {
    const request = tls ? requestTls : requestPlain;
    const sent = request(`${url}${path}`, { ...options, headers: { ...type, ...headers } }, resolve);
    sent.on("error", reject);
    sent.end(body);
  });
}

const LIST = JSON.stringify({ jsonrpc: "2.0", method: "ListVolumes", id: 1 });

/** All that a caller may have open when its time is over. */
async function openAll(way: Way) {
  const agent: Agent = way.tls
    ? new TlsAgent({ keepAlive: true, maxSockets: 1 })
    : new PlainAgent({ keepAlive: true, maxSockets: 1 });
  const call = async () => {
    const reply = await send(way, "/rpc", agent, LIST);
    // Once it is read, its connection is the next one's.
    const { localPort } = reply.socket;
    return { status: reply.statusCode, text: await textOf(reply), localPort };
  };
  const openSocket = async (messages: readonly object[]) => {
    const socket = new WebSocket(`${way.url.replace("http", "ws")}/rpc`, {
      headers: way.headers,
      ...way.tls,
    });
    const texts: string[] = [];
    const closed: { code?: number; reason?: string } = {};
    socket.on("message", (data) => texts.push(String(data)));
    socket.on("close", (code, reason) => Object.assign(closed, { code, reason: String(reason) }));
    await once(socket, "open");
    for (const message of messages) socket.send(JSON.stringify(message));
    await until("all are answered", () => texts.length === messages.length);
    return { socket, texts, closed };
  };
  const download = await send(way, "/snapshots/download?id=v@s", false);
  const events = await send(way, "/events", false);
  let told = "";
  events.on("data", (chunk: Buffer) => {
    told += chunk.toString();
  });
  const first = await call();
  const asking = await openSocket([{ jsonrpc: "2.0", method: "ListVolumes", id: 1 }]);
  const listening = await openSocket([{ jsonrpc: "2.0", method: "Subscribe", id: 1 }]);
  expect({
    way: way.name,
    statuses: [first.status, download.statusCode, events.statusCode],
    isAnswered: [first.text, ...asking.texts].map((text) => text.includes("tank/v")),
    isSubscribed: listening.texts[0]?.includes("epoch"),
  }).toEqual({ way: way.name, statuses: [200, 200, 200], isAnswered: [true, true], isSubscribed: true });
  /** The last answer and the refusal after it. Servers end connections on which nothing comes, so it calls all the time. */
  async function callUntilRefused() {
    let last = first;
    for (let reply = first; ; reply = await call()) {
      if (reply.status !== 200) return { last, reply };
      last = reply;
      await sleep(CALL_MS);
    }
  }
  const refused = callUntilRefused();
  const close = () => {
    for (const { socket } of [asking, listening]) socket.terminate();
    for (const reply of [download, events]) reply.destroy();
    agent.destroy();
  };
  return { way, refused, download, events, told: () => told, asking, listening, close };
}

/** After its time: what is asked next is refused, what only listens is ended, and what was begun ends whole. */
async function expectEnd(opened: Awaited<ReturnType<typeof openAll>>, words: string): Promise<void> {
  const { way, refused, download, events, told, asking, listening } = opened;
  const { last, reply } = await refused;
  // On the connection on which it was answered before.
  const expected = { status: 401, text: expect.stringContaining(words), localPort: last.localPort };
  expect({ way: way.name, ...reply }).toEqual({ way: way.name, ...expected });
  asking.socket.send(JSON.stringify({ jsonrpc: "2.0", method: "ListVolumes", id: 2 }));
  const isClosed = () => [asking, listening].every(({ closed }) => closed.code !== undefined);
  await until("both WebSockets are closed", isClosed, LIMIT_MS);
  expect([asking.closed.code, asking.texts.length, listening.closed.code]).toEqual([4001, 1, 4001]);
  expect(listening.closed.reason).toContain("has expired");
  await until("the events have ended", () => events.complete, LIMIT_MS);
  expect(told()).toMatch(/event: end\ndata: \{"reason":"revoked","message":".*has expired/);
  let bytes = 0;
  for await (const chunk of download) bytes += (chunk as Buffer).length;
  expect([download.complete, bytes > DISK_MIB * 2 ** 20]).toEqual([true, true]);
  const late = await send(way, "/snapshots/download?id=v@s", false);
  late.resume();
  expect(late.statusCode).toBe(401);
}

/** Makes a snapshot `v@s` of more than what sockets and the daemon hold of a download. */
async function makeSnapshot(way: Way): Promise<void> {
  const ask = async (method: string, params: object) => {
    const body = JSON.stringify({ jsonrpc: "2.0", method, params, id: 1 });
    return JSON.parse(await textOf(await send(way, "/rpc", false, body)));
  };
  const { result } = await ask("CreateVolume", { id: "v", size: DISK_MIB });
  await using disk = await open(result.volumes[0].device, "r+");
  await disk.write(randomBytes(DISK_MIB * 2 ** 20));
  await ask("CreateSnapshot", { id: "v", dest: "s" });
}

function startDaemon(name: string, config: { readonly listen: object; readonly auth: object }) {
  return startDaemonProcess({
    ...config,
    dataDir: join(folder, `${name}-data`),
    pools: [{ name: "tank", driver: "embedded", folder: join(folder, name) }],
    timeouts: { stalledReaderMs: 300_000 },
    imageService: "127.0.0.1:1",
    log: { level: "fatal" },
  });
}

const pastTime = (ms: number) => until("its time is over", () => Date.now() > ms, VALID_MS + LIMIT_MS);

test.concurrent.each(transportNames)(
  "a token that expires ends what is open, by TLS and without (%s)",
  async (transport) => {
    const file = join(folder, `${transport}-tokens.json`);
    const granted = { maker: { role: "admin" }, brief: { role: "read" } };
    writeTokens(file, granted);
    const tls = { port: 0, ...issueForHost(ca, transport) };
    const daemon = await startDaemon(transport, {
      listen: { port: 0, transport, tls },
      auth: { tokens: file },
    });
    try {
      const bearer = (token: string) => ({ authorization: `Bearer ${secretOf(token)}` });
      await makeSnapshot({ name: "maker", url: daemon.url, headers: bearer("maker") });
      const expires = Date.now() + VALID_MS;
      const brief = { ...granted.brief, expires: new Date(expires).toISOString() };
      writeTokens(file, { ...granted, late: { role: "read" }, brief });
      const asLate = { name: "late", url: daemon.url, headers: bearer("late") };
      await until("the file is read", async () => {
        const reply = await send(asLate, "/whoami", false);
        reply.resume();
        return reply.statusCode === 200;
      });
      const headers = bearer("brief");
      const opened = await Promise.all([
        openAll({ name: "plain", url: daemon.url, headers }),
        openAll({ name: "tls", url: daemon.tlsUrl, headers, tls: { ca: readFileSync(ca.file) } }),
      ]);
      await pastTime(expires);
      await Promise.all(opened.map((each) => expectEnd(each, "the token has expired")));
      for (const each of opened) each.close();
    } finally {
      await daemon.stop();
    }
  },
);

test.concurrent("a certificate that expires ends what is open", async () => {
  const tls = { port: 0, ...issueForHost(ca, "for-certificates"), clientCa: ca.file };
  const certificates = [{ subject: "CN=brief", role: "read" }];
  const daemon = await startDaemon("certificates", { listen: { port: 0, tls }, auth: { certificates } });
  try {
    await makeSnapshot({ name: "plain", url: daemon.url });
    const expires = Date.now() + VALID_MS;
    const { cert, key } = ca.issue("brief", { subject: "/CN=brief", days: VALID_MS / 86_400_000 });
    const shown = { ca: readFileSync(ca.file), cert: readFileSync(cert), key: readFileSync(key) };
    const opened = await openAll({ name: "certificate", url: daemon.tlsUrl, tls: shown });
    // openssl may have been slow, and has whole seconds.
    await pastTime(expires + LIMIT_MS / 10);
    await expectEnd(opened, "it has expired");
    opened.close();
  } finally {
    await daemon.stop();
  }
});
