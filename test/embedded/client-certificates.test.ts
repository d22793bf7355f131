import { execFileSync, spawnSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { Agent, request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { type CertificateFiles, createTestCa, issueForHost } from "../support/certificates.js";
import { CLI, type DaemonProcess, startDaemonProcess } from "../support/daemon.js";
import { must } from "../support/rpc.js";
import { until } from "../support/until.js";

interface Reply {
  readonly status: number;
  readonly text: string;
}

describe("a daemon that knows its callers by their certificates", () => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  const audit = join(folder, "audit.log");
  const ca = createTestCa();
  const otherCa = createTestCa("/CN=other CA");
  const caOfThatName = createTestCa();
  const issue = (name: string, more: object = {}, from = ca) =>
    from.issue(name, { subject: `/O=Cloud/CN=${name}`, ...more });
  const agent = issue("agent");
  const reader = issue("reader");
  const team = issue("team");
  const pinned = issue("pinned");
  const revoked = issue("revoked");
  const settings = (name: string, role: string, more: object = {}) => ({
    ...{ subject: `O=Cloud, CN=${name}`, role, ...more },
  });
  let daemon: DaemonProcess;

  beforeAll(async () => {
    ca.revoke(revoked);
    const { fingerprint256 } = new X509Certificate(readFileSync(pinned.cert));
    daemon = await startDaemonProcess({
      listen: {
        port: 0,
        tls: { port: 0, host: "0.0.0.0", ...issueForHost(ca), clientCa: ca.file, crl: ca.writeCrl() },
      },
      auth: {
        certificates: [
          settings("agent", "operate"),
          settings("reader", "read"),
          settings("team", "operate", { names: ["guests/team-*"] }),
          { fingerprint: fingerprint256, role: "admin" },
          ...["revoked", "expired", "of-server"].map((name) => settings(name, "admin")),
        ],
      },
      audit: { file: audit },
      pools: [{ name: "tank", driver: "embedded", folder: join(folder, "tank"), quotaBytes: 2 ** 30 }],
      imageService: "127.0.0.1:1",
      log: { level: "info" },
    });
  });
  afterAll(async () => {
    await daemon?.stop();
    for (const each of [ca, otherCa, caOfThatName]) each.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Calls a method by TLS. Rejects if the handshake fails. */
  function call(
    client: CertificateFiles | undefined,
    method: string,
    params: object,
    agentOfClient: Agent | false = false,
  ): Promise<Reply> {
    const shown = client && { cert: readFileSync(client.cert), key: readFileSync(client.key) };
    const headers = { "content-type": "application/json" };
    const options = { method: "POST", headers, ca: readFileSync(ca.file), ...shown, agent: agentOfClient };
    return new Promise((resolve, reject) => {
      const sent = request(`${daemon.tlsUrl}/rpc`, options, (reply) => {
        let text = "";
        reply.on("data", (part: Buffer) => {
          text += part.toString();
        });
        reply.on("end", () => resolve({ status: reply.statusCode ?? 0, text }));
      });
      sent.on("error", reject);
      sent.end(JSON.stringify({ jsonrpc: "2.0", method, params, id: 1 }));
    });
  }
  const create = (client: CertificateFiles | undefined, id: string) =>
    call(client, "CreateVolume", { id, size: 8 });

  test("serves each as its entry says", async () => {
    expect(await create(agent, "guests/team-1")).toMatchObject({ status: 200 });
    expect((await create(reader, "guests/x")).text).toContain("not allowed: this needs the role operate");
    expect((await call(reader, "ListVolumes", {})).text).toContain("tank/guests/team-1");
    expect((await create(team, "guests/other")).text).toContain("not in the names");
    expect((await call(pinned, "DeleteImage", { id: "none" })).text).toContain("not found");
    const lines = readFileSync(audit, "utf8").trim().split("\n");
    expect(JSON.parse(lines[0] ?? "")).toMatchObject({ caller: "O=Cloud, CN=agent", code: "ok" });
  });

  test("refuses the others in words, and does nothing of what they ask", async () => {
    const before = await call(pinned, "ListVolumes", {});
    const refused: readonly (readonly [CertificateFiles | undefined, string])[] = [
      [undefined, "a certificate is needed"],
      [issue("stranger"), "auth.certificates does not name it"],
      [issue("agent2", { subject: "/O=Cloud/CN=agent, CN=x" }), "auth.certificates does not name it"],
      [issue("agent3", { subject: "/O=Cloud, CN=agent" }), "auth.certificates does not name it"],
      [issue("agent", {}, otherCa), "no CA that is trusted here has signed it"],
      [issue("agent", {}, caOfThatName), "no CA that is trusted here has signed it"],
      // The CA of a client that calls itself as one that is trusted.
      [issue("pinned", {}, otherCa), "no CA that is trusted here has signed it"],
      [
        { cert: caOfThatName.file, key: join(caOfThatName.folder, "ca.key") },
        "no CA that is trusted here has signed it",
      ],
      [issue("agent-later", { fromDays: 1 }), "it is not valid yet"],
      [issue("expired", { days: -1 }), "it has expired"],
      [issue("of-server", { usage: "serverAuth" }), "it is not for clients"],
      [revoked, "it has been revoked"],
    ];
    for (const [client, words] of refused) {
      const reply = await create(client, "guests/hostile");
      expect({ words, status: reply.status, text: reply.text }).toEqual({
        ...{ words, status: 401, text: expect.stringContaining(words) },
      });
    }
    expect((await call(pinned, "ListVolumes", {})).text).toBe(before.text);
    await expect.poll(() => daemon.log()).toContain("unknown certificate O=Cloud, CN=stranger");
  });

  test("names a subject as openssl prints it with the options of docs/access.md", () => {
    const page = readFileSync(new URL("../../docs/access.md", import.meta.url), "utf8");
    const [, options = ""] = /openssl x509 -in agent\.pem (.*)\n/.exec(page) ?? [];
    const printed = execFileSync("openssl", ["x509", "-in", agent.cert, ...options.split(" ")]).toString();
    expect(printed.trim()).toBe("subject=O=Cloud, CN=agent");
  });

  test("is called by the commands with a certificate and its key", () => {
    const words = ["volume", "list", "-H", "--ca-file", ca.file, "--url", daemon.tlsUrl];
    const run = (more: readonly string[]) => {
      const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...words, ...more], {
        encoding: "utf8",
      });
      return { status, text: stdout + stderr };
    };
    const shown = ["--cert-file", reader.cert, "--key-file", reader.key];
    expect(run(shown)).toMatchObject({ status: 0, text: expect.stringContaining("team-1") });
    expect(run([])).toMatchObject({ status: 77, text: expect.stringContaining("a certificate is needed") });
    expect(run(["--cert-file", reader.cert])).toMatchObject({ status: 2 });
  });

  test("serves the plain port on this machine as ever", async () => {
    await must(daemon.url, "GetVolume", { id: "guests/team-1" });
  });

  /** A WebSocket with what has come on it, and the code with which it was closed. */
  async function openSocket(client: CertificateFiles) {
    const shown = { cert: readFileSync(client.cert), key: readFileSync(client.key) };
    const url = `${daemon.tlsUrl.replace("https", "wss")}/rpc`;
    const socket = new WebSocket(url, { ca: readFileSync(ca.file), ...shown });
    const texts: string[] = [];
    const closed: { code?: number } = {};
    socket.on("message", (data) => texts.push(String(data)));
    socket.on("close", (code) => Object.assign(closed, { code }));
    await once(socket, "open");
    const ask = (method: string, params: object) => {
      const before = texts.length;
      socket.send(JSON.stringify({ jsonrpc: "2.0", method, params, id: 1 }));
      return until("it is answered", () => texts.length > before || closed.code !== undefined);
    };
    return { socket, texts, closed, ask };
  }

  test("knows callers on WebSockets, and ends those of a certificate that is distrusted", async () => {
    const { texts, closed, ask } = await openSocket(reader);
    await ask("CreateVolume", { id: "guests/x", size: 8 });
    expect(texts[0]).toContain("not allowed: this needs the role operate");
    await ask("ListVolumes", {});
    expect(texts[1]).toContain("tank/guests/team-1");
    await expect(openSocket(issue("stranger2"))).rejects.toThrow("401");
    ca.revoke(issue("another"));
    ca.writeCrl();
    const times = () => daemon.log().match(/listen\.tls has been read again/g)?.length ?? 0;
    const before = times();
    daemon.process.kill("SIGHUP");
    await until("it is read", () => times() > before);
    await ask("ListVolumes", {});
    expect({ code: closed.code, answers: texts.length }).toEqual({ code: 4001, answers: 2 });
    const again = await openSocket(reader);
    await again.ask("ListVolumes", {});
    expect(again.texts[0]).toContain("tank/guests/team-1");
    again.socket.close();
  });

  test("takes no certificate any more that was revoked, on connections that are open neither", async () => {
    const keepAlive = new Agent({ keepAlive: true, maxSockets: 1 });
    expect((await call(agent, "ListVolumes", {}, keepAlive)).status).toBe(200);
    ca.revoke(agent);
    ca.writeCrl();
    const times = () => daemon.log().match(/listen\.tls has been read again/g)?.length ?? 0;
    const before = times();
    daemon.process.kill("SIGHUP");
    await until("it is read", () => times() > before);
    // The connection may have been closed in the moment in which it was asked.
    const answer = await call(agent, "ListVolumes", {}, keepAlive).catch(() => undefined);
    expect(answer?.status ?? 401).toBe(401);
    expect(await call(agent, "ListVolumes", {})).toMatchObject({
      status: 401,
      text: expect.stringContaining("it has been revoked"),
    });
    expect((await call(reader, "ListVolumes", {})).status).toBe(200);
    keepAlive.destroy();
  });
});
