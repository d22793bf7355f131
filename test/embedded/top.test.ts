import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CLI, type DaemonProcess, freePort, startDaemonProcess } from "../support/daemon.js";
import { standInPool } from "../support/stand-in-zfs.js";
import { noTerminal, onTerminal, type Terminal, withoutSequences } from "../support/terminal.js";
import { until } from "../support/until.js";

if (noTerminal !== undefined) console.log(`top on a terminal is not tested: ${noTerminal}`);

const folder = mkdtempSync(join(tmpdir(), "imagestore-top-"));
const tokenOf = (name: string) => join(folder, `${name}.token`);
const socket = join(folder, "s");
const ENTER = "\x1b[?1049h\x1b[?25l";
const LEAVE = "\x1b[?25h\x1b[?1049l";
let daemon: DaemonProcess;
let port = 0;

function run(words: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const given = { ...process.env, IMAGESTORE_TOKEN_FILE: tokenOf("all"), ...env };
  return spawnSync(process.execPath, [CLI, ...words], { encoding: "utf8", env: given });
}

const config = () => ({
  listen: { port, socket: { path: socket } },
  auth: { tokens: join(folder, "tokens.json") },
  pools: [
    { name: "tank", driver: "embedded", folder: join(folder, "tank"), quotaBytes: 2 ** 33 },
    standInPool(folder, "dozer"),
  ],
  dataDir: join(folder, "data"),
  timeouts: { graceMs: 500 },
  log: { level: "fatal" },
});

beforeAll(async () => {
  for (const [name, ...more] of [["all"], ["team", "--names", "guests/team-*"]]) {
    const words = ["token", "create", "--tokens", join(folder, "tokens.json"), "--label", `${name}`];
    const { stdout } = run([...words, "--role", name === "all" ? "admin" : "read", ...more]);
    writeFileSync(tokenOf(`${name}`), stdout, { mode: 0o600 });
  }
  port = await freePort();
  daemon = await startDaemonProcess(config());
});
afterAll(async () => {
  await daemon?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** The lines that the terminal shows now. */
function frameOf(terminal: Terminal): string[] {
  const frames = terminal.shown().split("\x1b[H");
  const last = frames.filter((each) => each.includes("\x1b[J")).at(-1) ?? "";
  return withoutSequences(last).replaceAll("\r", "").split("\n").slice(0, -1);
}

/** Gives the terminal of a command another size, as a window does that is dragged. */
function resize({ child }: Terminal, columns: number, rows: number): void {
  const [inner = ""] = execFileSync("ps", ["-o", "tty=", "--ppid", String(child.pid)], {
    encoding: "utf8",
  }).split("\n");
  execFileSync("stty", ["-F", `/dev/${inner.trim()}`, "cols", String(columns), "rows", String(rows)]);
}

const quoted = (word: string) => `'${word}'`;
const COMMAND = [process.execPath, CLI, "top"].map(quoted).join(" ");

function start(more = "", options: { readonly columns?: number; readonly rows?: number } = {}): Terminal {
  const env = { IMAGESTORE_URL: `http://127.0.0.1:${port}`, IMAGESTORE_TOKEN_FILE: tokenOf("all") };
  return onTerminal(`${COMMAND} ${more}`, { env, columns: 80, rows: 24, ...options });
}

describe.skipIf(noTerminal !== undefined)("imagestore top on a terminal", () => {
  test.each([
    [80, 24],
    [40, 10],
    [200, 60],
  ])("fills %i columns and %i rows and no more, also when it gets another size", async (columns, rows) => {
    const top = start("", { columns, rows });
    const fits = async (most: number, high: number) => {
      await until("a frame of that size", () => frameOf(top).length === high - 1);
      for (const line of frameOf(top)) expect(line.length).toBeLessThanOrEqual(most);
    };
    await top.sees(/calls\/s/);
    await fits(columns, rows);
    expect(frameOf(top).join("\n")).toMatch(/^tank +ONLINE +0%/m);
    resize(top, 60, 15);
    await fits(60, 15);
    // Over what was there: the screen is cleared once, at the start.
    expect(top.shown().split("\x1b[2J")).toHaveLength(2);
    top.type("q");
    expect(await top.ended).toBe(0);
    expect(top.shown()).toContain(ENTER);
    expect(top.shown().endsWith(LEAVE)).toBe(true);
  });

  test.each([
    ["q", "q", 0],
    ["Ctrl-C", "\x03", 130],
  ])("%s leaves the terminal as it was", async (_name, key, status) => {
    const env = { IMAGESTORE_URL: `http://127.0.0.1:${port}`, IMAGESTORE_TOKEN_FILE: tokenOf("all") };
    const line = `sh -c 'stty -g; "$0" "$@"; echo "status $?"; stty -g' ${COMMAND}`;
    const shell = onTerminal(line, { env });
    await shell.sees(/calls\/s/);
    shell.type(key);
    await shell.ended;
    expect(shell.text()).toContain(`status ${status}\n`);
    const [before, after] = shell.text().match(/^[0-9a-f]+(?::[0-9a-f]+)+$/gm) ?? [];
    expect(before?.length).toBeGreaterThan(20);
    expect(after).toBe(before);
  });

  test("a signal leaves it as it was too", async () => {
    const top = start();
    await top.sees(/calls\/s/);
    const [pid = ""] = execFileSync("ps", ["-o", "pid=", "--ppid", String(top.child.pid)], {
      encoding: "utf8",
    })
      .trim()
      .split("\n");
    process.kill(Number(pid), "SIGTERM");
    expect(await top.ended).toBe(143);
    expect(top.shown().endsWith(LEAVE)).toBe(true);
  });

  test("keys sort the methods", async () => {
    const top = start();
    await top.sees(/^ListJobs/m);
    top.type("n");
    const first = () => frameOf(top).find((_, at, all) => all[at - 1]?.startsWith("METHOD")) ?? "";
    await until("GetPool is before ListJobs", () => first().startsWith("GetPool"));
    top.type("c");
    await until("ListJobs is called more often", () => first().startsWith("ListJobs"));
    top.type("q");
    expect(await top.ended).toBe(0);
  });

  test("says that the daemon is away, and goes on when it is back", async () => {
    const top = start();
    await top.sees(/calls\/s/);
    await daemon.stop();
    await until("it says so", () =>
      frameOf(top).join("").includes("nothing listens there; it is asked again"),
    );
    expect(frameOf(top).join("\n")).not.toContain("POOL");
    daemon = await startDaemonProcess(config());
    await until("it has rates again", () => /calls\/s/.test(frameOf(top).join("\n")), 20_000);
    top.type("q");
    expect(await top.ended).toBe(0);
  });
});

describe("imagestore top --once", () => {
  const url = () => ["--url", `http://127.0.0.1:${port}`];

  test("prints one frame without control sequences, as without a terminal", () => {
    for (const words of [["top", "--once"], ["top"]]) {
      const { status, stdout, stderr } = run([...words, ...url()]);
      expect([status, stderr]).toEqual([0, ""]);
      expect(stdout).toMatch(/^imagestore \S+ http:\S+ +[\d:]{8}\n[\d.]+ calls\/s /);
      expect(stdout).toMatch(/^tank +ONLINE/m);
      expect(stdout).not.toContain("\x1b");
    }
  });

  test("tells who waits for which lock, and who has it", async () => {
    const token = readFileSync(tokenOf("all"), "utf8").trim();
    const headers = { authorization: `Bearer ${token}` };
    const ending = new AbortController();
    const post = (method: string, params: object) =>
      fetch(`${daemon.url}/rpc`, {
        method: "POST",
        headers: { ...headers, "content-type": "application/json" },
        body: JSON.stringify({ jsonrpc: "2.0", method, params, id: 1 }),
        signal: ending.signal,
      }).catch(() => undefined);
    void post("CreateVolume", { id: "dozer/hanging", size: 1 });
    const waits = async () => await (await fetch(`${daemon.url}/work`, { headers })).text();
    await until("it hangs", async () => (await waits()).includes("dozer/hanging self owned"));
    void post("DeleteDataset", { id: "dozer/hanging" });
    await until("one waits", async () => (await waits()).includes('"kind":"lock"'));
    expect(run(["top", "--once", ...url()]).stdout).toMatch(
      /^DeleteDataset#\d+ +[\d.]+ m?s +dozer\/hanging subtree owned +CreateVolume#\d+$/m,
    );
    const told = JSON.parse(run(["top", "--json", ...url()]).stdout);
    expect(told.waits).toEqual([expect.objectContaining({ dataset: "dozer/hanging" })]);
    expect(told.pools.map(({ pool }: { pool: string }) => pool)).toEqual(["tank", "dozer"]);
    ending.abort();
  });

  test("a token that may see less is told what it is not shown", () => {
    const { status, stdout } = run(["top", "--once", ...url()], { IMAGESTORE_TOKEN_FILE: tokenOf("team") });
    expect(status).toBe(0);
    const why = "(not allowed: this needs the role read for all pools and names)";
    expect(stdout).toContain(
      `\nnot shown: calls, rates and queues ${why}\nnot shown: waits for locks ${why}\n`,
    );
    expect(stdout).not.toContain("calls/s");
    const none = run(["top", "--once", ...url()], { IMAGESTORE_TOKEN_FILE: "" });
    expect([none.status, none.stdout]).toEqual([77, ""]);
  });

  test("asks a context and a unix socket", () => {
    const home = { XDG_CONFIG_HOME: join(folder, "config") };
    run(["context", "add", "lab", ...url(), "--token-file", tokenOf("all")], home);
    expect(run(["top", "--once", "--context", "lab"], home).stdout).toContain(" calls/s");
    const diagnosed = run(["diagnose", "--context", "lab"], { ...home, IMAGESTORE_TOKEN_FILE: "" });
    expect([diagnosed.status, diagnosed.stdout.split(" of ")[0]]).toEqual([0, "imagestore diagnosis"]);
    expect(run(["diagnose", "--context", "lap"], home)).toMatchObject({ status: 4, stdout: "" });
    const bySocket = run(["top", "--once", "--url", `unix:${socket}`], { IMAGESTORE_TOKEN_FILE: "" });
    expect(bySocket.stdout).toMatch(new RegExp(`^imagestore \\S+ unix:${socket} `));
    expect(bySocket.stdout).toContain(" calls/s");
  });

  test("ends with 3 where nobody answers", () => {
    const { status, stderr } = run(["top", "--once", "--url", "http://127.0.0.1:1"]);
    expect([status, stderr]).toEqual([
      3,
      "imagestore: no answer from http://127.0.0.1:1: nothing listens there\n",
    ]);
  });
});
