import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CLI, type DaemonProcess, startDaemonProcess } from "../support/daemon.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const EXAMPLES = join(ROOT, "examples");
const hasPython = spawnSync("python3", ["--version"]).status === 0;

describe("the examples", () => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  const auth = { tokens: join(folder, "tokens.json") };
  let daemon: DaemonProcess;
  let token = "";

  beforeAll(async () => {
    const argv = [CLI, "token", "create", "--role", "operate", "--tokens", auth.tokens];
    token = spawnSync(process.execPath, argv, { encoding: "utf8" }).stdout.trim();
    daemon = await startDaemonProcess({
      listen: { port: 0 },
      pools: [{ name: "tank", driver: "embedded", folder: join(folder, "tank"), quotaBytes: 2 ** 33 }],
      imageService: "127.0.0.1:1",
      images: { attempts: 1 },
      auth,
      log: { level: "fatal" },
    });
  });
  afterAll(async () => {
    await daemon?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Runs an example against the daemon, in an empty folder. @returns what it prints. */
  async function run(...argv: string[]): Promise<string> {
    const [program = "", ...args] = argv;
    const child = spawn(program, args, {
      cwd: folder,
      env: { ...process.env, IMAGESTORE_URL: daemon.url, IMAGESTORE_TOKEN: token },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const texts = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const) {
      child[name].on("data", (chunk: Buffer) => {
        texts[name] += chunk.toString();
      });
    }
    const [status] = await once(child, "close");
    expect({ status, stderr: texts.stderr }).toEqual({ status: 0, stderr: "" });
    return texts.stdout;
  }

  test("in TypeScript compiles with the package's own types, and runs", async () => {
    const project = join(folder, "project");
    mkdirSync(join(project, "node_modules/@types"), { recursive: true });
    symlinkSync(ROOT, join(project, "node_modules/imagestore"));
    symlinkSync(join(ROOT, "node_modules/@types/node"), join(project, "node_modules/@types/node"));
    symlinkSync(join(ROOT, "node_modules/undici-types"), join(project, "node_modules/undici-types"));
    cpSync(join(EXAMPLES, "typescript/guest-disk.ts"), join(project, "guest-disk.mts"));
    const tsc = join(ROOT, "node_modules/typescript/bin/tsc");
    const flags = "--strict --module nodenext --target es2022 --types node --exactOptionalPropertyTypes";
    const argv = [tsc, ...flags.split(" "), "guest-disk.mts"];
    const compiled = spawnSync(process.execPath, argv, { cwd: project, encoding: "utf8" });
    expect([compiled.status, compiled.stdout]).toEqual([0, ""]);
    const printed = await run(process.execPath, join(project, "guest-disk.mjs"));
    expect(printed).toMatch(/^made tank\/guests\/example-ts\/disk-0, 16 MiB, at \//);
    expect(printed).toMatch(/downloaded tank\/guests\/example-ts\/disk-0@first, \d+ bytes\n$/);
  });

  test.skipIf(!hasPython)(`in Python runs${hasPython ? "" : " (skipped: no python3)"}`, async () => {
    const printed = await run("python3", join(EXAMPLES, "python/guest_disk.py"));
    expect(printed).toMatch(/^made tank\/guests\/example-py\/disk-0, 16 MiB, at \//);
    expect(printed).toMatch(/downloaded tank\/guests\/example-py\/disk-0@first, \d+ bytes\n$/);
  });

  test("by curl runs, and sees a failure whose status is 200", async () => {
    const printed = await run("sh", join(EXAMPLES, "curl/guest-disk.sh"));
    expect(printed).toContain('downloaded {"download":');
  });

  test("of Go's bytes gets every digit of its ids, and the words that agents compare", async () => {
    const printed = await run("sh", join(EXAMPLES, "curl/go-client.sh"));
    const lines = printed.trim().split("\n");
    expect(lines[0]).toMatch(
      /^\{"result":\{"volumes":\[\{"id":"tank\/guests\/example-go".*"error":null,"id":5577006791947779410\}$/,
    );
    expect(lines[1]).toMatch(/"id":8674665223082153551\}$/);
    expect(lines[2]).toBe('{"result":null,"error":"not found","id":15352856648520921629}');
    expect(lines[3]).toMatch(/"error":null,"id":3916589616287113937\}$/);
  });

  test("of load counts answers and failures", async () => {
    const printed = await run(process.execPath, join(EXAMPLES, "load/get-volume.mjs"), "1", "2");
    expect(printed).toMatch(/^\d+ answers, 0 of them failures \{\}\n0 connections without an answer, 0 with/);
    expect(Number.parseInt(printed, 10)).toBeGreaterThan(10);
  });

  test("leave nothing behind", async () => {
    const body = JSON.stringify({ jsonrpc: "2.0", method: "ListVolumes", params: {}, id: 1 });
    const headers = { "Content-Type": "application/json", Authorization: `Bearer ${token}` };
    const reply = await fetch(`${daemon.url}/rpc`, { method: "POST", headers, body });
    expect(await reply.json()).toMatchObject({ result: { volumes: [] } });
  });
});
