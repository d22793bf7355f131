import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type DaemonProcess, startDaemonProcess } from "../support/daemon.js";
import { call, must, type Volumes } from "../support/rpc.js";
import { until } from "../support/until.js";

/** What may happen to the files of a catalog after a crash; with each, what the next start says. */
const DAMAGE = [
  ["the file is emptied", (path: string) => writeFileSync(path, ""), /pool\.db, is empty/],
  ["the file is removed", (path: string) => rmSync(path), /pool\.db, is missing/],
  ["the file is cut in half", (path: string) => truncateSync(path, 8192), /pool\.db, is damaged/],
  ["the header is overwritten", (path: string) => overwrite(path, 0), /pool\.db, is damaged/],
  ["a page is overwritten", (path: string) => overwrite(path, 4096), /pool\.db, is damaged/],
] as const;

function overwrite(path: string, at: number): void {
  writeFileSync(path, readFileSync(path).fill("x", at, at + 4096));
}

describe("a daemon that was killed, and its catalog", () => {
  let folder: string;
  let daemon: DaemonProcess | undefined;
  const pool = () => join(folder, "pool");
  const catalog = () => join(pool(), "pool.db");

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  });
  afterEach(async () => {
    await daemon?.stop();
    daemon = undefined;
    rmSync(folder, { recursive: true, force: true });
  });

  async function start(...flags: string[]): Promise<DaemonProcess> {
    daemon = await startDaemonProcess(
      {
        listen: { port: 0 },
        pools: [{ name: "tank", driver: "embedded", folder: pool() }],
        dataDir: join(folder, "records"),
      },
      {},
      flags,
    );
    return daemon;
  }

  async function createVolumes(url: string, ids: readonly string[]): Promise<void> {
    for (const id of ids) {
      const { volumes } = await must<Volumes>(url, "CreateVolume", { id, size: 1 });
      writeFileSync(volumes[0]?.device ?? "", id, { flag: "r+" });
    }
  }

  async function kill(): Promise<void> {
    daemon?.process.kill("SIGKILL");
    await daemon?.exited;
    daemon = undefined;
  }

  /** The first character of each file with data, wherever it is. */
  function allData(): string {
    const folders = [join(pool(), "volumes"), join(pool(), "lost")].filter(existsSync);
    const paths = folders.flatMap((path) => readdirSync(path).map((file) => join(path, file)));
    return paths
      .map((path) => readFileSync(path, "latin1").charAt(0))
      .sort()
      .join("");
  }

  const ready = async () => (await fetch(`${daemon?.url}/readyz`)).json();
  const volumeIds = async () => {
    const { volumes } = await must<Volumes>(daemon?.url ?? "", "ListVolumes", {});
    return volumes.map(({ id }) => id);
  };

  test.each(DAMAGE)("%s: refused with what to do, and --recover brings all back", async (_, damage, said) => {
    const { url, stop } = await start();
    await createVolumes(url, ["a", "b", "c"]);
    await stop();
    await start();
    await kill();
    damage(catalog());
    for (const suffix of ["-wal", "-shm"]) rmSync(`${catalog()}${suffix}`, { force: true });
    const refused = start();
    await expect(refused).rejects.toThrow(said);
    await expect(refused).rejects.toThrow("imagestore serve --recover");
    await expect(refused).rejects.toThrow(join(pool(), "pool.backup.db"));
    expect(allData()).toBe("abc");
    await start("--recover");
    expect(await volumeIds()).toEqual(["tank/a", "tank/b", "tank/c"]);
    expect(await ready()).toEqual({ ready: true, stopping: false, pools: { tank: "ready" } });
    expect(allData()).toBe("abc");
  });

  test("the journal is removed at once: what it alone knew is set aside, and readyz and the log name where", async () => {
    const { url } = await start();
    await createVolumes(url, ["a", "b"]);
    await until("the journal is emptied", () => readFileSync(`${catalog()}-wal`).length === 0);
    await createVolumes(url, ["c"]);
    await kill();
    for (const suffix of ["-wal", "-shm"]) rmSync(`${catalog()}${suffix}`, { force: true });
    const { log } = await start();
    expect(allData()).toBe("abc");
    const known = await volumeIds();
    expect(known).toEqual(expect.arrayContaining(["tank/a", "tank/b"]));
    // A checkpoint may have come between the creation and the kill.
    if (known.includes("tank/c")) return;
    const lost = join(pool(), "lost");
    expect(readdirSync(lost)).toHaveLength(1);
    const notice = `files that the catalog did not know are kept in ${lost}: 1`;
    expect(await ready()).toEqual({
      ready: true,
      stopping: false,
      pools: { tank: "ready" },
      notices: { tank: [notice] },
    });
    await expect.poll(log).toContain(notice);
    rmSync(lost, { recursive: true });
    expect(await ready()).toEqual({ ready: true, stopping: false, pools: { tank: "ready" } });
  });

  test("the records are lost while a download runs: its hold is released at the next start", async () => {
    const { url } = await start();
    await createVolumes(url, ["a"]);
    const { volumes } = await must<Volumes>(url, "CreateVolume", { id: "large", size: 64 });
    writeFileSync(volumes[0]?.device ?? "", Buffer.alloc(64 * 1_048_576, "x"), { flag: "r+" });
    await must(url, "CreateSnapshot", { id: "large", dest: "s" });
    const stop = new AbortController();
    const response = await fetch(`${url}/snapshots/download?id=large@s`, { signal: stop.signal });
    expect(response.status).toBe(200);
    const { error } = await call(url, "DeleteSnapshot", { id: "large@s" });
    expect(error).toContain("is held");
    await kill();
    stop.abort();
    rmSync(join(folder, "records"), { recursive: true });
    const next = await start();
    await must(next.url, "DeleteSnapshot", { id: "large@s" });
  });

  test("the journal is cut or overwritten: every file is kept", async () => {
    for (const damage of ["cut", "overwritten"] as const) {
      const { url } = await start();
      await createVolumes(url, [damage === "cut" ? "a" : "b"]);
      await kill();
      const journal = `${catalog()}-wal`;
      const content = readFileSync(journal);
      writeFileSync(journal, damage === "cut" ? content.subarray(0, 100) : content.fill("x"));
      await start("--recover");
      await kill();
    }
    expect(allData()).toBe("ab");
  });
});

describe("the files of a daemon", () => {
  test.each(["0000", "0022", "0077"])("are its user's alone with the umask %s", async (mask) => {
    const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
    const before = process.umask(Number.parseInt(mask, 8));
    let daemon: DaemonProcess | undefined;
    try {
      daemon = await startDaemonProcess({
        listen: { port: 0 },
        pools: [{ name: "tank", driver: "embedded", folder: join(folder, "pool") }],
        dataDir: join(folder, "records"),
      });
      const { url } = daemon;
      await must(url, "CreateVolume", { id: "v", size: 1 });
      await must(url, "CreateSnapshot", { id: "v", dest: "s" });
      const { guest } = await must<{ guest: { disks: unknown[] } }>(url, "CreateGuestDisks", {
        guest: { id: "g", disks: [{ size: 1 }] },
      });
      expect(guest.disks).toHaveLength(1);
      await must(url, "RollbackSnapshot", { id: "v@s" });
      const whileOpen = modesBelow(folder);
      await daemon.stop();
      for (const modes of [whileOpen, modesBelow(folder)]) {
        const files = modes.filter(({ isFile }) => isFile);
        expect(files.length).toBeGreaterThanOrEqual(5);
        expect(files.filter(({ mode }) => mode !== 0o600)).toEqual([]);
        expect(modes.filter(({ isFile, mode }) => !isFile && (mode & 0o027) !== 0)).toEqual([]);
      }
    } finally {
      process.umask(before);
      await daemon?.stop();
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

/** The modes of all files and folders that the daemon made, without links. */
function modesBelow(folder: string) {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() || entry.isDirectory())
    .map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return { path, isFile: entry.isFile(), mode: statSync(path).mode & 0o777 };
    });
}
