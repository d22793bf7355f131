import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CLI, type DaemonProcess, startDaemonProcess } from "../support/daemon.js";

describe("a daemon with a unix socket and tokens", () => {
  const folder = mkdtempSync(join(tmpdir(), "is-"));
  const path = join(folder, "socket");
  const audit = join(folder, "audit.log");
  const config = {
    listen: { port: 0, bulk: { port: 0 }, socket: { path, mode: "0660" } },
    pools: [{ name: "tank", driver: "embedded", folder: join(folder, "tank"), quotaBytes: 2 ** 30 }],
    imageService: "127.0.0.1:1",
    auth: { tokens: join(folder, "tokens.json") },
    audit: { file: audit },
    dataDir: join(folder, "data"),
    log: { level: "fatal" },
  };
  let daemon: DaemonProcess;
  let reader = "";

  function imagestore(words: readonly string[], url = `unix:${path}`) {
    const env = { ...process.env, IMAGESTORE_URL: url };
    const argv = [CLI, ...words];
    const { status, stdout, stderr } = spawnSync(process.execPath, argv, { env, encoding: "utf8" });
    return { status, stdout, stderr };
  }
  const token = (role: string) =>
    execFileSync(process.execPath, [CLI, "token", "create", "--role", role, "--tokens", config.auth.tokens], {
      encoding: "utf8",
    }).trim();
  /** A call of JSON-RPC 2.0 by curl: what is answered, and the status behind it. */
  const curl = (target: readonly string[], method: string, params: object, more: readonly string[] = []) =>
    spawnSync(
      "curl",
      [
        ...["-s", "-w", "\n%{http_code}", ...target, "-H", "Content-Type: application/json", ...more],
        ...["-d", JSON.stringify({ jsonrpc: "2.0", method, params, id: 1 })],
      ],
      { encoding: "utf8" },
    ).stdout.split("\n");
  const bySocket = ["--unix-socket", path, "http://localhost/rpc"];

  beforeAll(async () => {
    reader = token("read");
    daemon = await startDaemonProcess(config);
  });
  afterAll(async () => {
    await daemon?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test("asks who comes by the socket for no token, and who comes by the port for one", () => {
    expect(statSync(path).mode & 0o777).toBe(0o660);
    const params = { id: "guests/a", size: 8 };
    const [answer = "", ...rest] = curl(bySocket, "CreateVolume", params);
    expect([JSON.parse(answer).result.volumes[0].id, rest.at(-1)]).toEqual(["tank/guests/a", "200"]);
    expect(curl([`${daemon.url}/rpc`], "ListVolumes", {}).at(-1)).toBe("401");
    const line = JSON.parse(readFileSync(audit, "utf8").trim().split("\n").at(-1) ?? "");
    expect(line).toMatchObject({ method: "CreateVolume", peer: "unix" });
  });

  test("takes a token that is sent there all the same", () => {
    const header = ["-H", `Authorization: Bearer ${reader}`];
    const [answer = ""] = curl(bySocket, "DeleteDataset", { id: "guests/a" }, header);
    expect(JSON.parse(answer).error.data).toMatchObject({ errno: "EACCES" });
    expect(curl(bySocket, "ListVolumes", {}, ["-H", "Authorization: Bearer nobody"]).at(-1)).toBe("401");
  });

  test("is called by the commands, and sends them a snapshot", () => {
    expect(imagestore(["volume", "list", "-H"])).toMatchObject({
      status: 0,
      stdout: expect.stringContaining("guests/a"),
    });
    expect(imagestore(["snapshot", "create", "guests/a", "s"]).status).toBe(0);
    const output = join(folder, "a.zfs");
    expect(imagestore(["snapshot", "download", "guests/a@s", "-o", output])).toMatchObject({ status: 0 });
    const inspected = spawnSync(process.execPath, [CLI, "image", "inspect", output], { encoding: "utf8" });
    expect(inspected.stdout).toContain("tank/guests/a@s");
    const { status, stdout } = imagestore(["diagnose", "--url", `unix:${path}`]);
    expect([status, stdout]).toEqual([0, expect.stringContaining("tank")]);
    expect(imagestore(["volume", "show", "guests/none"])).toMatchObject({ status: 4 });
  });

  test("says where nobody answers, and what is no address", () => {
    const none = join(folder, "none");
    expect(imagestore(["volume", "list"], `unix:${none}`)).toMatchObject({
      status: 3,
      stderr: expect.stringContaining(`no answer from unix:${none}: `),
    });
    expect(imagestore(["volume", "list"], "unix:relative")).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("must be http://HOST:PORT, https://HOST:PORT or unix:/PATH"),
    });
  });

  test("takes the socket back after a kill, and removes it at its stop", async () => {
    daemon.process.kill("SIGKILL");
    await daemon.exited;
    expect(existsSync(path)).toBe(true);
    expect(imagestore(["volume", "list"])).toMatchObject({
      status: 3,
      stderr: `imagestore: no answer from unix:${path}: nothing listens there\n`,
    });
    daemon = await startDaemonProcess(config);
    expect(imagestore(["volume", "list", "-H"]).stdout).toContain("guests/a");
    await expect(
      startDaemonProcess({
        ...config,
        dataDir: join(folder, "other"),
        pools: [{ ...config.pools[0], folder: join(folder, "b") }],
      }),
    ).rejects.toThrow(`something answers at the socket ${path}: another imagestore may be running`);
    expect(imagestore(["volume", "list"]).status).toBe(0);
    expect(await daemon.stop()).toBe(0);
    expect(existsSync(path)).toBe(false);
  });
});
