import { execFileSync, spawn, spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestCa, issueForHost } from "../support/certificates.js";
import { CLI, type DaemonProcess, startDaemonProcess } from "../support/daemon.js";
import { openRpcSocket } from "../support/rpc-socket.js";
import { transportNames } from "../support/transports.js";
import { until } from "../support/until.js";

const ca = createTestCa();
afterAll(ca.remove);
const roots = readFileSync(ca.file);

describe.each(transportNames)("a daemon with TLS and tokens (%s)", (transport) => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  const files = { cert: join(folder, "host.pem"), key: join(folder, "host.key") };
  const tokens = join(folder, "tokens.json");
  const tokenFile = join(folder, "token");
  let daemon: DaemonProcess;

  function install(from: { readonly cert: string; readonly key: string }): void {
    copyFileSync(from.cert, files.cert);
    copyFileSync(from.key, files.key);
  }
  /** Runs `imagestore` against the port with TLS. */
  function imagestore(...words: readonly string[]) {
    const env = { ...process.env, IMAGESTORE_URL: daemon.tlsUrl, IMAGESTORE_TOKEN_FILE: tokenFile };
    const argv = [CLI, ...words];
    const { status, stdout, stderr } = spawnSync(process.execPath, argv, { env, encoding: "utf8" });
    return { status, stdout, stderr };
  }
  const trusting = (...words: readonly string[]) => imagestore(...words, "--ca-file", ca.file);

  interface Answer {
    readonly status: number;
    readonly location: string | undefined;
    readonly text: string;
  }
  function get(path: string, headers: Record<string, string>): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const sent = request(
        `${daemon.tlsUrl}${path}`,
        { headers, ca: roots, servername: "localhost", agent: false },
        (reply) => {
          let text = "";
          reply.on("data", (part: Buffer) => {
            text += part.toString("latin1");
          });
          reply.on("end", () =>
            resolve({ status: reply.statusCode ?? 0, location: reply.headers.location, text }),
          );
        },
      );
      sent.on("error", reject);
      sent.end();
    });
  }
  const bearer = () => ({ authorization: `Bearer ${readFileSync(tokenFile, "utf8").trim()}` });
  function shown(): Promise<string> {
    return new Promise((resolve) => {
      const port = Number(new URL(daemon.tlsUrl).port);
      const socket = connect({ host: "127.0.0.1", port, ca: roots }, () => {
        resolve(String(socket.getPeerCertificate().subject.CN));
        socket.destroy();
      });
      // Of a listener that is being replaced, a client may be reset.
      socket.once("error", () => resolve(""));
    });
  }

  beforeAll(async () => {
    install(issueForHost(ca, `first-${transport}`));
    const made = [CLI, "token", "create", "--role", "admin", "--tokens", tokens];
    writeFileSync(tokenFile, execFileSync(process.execPath, made), { mode: 0o600 });
    daemon = await startDaemonProcess({
      listen: { port: 0, transport, bulk: { port: 0 }, tls: { port: 0, host: "0.0.0.0", ...files } },
      auth: { tokens },
      pools: [{ name: "tank", driver: "embedded", folder: join(folder, "tank"), quotaBytes: 2 ** 30 }],
      imageService: "127.0.0.1:1",
      log: { level: "info" },
    });
  });
  afterAll(async () => {
    await daemon?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test("is called by the commands with its CA, and by nobody without a token", async () => {
    expect(trusting("volume", "create", "guests/a", "--size", "8M")).toMatchObject({ status: 0 });
    expect(trusting("volume", "list", "-H").stdout).toContain("tank/guests/a");
    expect(imagestore("volume", "list")).toMatchObject({
      status: 3,
      stderr: `imagestore: no answer from ${daemon.tlsUrl}: its certificate is of no CA that is known here: give --ca-file\n`,
    });
    expect(imagestore("volume", "list", "--ca-file", join(folder, "none"))).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("ENOENT"),
    });
    expect(imagestore("volume", "list", "--ca-file", tokenFile)).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("holds no CERTIFICATE in PEM"),
    });
    expect(trusting("diagnose", "--url", daemon.tlsUrl)).toMatchObject({ status: 0 });
    expect((await get("/rpc", {})).status).toBe(401);
    expect((await get("/metrics", bearer())).text).toMatch(
      /^imagestore_tls_certificate_expiry_timestamp_seconds \d{10}$/m,
    );
  });

  test("sends a snapshot by TLS alone, though there is a port for bulk downloads", async () => {
    expect(trusting("snapshot", "create", "guests/a", "s")).toMatchObject({ status: 0 });
    const path = "/snapshots/download?id=guests/a@s&redirect=1";
    expect(await get(path, bearer())).toMatchObject({ status: 200, location: undefined });
    const plain = await fetch(`${daemon.url}${path}`, { headers: bearer(), redirect: "manual" });
    expect(plain.status).toBe(307);
    const output = join(folder, "a.zfs");
    expect(trusting("snapshot", "download", "guests/a@s", "-o", output)).toMatchObject({ status: 0 });
    const inspected = spawnSync(process.execPath, [CLI, "image", "inspect", output], { encoding: "utf8" });
    expect(inspected.stdout).toContain("tank/guests/a@s");
  });

  test("answers pages and names of others as the plain port does", async () => {
    expect((await get("/healthz", { host: "other.example" })).status).toBe(403);
    expect((await get("/healthz", { origin: "https://other.example" })).status).toBe(403);
    expect((await get("/healthz", {})).status).toBe(200);
  });

  test("serves a WebSocket, and requests for another upgrade as if they asked for none", async () => {
    const url = `${daemon.tlsUrl.replace("https", "wss")}/rpc`;
    const socket = await openRpcSocket(url, { ca: roots, headers: bearer() });
    expect(JSON.stringify(await socket.call("ListVolumes", {}))).toContain("tank/guests/a");
    socket.close();
    await expect(openRpcSocket(url, { ca: roots })).rejects.toThrow("401");
    await expect(
      openRpcSocket(url, { ca: roots, headers: { ...bearer(), origin: "https://other.example" } }),
    ).rejects.toThrow("403");
    const h2c = { connection: "Upgrade, HTTP2-Settings", upgrade: "h2c", "http2-settings": "AAMAAABkAAQ" };
    expect(await get("/whoami", { ...bearer(), ...h2c })).toMatchObject({ status: 200 });
  });

  test("shows another certificate after SIGHUP, and keeps the one that it has when that is damaged", async () => {
    const kept = `first-${transport}`;
    const damages = [
      () => writeFileSync(files.cert, "damaged"),
      () => install({ ...issueForHost(ca, "cert-only"), key: issueForHost(ca, "key-only").key }),
      () => rmSync(files.key),
    ];
    for (const [index, damage] of damages.entries()) {
      damage();
      daemon.process.kill("SIGHUP");
      const errors = () => daemon.log().match(/the certificate of listen\.tls stays as it was/g)?.length ?? 0;
      await until("the log tells of it", () => errors() > index);
      expect(errors()).toBe(index + 1);
      expect(await shown()).toBe(kept);
    }
    install(issueForHost(ca, `second-${transport}`));
    daemon.process.kill("SIGHUP");
    await until("it is shown", async () => (await shown()) === `second-${transport}`);
    // The same files again: nothing is done.
    const times = () => daemon.log().match(/listen\.tls has been read again/g)?.length;
    await until("the log tells of it", () => times() === 1);
    await expect.poll(() => daemon.log()).toContain("the certificate of listen.tls expires soon");
    daemon.process.kill("SIGHUP");
    expect(trusting("volume", "list")).toMatchObject({ status: 0 });
    expect(times()).toBe(1);
  });

  test("a download that runs goes on when the certificate is renewed", async () => {
    const before = await get("/snapshots/download?id=guests/a@s", bearer());
    const argv = ["snapshot", "download", "guests/a@s", "-o", "-", "--ca-file", ca.file];
    const env = { ...process.env, IMAGESTORE_URL: daemon.tlsUrl, IMAGESTORE_TOKEN_FILE: tokenFile };
    const child = spawn(process.execPath, [CLI, ...argv], { env, stdio: ["ignore", "pipe", "inherit"] });
    const parts: Buffer[] = [];
    child.stdout.once("data", () => {
      install(issueForHost(ca, `third-${transport}`));
      daemon.process.kill("SIGHUP");
    });
    child.stdout.on("data", (part: Buffer) => parts.push(part));
    expect(await new Promise((resolve) => child.once("close", resolve))).toBe(0);
    expect(Buffer.concat(parts).length).toBe(before.text.length);
    await until("it is shown", async () => (await shown()) === `third-${transport}`);
  });
});

test("a port with TLS that is not in order keeps the daemon from its start, with one line", async () => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  const file = join(folder, "config.json");
  const host = issueForHost(ca);
  const check = (tls: object, more: object = {}) => {
    const listen = { port: 0, tls: { port: 0, ...host, ...tls } };
    writeFileSync(file, JSON.stringify({ pools: [{ name: "tank" }], listen, ...more }));
    const argv = [CLI, "check-config", "--config", file];
    const { status, stderr } = spawnSync(process.execPath, argv, { encoding: "utf8" });
    return { status, stderr };
  };
  try {
    expect(check({})).toEqual({ status: 0, stderr: "" });
    const other = { key: issueForHost(ca, "other").key };
    const mismatch = `listen.tls: ${other.key} is not the key of the certificate ${host.cert}`;
    expect(check(other)).toEqual({ status: 1, stderr: `imagestore: ${mismatch}\n` });
    const pools = [{ name: "tank", driver: "embedded", folder: join(folder, "tank") }];
    const tls = { port: 0, ...host, ...other };
    await expect(startDaemonProcess({ listen: { port: 0, tls }, pools })).rejects.toThrow(mismatch);
    const reached = { host: "0.0.0.0" };
    expect(check(reached)).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/listen\.tls\.host.*auth\.tokens/),
    });
    expect(check(reached, { auth: { open: true } }).status).toBe(0);
    expect(check(reached, { auth: { tokens: "/t" } }).status).toBe(0);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
