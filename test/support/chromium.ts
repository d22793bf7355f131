import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "./until.js";

/** Names of the browser's program, as distributions have it. `IMAGESTORE_CHROMIUM` names another. */
const PROGRAMS = ["chromium", "chromium-browser", "google-chrome"];

/** How long the browser may take to end itself. */
const CLOSE_LIMIT_MS = 5_000;

/** @returns the program of a Chromium, or undefined where there is none. */
export function findChromium(): string | undefined {
  const { IMAGESTORE_CHROMIUM: named } = process.env;
  const candidates = named ? [named] : PROGRAMS;
  return candidates.find((program) => spawnSync(program, ["--version"]).status === 0);
}

export interface Browser {
  /** What it wrote to stderr. */
  log(): string;
  /** Ends it with all its processes, and removes its profile. */
  close(): Promise<void>;
}

/**
 * Opens a page in a headless browser with a new profile. `resolve` are its rules for names:
 * `MAP page.example 127.0.0.1`. Its own shield of local networks is off, so that only the server
 * under test can refuse a request.
 */
export function openBrowser(program: string, url: string, resolve: readonly string[]): Browser {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-browser-"));
  const child: ChildProcess = spawn(
    program,
    [
      "--headless",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      // The browser refuses to run as root with its sandbox, and it shows only our own page.
      ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests,HttpsUpgrades",
      `--host-resolver-rules=${resolve.join(",")}`,
      `--user-data-dir=${folder}`,
      url,
    ],
    // A group of its own, so that all of its processes can be ended together.
    { detached: true, stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, HOME: folder } },
  );
  let log = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    log += chunk.toString();
  });
  const exited = new Promise<void>((done) => child.once("exit", () => done()));
  const endGroup = () => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    } catch {
      // Nothing of it runs any more.
    }
  };
  return {
    log: () => log,
    close: async () => {
      // Asked politely it also ends its crash handlers, which are in groups of their own.
      child.kill("SIGTERM");
      const timer = setTimeout(endGroup, CLOSE_LIMIT_MS);
      await exited;
      clearTimeout(timer);
      endGroup();
      // Those of its processes that have just been killed may still be writing.
      await until("the profile is removed", () => {
        try {
          rmSync(folder, { recursive: true, force: true });
          return true;
        } catch {
          return false;
        }
      });
    },
  };
}
