import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Agent, request } from "undici";
import { afterEach, describe, expect, test } from "vitest";
import { type DaemonProcess, startDaemonProcess } from "../support/daemon.js";
import { transportNames } from "../support/transports.js";
import { until } from "../support/until.js";

const MIB = 1_048_576;
const BODIES = 600;
const PEERS = 300;

const open: { folder: string; daemon?: DaemonProcess; sockets: Socket[] } = { folder: "", sockets: [] };
afterEach(async () => {
  for (const socket of open.sockets) socket.destroy();
  open.sockets = [];
  expect(await open.daemon?.stop()).toBe(0);
  rmSync(open.folder, { recursive: true, force: true });
});

async function start(settings: object, descriptors?: number): Promise<DaemonProcess> {
  open.folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  open.daemon = await startDaemonProcess(
    {
      listen: { port: 0 },
      pools: [{ name: "tank", driver: "embedded", folder: join(open.folder, "pool") }],
      dataDir: join(open.folder, "records"),
      ...settings,
    },
    {},
    [],
    descriptors,
  );
  return open.daemon;
}

/** A connection whose text is gathered. */
function peer({ url }: DaemonProcess): { socket: Socket; text: () => string } {
  const socket = connect({ host: "127.0.0.1", port: Number(new URL(url).port) });
  let text = "";
  socket.on("data", (chunk) => {
    text += chunk.toString("latin1");
  });
  socket.on("error", () => {});
  open.sockets.push(socket);
  return { socket, text: () => text };
}

const rss = ({ pid }: DaemonProcess) => {
  const [, kib = "0"] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kib) * 1024;
};

describe.each(transportNames)("a daemon with the transport %s", (transport) => {
  test(`${BODIES} bodies that never end keep no memory, and are ended by the daemon`, async () => {
    const daemon = await start({ listen: { port: 0, transport }, timeouts: { bodyMs: 4_000 } });
    const before = rss(daemon);
    const nearly = Buffer.alloc(MIB - 1_000, " ");
    const peers = Array.from({ length: BODIES }, () => peer(daemon));
    for (const { socket } of peers) {
      socket.write(
        `POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${MIB}\r\n\r\n`,
      );
      socket.write(nearly);
    }
    let highest = before;
    const trickle = setInterval(() => {
      highest = Math.max(highest, rss(daemon));
      for (const { socket } of peers) if (socket.writable) socket.write(" ");
    }, 200);
    await until("all are ended", () => peers.every(({ socket }) => socket.destroyed), 40_000);
    clearInterval(trickle);
    // What is sent while the daemon closes can cost a client its answer.
    const answered = peers.filter(({ text }) => text().includes("timeouts.bodyMs (4000 ms)"));
    expect(answered.length).toBeGreaterThan(0);
    process.stderr.write(
      `${transport}: ${BODIES} bodies of 1 MiB made RSS grow by ${Math.round((highest - before) / MIB)} MiB, ${answered.length} were told why they ended\n`,
    );
    expect(highest - before).toBeLessThan(300 * MIB);
    expect((await fetch(`${daemon.url}/healthz`)).status).toBe(200);
  });
});

test(`with 256 descriptors and ${PEERS} idle peers the daemon's own work goes on`, async () => {
  const daemon = await start({ log: { level: "info" } }, 256);
  const agent = new Agent({ connections: 2, pipelining: 1 });
  const ask = async (method: string, params: object) => {
    const { body } = await request(`${daemon.url}/rpc`, {
      method: "POST",
      dispatcher: agent,
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ jsonrpc: "2.0", method, params, id: 1 }),
    });
    const reply = (await body.json()) as { readonly error?: { readonly message: string } };
    expect(reply.error).toBe(undefined);
  };
  // Both connections are opened before the peers come.
  await Promise.all(["v", "w"].map((id) => ask("CreateVolume", { id, size: 4 })));
  // "auto" takes node:http here, and says so; the line of the start tells the limit.
  await expect.poll(() => daemon.log()).toContain("only 256 descriptors (ulimit -n): serving with node:http");
  const toldLimit = () => Number(/"connections":(\d+)[^\n]*"listening"/.exec(daemon.log())?.[1] ?? 0);
  await expect.poll(toldLimit).toBeGreaterThan(50);
  const limit = toldLimit();
  expect(limit).toBeLessThan(128);

  const peers = Array.from({ length: PEERS }, () => peer(daemon));
  await until("as many as the limit are open", () => {
    const ended = peers.filter(({ socket }) => socket.destroyed).length;
    return ended >= PEERS - limit;
  });
  await sleep(200);
  const refused = peers.filter(({ socket }) => socket.destroyed);
  expect(refused.length).toBeLessThan(PEERS);
  expect(refused.every(({ text }) => text().includes(`limits.connections (${limit}) are open`))).toBe(true);
  for (let round = 0; round < 10; round++) {
    const dest = `s${round}`;
    await Promise.all([
      ask("CreateVolume", { id: `more/${round}`, size: 4 }),
      ask("CreateSnapshot", { id: "v", dest }),
    ]);
    const { body, statusCode } = await request(`${daemon.url}/snapshots/download?id=v@${dest}`, {
      dispatcher: agent,
    });
    expect(statusCode).toBe(200);
    expect((await body.arrayBuffer()).byteLength).toBeGreaterThan(0);
  }
  const { body } = await request(`${daemon.url}/metrics`, { dispatcher: agent });
  expect(await body.text()).toContain(`\nimagestore_connections_refused_total ${refused.length}\n`);
  expect(daemon.log()).not.toContain("EMFILE");
  await agent.close();
});
