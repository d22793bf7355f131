import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { type IncomingMessage, request as requestPlain } from "node:http";
import { request as requestTls } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text as textOf } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createMethodTable } from "../../src/protocol/json-rpc/methods/table.js";
import { createTestCa, issueForHost } from "../support/certificates.js";
import { CLI, type DaemonProcess, startDaemonProcess } from "../support/daemon.js";
import { openRpcSocket, type RpcSocket } from "../support/rpc-socket.js";
import { transportNames } from "../support/transports.js";
import { until } from "../support/until.js";

const ROLES = ["read", "operate", "admin"] as const;
const RANKS: readonly string[] = ROLES;
const WAYS = ["plain", "tls", "socket"] as const;
const VERSIONS = ["1.0", "2.0", "2.0 on a WebSocket"] as const;
const NOT_ALLOWED: unknown = expect.stringContaining("not allowed");
const UPGRADE = {
  ...{ Connection: "Upgrade", Upgrade: "websocket" },
  ...{ "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version": "13" },
};
const table = createMethodTable();

/** The role that each method needs, as docs/access.md says. */
const documented = new Map(
  [
    ...readFileSync(new URL("../../docs/access.md", import.meta.url), "utf8").matchAll(
      /^\| (\w+) \| (read|operate|admin) \|$/gm,
    ),
  ].map(([, method = "", role = ""]) => [method, role]),
);

/** Parameters by which each method does something on the pool of these tests, where it is allowed. */
const PARAMS: Readonly<Record<string, object>> = {
  ListImages: {},
  GetImage: { id: "none" },
  RequestImage: { id: "none" },
  DeleteImage: { id: "none" },
  RestoreImage: { id: "none" },
  CloneImage: { id: "none", dest: "guests/clone" },
  ListVolumes: {},
  CreateVolume: { id: "guests/new/disk-0", size: 8 },
  GetVolume: { id: "guests/kept/disk-0" },
  DeleteDataset: { id: "guests/old/disk-0" },
  ResizeVolume: { id: "guests/kept/disk-0", size: 16 },
  RenameVolume: { id: "guests/new/disk-0", dest: "guests/new/disk-1" },
  PromoteVolume: { id: "guests/new/disk-1" },
  CloneSnapshot: { id: "guests/kept/disk-0@s", dest: "guests/new/clone" },
  SetVolume: { id: "guests/kept/disk-0", tags: { owner: "ada" } },
  GetVolumeProperties: { id: "guests/kept/disk-0" },
  ListSnapshots: {},
  GetSnapshot: { id: "guests/kept/disk-0@s" },
  CreateSnapshot: { id: "guests/kept/disk-0", dest: "more" },
  SnapshotGuest: { id: "kept", dest: "all" },
  DeleteSnapshot: { id: "guests/kept/disk-0@more" },
  RollbackSnapshot: { id: "guests/kept/disk-0@s" },
  CreateBookmark: { id: "guests/kept/disk-0@s", dest: "b" },
  ListBookmarks: {},
  DeleteBookmark: { id: "guests/kept/disk-0#b" },
  VerifyDisks: { guest: { id: "kept", disks: [{ size: 8 }] } },
  CreateGuestDisks: { guest: { id: "made", disks: [{ size: 8 }] } },
  DeleteGuestsDisks: { guest: { id: "made" } },
  GetGuestQuota: { id: "kept" },
  GetPool: {},
  ListJobs: {},
  GetJob: { id: "none" },
  WaitJob: { id: "none" },
  CancelJob: { id: "none" },
  ListAudit: { limit: 1 },
};

describe.each(transportNames)("callers with tokens (%s)", (transport) => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  const file = join(folder, "tokens.json");
  const audit = join(folder, "audit.log");
  const tokens: Record<string, string> = {};
  const ca = createTestCa();
  const socketPath = join(folder, "socket");
  let daemon: DaemonProcess;

  /** Runs `imagestore` and expects it to end with that status. @returns what it prints. */
  function run(words: readonly string[], status = 0): string {
    const env = { ...process.env, IMAGESTORE_URL: daemon?.url ?? "" };
    const ran = spawnSync(process.execPath, [CLI, ...words], { env, encoding: "utf8" });
    expect({ words, status: ran.status, stderr: status === 0 ? "" : ran.stderr }).toMatchObject({
      words,
      status,
    });
    return status === 0 ? ran.stdout : ran.stderr;
  }
  const makeToken = (name: string, ...words: string[]) => {
    tokens[name] = run(["token", "create", "--tokens", file, "--label", name, ...words]).trim();
    writeFileSync(join(folder, name), `${tokens[name]}\n`, { mode: 0o600 });
  };
  const idOf = (name: string): string =>
    JSON.parse(run(["token", "list", "--tokens", file, "--json"])).tokens.find(
      ({ label }: { label: string }) => label === name,
    ).id;

  async function get(path: string, authorization: string | undefined, base = daemon.url) {
    // Commands may block this process for so long that the server closes an idle connection.
    const headers = { connection: "close", ...(authorization !== undefined && { authorization }) };
    const reply = await fetch(`${base}${path}`, { headers });
    return { status: reply.status, text: await reply.text() };
  }

  function post(
    way: (typeof WAYS)[number],
    path: string,
    authorization: string | readonly string[] | undefined,
    body: string,
    upgrade?: Record<string, string>,
  ) {
    const shown = authorization && { Authorization: [authorization].flat() };
    const headers = { "content-type": "application/json", ...shown, ...upgrade };
    const options = { method: upgrade ? "GET" : "POST", headers, agent: false };
    return new Promise<{ status: number; text: string }>((resolve, reject) => {
      const answered = (reply: IncomingMessage) =>
        textOf(reply).then((text) => resolve({ status: reply.statusCode ?? 0, text }), reject);
      const sent =
        way === "tls"
          ? requestTls(`${daemon.tlsUrl}${path}`, { ...options, ca: readFileSync(ca.file) }, answered)
          : requestPlain(
              `${daemon.url}${path}`,
              { ...options, ...(way === "socket" && { socketPath }) },
              answered,
            );
      sent.on("error", reject);
      sent.end(body);
    });
  }

  /** WebSockets that are open, by their way and token. */
  const sockets = new Map<string, Promise<RpcSocket>>();
  function openSocket(way: (typeof WAYS)[number], headers: Record<string, string>): Promise<RpcSocket> {
    if (way === "socket") return openRpcSocket(`ws+unix:${socketPath}:/rpc`, { headers });
    const base = way === "tls" ? daemon.tlsUrl : daemon.url;
    return openRpcSocket(`${base.replace("http", "ws")}/rpc`, { headers, ca: readFileSync(ca.file) });
  }

  async function callBySocket(name: string, method: string, params: object, way: (typeof WAYS)[number]) {
    const key = `${way} ${name}`;
    const opening = sockets.get(key) ?? openSocket(way, { authorization: `Bearer ${tokens[name]}` });
    sockets.set(key, opening);
    const { error } = await (await opening).call(method, params);
    return error?.message ?? null;
  }

  /** Calls a method by one version of JSON-RPC. @returns the failure's words, or null. */
  async function call(
    version: (typeof VERSIONS)[number],
    name: string,
    method: string,
    params: object,
    way: (typeof WAYS)[number] = "plain",
  ): Promise<string | null> {
    if (version === "2.0 on a WebSocket") return callBySocket(name, method, params, way);
    const authorization = `Bearer ${tokens[name]}`;
    const body =
      version === "1.0"
        ? { method: `ImageStore.${method}`, params: [params], id: 1 }
        : { jsonrpc: "2.0", method, params, id: 1 };
    const path = version === "1.0" ? "/_mistify_RPC_" : "/rpc";
    const { status, text } = await post(way, path, authorization, JSON.stringify(body));
    expect(status).toBe(200);
    const { error } = JSON.parse(text) as { error?: null | string | { message: string } };
    return typeof error === "object" ? (error?.message ?? null) : (error ?? null);
  }

  const idsOf = async (name: string, method: string, member: string) => {
    const reply = await fetch(`${daemon.url}/rpc`, {
      method: "POST",
      headers: { authorization: `Bearer ${tokens[name]}`, "content-type": "application/json" },
      body: JSON.stringify({ jsonrpc: "2.0", method, id: 1 }),
    });
    const { result } = (await reply.json()) as { result: Record<string, { id: string }[]> };
    return (result[member] ?? []).map(({ id }) => id);
  };

  beforeAll(async () => {
    for (const role of ROLES) makeToken(role, "--role", role);
    makeToken("team", "--role", "operate", "--names", "guests/team-*", "--expires", "1h");
    makeToken("dozer", "--role", "admin", "--pool", "dozer");
    makeToken("revoked", "--role", "admin");
    run(["token", "revoke", "--tokens", file, idOf("revoked")]);
    const pool = (name: string) => ({ name, driver: "embedded", folder: join(folder, `pool-${name}`) });
    daemon = await startDaemonProcess({
      listen: {
        ...{ port: 0, transport, bulk: { port: 0 }, socket: { path: socketPath } },
        tls: { port: 0, ...issueForHost(ca) },
      },
      auth: { tokens: file },
      audit: { file: audit },
      pools: [pool("tank"), pool("dozer")],
      imageService: "127.0.0.1:1",
      images: { attempts: 1 },
      log: { level: "fatal" },
    });
    await makeVolumes();
  }, 120_000);
  afterAll(async () => {
    for (const socket of sockets.values()) (await socket).close();
    await daemon?.stop();
    ca.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  async function makeVolumes(): Promise<void> {
    for (const guest of ["kept", "old", "team-1", "other"]) {
      expect(
        await call("2.0", "admin", "CreateVolume", { id: `guests/${guest}/disk-0`, size: 8 }),
      ).toBeNull();
      const snapshot = { id: `guests/${guest}/disk-0`, dest: "s" };
      expect(await call("2.0", "admin", "CreateSnapshot", snapshot)).toBeNull();
    }
  }

  describe.each(VERSIONS)("by JSON-RPC %s", (version) => {
    test.each(table.names.flatMap((method) => ROLES.map((role) => [role, method] as const)))(
      "the role %s has of %s what its row says",
      async (role, method) => {
        const needed = documented.get(method);
        const isAllowed = RANKS.indexOf(role) >= RANKS.indexOf(needed ?? "");
        for (const way of WAYS) {
          const failure = await call(version, role, method, PARAMS[method] ?? {}, way);
          if (isAllowed) expect({ way, failure: failure ?? "" }).not.toMatchObject({ failure: NOT_ALLOWED });
          else expect(failure, way).toContain(`not allowed: this needs the role ${needed}`);
        }
      },
    );
  });

  test("without a token the unix socket serves, and neither port does", async () => {
    expect([...documented.keys()]).toEqual([...table.names]);
    const body = JSON.stringify({ jsonrpc: "2.0", method: "ListVolumes", id: 1 });
    for (const [way, status] of [
      ["plain", 401],
      ["tls", 401],
      ["socket", 200],
    ] as const) {
      expect({ way, status: (await post(way, "/rpc", undefined, body)).status }).toEqual({ way, status });
      // Longer than any head may be: answered, or cut off, and not served.
      const huge = await post(way, "/rpc", `Bearer ${"x".repeat(20_000)}`, body).catch(() => undefined);
      expect(huge?.status ?? 431).toBeGreaterThanOrEqual(400);
      const opened = await openSocket(way, {}).then(
        ({ close }) => close(),
        (error: Error) => error.message,
      );
      expect({ way, opened }).toEqual({
        way,
        opened: status === 401 ? expect.stringContaining("401") : undefined,
      });
    }
  });

  test("a request with two Authorization headers is refused, whatever they hold, and nothing of it is done", async () => {
    const params = { id: "guests/twice/disk-0", size: 8 };
    const body = JSON.stringify({ jsonrpc: "2.0", method: "CreateVolume", params, id: 1 });
    const [admin, read] = [`Bearer ${tokens.admin}`, `Bearer ${tokens.read}`];
    const pairs = [
      [admin, admin],
      [admin, read],
      [read, admin],
      [admin, "Bearer none"],
    ];
    for (const way of WAYS) {
      for (const pair of pairs) {
        const answer = await post(way, "/rpc", pair, body);
        const refused = { status: 400, text: "bad request: more than one Authorization\n" };
        expect({ way, ...answer }).toEqual({ way, ...refused });
        expect({ way, ...(await post(way, "/rpc", pair, "", UPGRADE)) }).toEqual({ way, ...refused });
      }
    }
    expect(await idsOf("admin", "ListVolumes", "volumes")).not.toContain("tank/guests/twice/disk-0");
  });

  test("a role below others has changed nothing by the calls that it may not make", async () => {
    const before = await idsOf("admin", "ListSnapshots", "snapshots");
    const volumes = await idsOf("admin", "ListVolumes", "volumes");
    for (const method of table.names) await call("2.0", "read", method, PARAMS[method] ?? {});
    expect(await idsOf("admin", "ListSnapshots", "snapshots")).toEqual(before);
    expect(await idsOf("admin", "ListVolumes", "volumes")).toEqual(volumes);
  });

  test("a token for some names sees and changes those, and no other", async () => {
    expect(await idsOf("team", "ListVolumes", "volumes")).toEqual(["tank/guests/team-1/disk-0"]);
    expect(await idsOf("team", "ListSnapshots", "snapshots")).toEqual(["tank/guests/team-1/disk-0@s"]);
    const other = { id: "guests/other/disk-0" };
    for (const [method, params] of [
      ["GetVolume", other],
      ["DeleteDataset", other],
      ["CreateSnapshot", { ...other, dest: "x" }],
      ["CreateSnapshot", { id: "guests", dest: "x", recursive: true }],
      ["RollbackSnapshot", { id: "guests/other/disk-0@s" }],
      ["DeleteGuestsDisks", { guest: { id: "other" } }],
      ["CreateVolume", { id: "guests/team-1/../../other", size: 8 }],
      ["DeleteDataset", { id: "guests/team-1//../other" }],
    ] as const) {
      expect(await call("2.0", "team", method, params)).toMatch(/^not (?:allowed|a valid dataset)/);
    }
    expect(await call("1.0", "team", "CreateSnapshot", { id: "guests/team-1/disk-0", dest: `t` })).toBeNull();
    expect(await idsOf("admin", "ListVolumes", "volumes")).toContain("tank/guests/other/disk-0");
    expect((await idsOf("admin", "ListSnapshots", "snapshots")).filter((id) => id.endsWith("@x"))).toEqual(
      [],
    );
  });

  test("a token for one pool reaches no other", async () => {
    expect(await call("2.0", "dozer", "ListVolumes", { pool: "dozer" })).toBeNull();
    expect(await call("2.0", "dozer", "ListVolumes", {})).toContain("not allowed: tank is not in the pools");
    expect(await call("2.0", "dozer", "DeleteDataset", { id: "tank/guests/kept/disk-0" })).toContain(
      "not allowed",
    );
    expect(await call("2.0", "dozer", "GetPool", {})).toBeNull();
  });

  const DOWNLOAD = "/snapshots/download?id=guests/kept/disk-0@s";
  const hashes = () => readFileSync(file, "utf8").match(/\b[0-9a-f]{64}\b/g) ?? [];
  const refused: readonly (readonly [string, () => string | undefined])[] = [
    ["none", () => undefined],
    ["an unknown one", () => `Bearer ist_${"A".repeat(43)}`],
    ["a revoked one", () => `Bearer ${tokens.revoked}`],
    ["one with a character more", () => `Bearer ${tokens.admin}x`],
    ["one with a character less", () => `Bearer ${tokens.admin?.slice(0, -1)}`],
    ["a huge one", () => `Bearer ${"x".repeat(3_000)}`],
    ["its hash", () => `Bearer ${"0".repeat(64)}`],
    ["the hash that the file has", () => `Bearer ${hashes().at(-1)}`],
    ["one in lower case", () => `Bearer ${tokens.admin?.toLowerCase()}`],
    ["its id", () => `Bearer ${idOf("admin")}`],
    ["two", () => `Bearer ${tokens.read}, Bearer ${tokens.admin}`],
    ["another scheme", () => `Digest ${tokens.admin}`],
    ["an empty one", () => "Bearer "],
    ["the token as the user", () => `Basic ${Buffer.from(`${tokens.admin}:`).toString("base64")}`],
  ];
  test("with a token that is none, nothing is served but the probes and the page, on either port", async () => {
    expect(hashes().length).toBeGreaterThan(3);
    const inUrl = `/metrics?token=${tokens.admin}&access_token=${tokens.admin}`;
    const paths = ["/rpc", "/_mistify_RPC_", DOWNLOAD, inUrl, "/metrics", "/diagnose", "/whoami", "/none"];
    // All at once: each answer comes later than the one before it.
    const answers = refused.flatMap(([title, authorization]) => [
      ...paths.map(async (path) => [title, path, (await get(path, authorization())).status, 401]),
      get(DOWNLOAD, authorization(), daemon.bulkUrl).then(({ status }) => [title, "bulk", status, 401]),
      ...["/healthz", "/readyz", "/ui"].map(async (path) => [
        ...[title, path, (await get(path, authorization())).status, 200],
      ]),
    ]);
    const wrong = (await Promise.all(answers)).filter(([, , status, expected]) => status !== expected);
    expect(wrong).toEqual([]);
  });

  test("downloads are for those who may read the snapshot, on either port, and their results too", async () => {
    for (const base of [daemon.url, daemon.bulkUrl]) {
      for (const [name, status] of Object.entries({ read: 200, admin: 200, team: 403, dozer: 403 })) {
        expect({ base, name, status: (await get(DOWNLOAD, `Bearer ${tokens[name]}`, base)).status }).toEqual({
          ...{ base, name, status },
        });
      }
    }
    const headers = { authorization: `Bearer ${tokens.read}` };
    const reply = await fetch(`${daemon.url}${DOWNLOAD}`, { headers });
    await reply.arrayBuffer();
    const result = `/snapshots/download/result?download=${reply.headers.get("x-download-id")}`;
    expect((await get(result, headers.authorization)).text).toContain('"state":"complete"');
    expect((await get(result, `Bearer ${tokens.team}`)).status).toBe(404);
  });

  test("what is told of the whole node is for those who may see all of it", async () => {
    const status = async (path: string, name: string) => (await get(path, `Bearer ${tokens[name]}`)).status;
    expect(await status("/metrics", "read")).toBe(200);
    expect(await status("/metrics", "team")).toBe(403);
    expect(await status("/metrics", "dozer")).toBe(403);
    expect(await status("/diagnose", "admin")).toBe(200);
    expect(await status("/diagnose", "operate")).toBe(403);
    const { text } = await get("/metrics", `Bearer ${tokens.read}`);
    expect(Number(/^imagestore_unauthorized_total (\d+)$/m.exec(text)?.[1])).toBeGreaterThan(50);
  });

  test("everybody is told who they are to the daemon", async () => {
    const told = async (name: string) => JSON.parse((await get("/whoami", `Bearer ${tokens[name]}`)).text);
    const version = JSON.parse(readFileSync("package.json", "utf8")).version;
    const all = { pools: null, names: null, peers: [], backups: [] };
    expect(await told("read")).toEqual({ version, caller: idOf("read"), role: "read", ...all });
    expect(await told("team")).toMatchObject({ role: "operate", names: ["guests/team-*"] });
    expect(await told("dozer")).toMatchObject({ role: "admin", pools: ["dozer"] });
  });

  test("every token may ask what methods there are, by 2.0, and nobody without one", async () => {
    for (const name of [...ROLES, "team", "dozer"]) {
      expect({ name, failure: await call("2.0", name, "rpc.discover", {}) }).toEqual({ name, failure: null });
    }
    const body = JSON.stringify({ jsonrpc: "2.0", method: "rpc.discover", id: 1 });
    for (const authorization of [undefined, `Bearer ${tokens.revoked}`]) {
      expect((await post("plain", "/rpc", authorization, body)).status).toBe(401);
    }
  });

  test("the command line sends the token of a file, and says by its status what is not allowed", () => {
    const withToken = (name: string) => ["--token-file", join(folder, name)];
    expect(run(["snapshot", "list", "-H", ...withToken("team")])).toContain("tank/guests/team-1/disk-0@s\t");
    expect(run(["snapshot", "list"], 77)).toContain("a token is needed");
    expect(run(["snapshot", "delete", "guests/kept/disk-0@s", ...withToken("read")], 77)).toContain(
      "role operate",
    );
    const target = join(folder, "kept.zfs");
    expect(
      run(["snapshot", "download", "guests/kept/disk-0@s", "-o", target, ...withToken("team")], 77),
    ).toContain("not allowed");
    run(["snapshot", "download", "guests/kept/disk-0@s", "-o", target, ...withToken("read")]);
    expect(run(["diagnose", "--url", daemon.url, ...withToken("admin")])).toContain("tank");
    expect(run(["call", "GetPool", "--token-file", join(folder, "none")], 2)).toContain("ENOENT");
  });

  test("the audit file tells who has changed what, and who was not allowed to, in a new file after SIGHUP", async () => {
    const volume = { id: "guests/audited/disk-0", size: 8 };
    const calls = async () => {
      await call("1.0", "operate", "CreateVolume", volume);
      await call("2.0", "team", "CreateVolume", volume);
      await call("2.0", "read", "ListVolumes", {});
    };
    const told = (path: string) =>
      readFileSync(path, "utf8")
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as Record<string, string>)
        .slice(-2)
        .map(({ caller, peer, method, code }) => [caller, peer, method, code]);
    const expected = [
      [idOf("operate"), "127.0.0.1", "CreateVolume", "ok"],
      [idOf("team"), "127.0.0.1", "CreateVolume", "access.denied"],
    ];
    await calls();
    expect(told(audit)).toEqual(expected);
    renameSync(audit, `${audit}.1`);
    daemon.process.kill("SIGHUP");
    await until("it is opened anew", () => existsSync(audit), 10_000);
    await calls();
    expect(told(audit)).toEqual(expected);
  });

  test("a token that is made or revoked counts from the next moment on", async () => {
    makeToken("late", "--role", "read");
    await until(
      "it is known",
      async () => (await get("/metrics", `Bearer ${tokens.late}`)).status === 200,
      20_000,
    );
    run(["token", "revoke", "--tokens", file, idOf("late")]);
    await until(
      "it is refused",
      async () => (await get("/metrics", `Bearer ${tokens.late}`)).status === 401,
      20_000,
    );
    expect(run(["token", "revoke", "--tokens", file, "000000000000"], 1)).toContain("there is no token");
    expect(run(["token", "list", "--tokens", file])).not.toContain(tokens.read);
  });
});

test("an address that other machines reach needs tokens, or to be opened on purpose", () => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  const file = join(folder, "config.json");
  const check = (config: object) => {
    writeFileSync(file, JSON.stringify({ pools: [{ name: "tank" }], ...config }));
    const { status, stderr } = spawnSync(process.execPath, [CLI, "check-config", "--config", file], {
      encoding: "utf8",
    });
    return { status, stderr };
  };
  try {
    for (const host of ["127.0.0.1", "127.8.8.8", "::1", "localhost"]) {
      expect(check({ listen: { host } })).toEqual({ status: 0, stderr: "" });
    }
    const reached = [
      { host: "0.0.0.0" },
      { host: "::" },
      { host: "10.0.0.7" },
      { host: "node1.example" },
      { bulk: { host: "::", port: 1 } },
    ];
    for (const listen of reached) {
      expect(check({ listen })).toMatchObject({ status: 1, stderr: expect.stringContaining("auth.tokens") });
      expect(check({ listen, auth: { open: true } }).status).toBe(0);
      expect(check({ listen, auth: { tokens: "/t" } }).status).toBe(0);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
