import { mkdtempSync, rmSync } from "node:fs";
import { isBuiltin } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type DaemonProcess, startDaemonProcess } from "../support/daemon.js";
import { must, type Volumes } from "../support/rpc.js";

const hider = fileURLToPath(new URL("../support/hide-packages.mjs", import.meta.url));
const WITHOUT_ADDON = { NODE_OPTIONS: `--import ${hider}`, HIDE_PACKAGES: "sqlite3" };
const hasBuiltin = isBuiltin("node:sqlite");

describe("a daemon without the binary of sqlite3", () => {
  let folder: string;
  let daemon: DaemonProcess | undefined;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  });
  afterEach(async () => {
    await daemon?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  async function start(env: NodeJS.ProcessEnv): Promise<DaemonProcess> {
    const pools = [{ name: "tank", driver: "embedded", folder: join(folder, "pool") }];
    const config = { listen: { port: 0 }, pools, dataDir: join(folder, "records"), log: { level: "info" } };
    daemon = await startDaemonProcess(config, env);
    return daemon;
  }

  async function idsOf(url: string): Promise<string[]> {
    const { volumes } = await must<Volumes>(url, "ListVolumes", {});
    return volumes.map(({ id }) => id).sort();
  }

  test.skipIf(hasBuiltin)(
    "where Node has no SQLite, does not start and says in one line what to run",
    async () => {
      const failed = start(WITHOUT_ADDON);
      await expect(failed).rejects.toThrow(/status 1/);
      await expect(failed).rejects.toThrow(
        /no SQLite can be loaded: .*Node 22\.13 or newer.*a C\+\+ compiler/,
      );
      const text = await failed.catch((error: Error) => error.message);
      expect(text).not.toContain("    at ");
    },
  );

  test.skipIf(!hasBuiltin)(
    "keeps what it has acknowledged when it is killed, for a daemon with it as well",
    async () => {
      const first = await start(WITHOUT_ADDON);
      for (const id of ["a", "b"]) await must(first.url, "CreateVolume", { id, size: 1 });
      first.process.kill("SIGKILL");
      await first.exited;
      const second = await start({});
      expect(await idsOf(second.url)).toEqual(["tank/a", "tank/b"]);
      await must(second.url, "CreateVolume", { id: "c", size: 1 });
      second.process.kill("SIGKILL");
      await second.exited;
      const third = await start(WITHOUT_ADDON);
      expect(await idsOf(third.url)).toEqual(["tank/a", "tank/b", "tank/c"]);
      expect(first.log() + third.log()).not.toMatch(/experimental/i);
    },
  );

  test.skipIf(!hasBuiltin)("refuses a second daemon on the same pool", async () => {
    await start(WITHOUT_ADDON);
    const first = daemon;
    await expect(start(WITHOUT_ADDON)).rejects.toThrow(/is open in another imagestore/);
    daemon = first;
  });
});

if (!hasBuiltin)
  console.log(`not tried: daemons with the SQLite of Node, since Node ${process.versions.node} has none`);
