import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { listProcesses } from "../../src/main/threads/process-list.js";
import { startDaemonProcess } from "../support/daemon.js";
import { listenForNotify, type NotifyListener, whyNoListener } from "../support/notify-listener.js";
import { standInPool } from "../support/stand-in-zfs.js";
import { isAlive, until } from "../support/until.js";

const reason = whyNoListener();
if (reason) console.log(`service-manager.test.ts is skipped: ${reason}`);

const WATCHDOG_MS = 1_000;

async function childOf(pid: number, program: string): Promise<number> {
  const found = (await listProcesses(pid)).find(({ parent, name }) => parent === pid && name === program);
  if (!found) throw new Error(`no ${program}`);
  return found.pid;
}

describe.skipIf(reason !== undefined)("what systemd is told", () => {
  let folder: string;
  let listener: NotifyListener;
  let env: NodeJS.ProcessEnv;

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
    const NOTIFY_SOCKET = join(folder, "notify");
    listener = await listenForNotify(NOTIFY_SOCKET);
    env = { NOTIFY_SOCKET, WATCHDOG_USEC: String(WATCHDOG_MS * 1_000) };
  });
  afterEach(async () => {
    await listener.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const pools = () => [{ name: "tank", driver: "embedded", folder: join(folder, "pool") }];
  const heard = (variable: string) => listener.variables().filter((each) => each === variable).length;

  /** A daemon that is ended with the test. */
  async function start(config: Record<string, unknown>, more: NodeJS.ProcessEnv = {}) {
    const daemon = await startDaemonProcess({ listen: { port: 0 }, ...config }, { ...env, ...more });
    onTestFinished(async () => {
      if (isAlive(daemon.pid)) process.kill(daemon.pid, "SIGKILL");
      await daemon.exited;
    });
    return daemon;
  }

  test("that pools are opened, that all are open, that main lives, and that it stops", async () => {
    const daemon = await start({ pools: pools() });
    await until("the watchdog is fed three times", () => heard("WATCHDOG=1") >= 3);
    expect(heard("STATUS=serving: tank ready")).toBeGreaterThanOrEqual(3);
    expect(await daemon.stop()).toBe(0);
    await until("the stop was heard", () => heard("STOPPING=1") === 1);
    const all = listener.variables();
    expect(all.slice(0, 2)).toEqual(["STATUS=opening tank", "EXTEND_TIMEOUT_USEC=60000000"]);
    expect(all.filter((each) => each === "READY=1")).toHaveLength(1);
    expect(all.indexOf("READY=1")).toBeLessThan(all.indexOf("WATCHDOG=1"));
    // graceMs is 10 s by default.
    expect(all.slice(-3)).toEqual(["STOPPING=1", "STATUS=stopping", "EXTEND_TIMEOUT_USEC=60000000"]);
  });

  test("nothing while main is stopped, so that systemd ends it", async () => {
    const daemon = await start({ pools: pools() });
    await until("the watchdog is fed", () => heard("WATCHDOG=1") >= 2);
    process.kill(daemon.pid, "SIGSTOP");
    // What was under way when it was stopped.
    await sleep(WATCHDOG_MS / 2);
    const fed = heard("WATCHDOG=1");
    await sleep(3 * WATCHDOG_MS);
    expect(heard("WATCHDOG=1")).toBe(fed);
    process.kill(daemon.pid, "SIGCONT");
    await until("the watchdog is fed again", () => heard("WATCHDOG=1") > fed);
  });

  test("which pool does not answer, while the others are served and main lives", async () => {
    const silent = standInPool(folder, "silent");
    const daemon = await start({ pools: [...pools(), silent], timeouts: { readyMs: 100 } });
    await until("both are ready", () => heard("STATUS=serving: tank ready; silent ready") > 0);
    // Its runner is what its actor asks.
    const runner = await childOf(daemon.pid, "node");
    process.kill(runner, "SIGSTOP");
    onTestFinished(() => {
      if (isAlive(runner)) process.kill(runner, "SIGKILL");
    });
    const isTold = (each: string) => /^STATUS=NOT READY: tank ready; silent .*no answer within/.test(each);
    await until("the silent pool is named", () => listener.variables().some(isTold));
    const fed = heard("WATCHDOG=1");
    await until("main is still alive", () => heard("WATCHDOG=1") >= fed + 2);
  });

  test("by another shell, where the one that tells it has ended", async () => {
    const daemon = await start({ pools: pools() });
    await until("the watchdog is fed", () => heard("WATCHDOG=1") >= 2);
    process.kill(await childOf(daemon.pid, "sh"), "SIGKILL");
    const fed = heard("WATCHDOG=1");
    await until("the watchdog is fed again", () => heard("WATCHDOG=1") >= fed + 2, 5 * WATCHDOG_MS);
  });

  test("why it could not start", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    onTestFinished(() => void taken.close());
    await until("the port is taken", () => taken.listening);
    const address = taken.address();
    const port = typeof address === "object" && address ? address.port : 0;
    await expect(startDaemonProcess({ listen: { port }, pools: pools() }, env)).rejects.toThrow("status 1");
    const isTold = (each: string) => each.startsWith("STATUS=") && each.includes(String(port));
    await until("the reason was heard", () => listener.variables().some(isTold));
    expect(heard("READY=1")).toBe(0);
  });

  test("nothing of the watchdog where it means another process", async () => {
    await start({ pools: pools() }, { WATCHDOG_PID: "1" });
    await until("it is ready", () => heard("STATUS=serving: tank ready") === 1);
    await sleep(2 * WATCHDOG_MS);
    expect(heard("WATCHDOG=1")).toBe(0);
    expect(heard("STATUS=serving: tank ready")).toBe(1);
  });

  test("by a socket in the abstract namespace too", async () => {
    const NOTIFY_SOCKET = `@imagestore-test-${randomBytes(6).toString("hex")}`;
    const abstract = await listenForNotify(NOTIFY_SOCKET);
    onTestFinished(() => abstract.stop());
    await start({ pools: pools() }, { NOTIFY_SOCKET });
    await until("it is ready", () => abstract.variables().includes("READY=1"));
  });
});

test("without systemd-notify the daemon serves, and says once that systemd could not be told", async () => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  for (const name of ["sh", "timeout"]) symlinkSync(`/usr/bin/${name}`, join(folder, name));
  const pools = [{ name: "tank", driver: "embedded", folder: join(folder, "pool") }];
  const env = { PATH: folder, NOTIFY_SOCKET: join(folder, "notify"), WATCHDOG_USEC: "200000" };
  const daemon = await startDaemonProcess({ listen: { port: 0 }, pools }, env);
  onTestFinished(async () => void (await daemon.stop()));
  await until("it is said", () => daemon.log().includes("systemd could not be told"));
  await sleep(1_000);
  expect(daemon.log().match(/systemd could not be told/g)).toHaveLength(1);
  expect((await fetch(`${daemon.url}/readyz`)).status).toBe(200);
});
