import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CLI, freePort } from "../support/daemon.js";
import { blockBelow } from "../support/readme.js";
import { until } from "../support/until.js";

const CONFIG = fileURLToPath(new URL("../../config/embedded.json", import.meta.url));

/** `npm start` as its script has it, but in a folder and on ports of its own. */
describe("the quick start", () => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  let output = "";
  let host: string;
  let imagePort: string;
  let daemon: ReturnType<typeof spawn>;
  let exited: Promise<number | null>;

  beforeAll(async () => {
    const scripts = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
      scripts: { start: string };
    };
    expect(scripts.scripts.start).toContain("dist/main/cli.js serve --config config/embedded.json");
    const port = await freePort();
    imagePort = String(await freePort());
    host = `127.0.0.1:${port}`;
    daemon = spawn(process.execPath, [CLI, "serve", "--config", CONFIG], {
      cwd: folder,
      env: {
        ...process.env,
        IMAGESTORE_PORT: String(port),
        IMAGESTORE_IMAGE_SERVICE: `127.0.0.1:${imagePort}`,
      },
      stdio: ["ignore", "pipe", "inherit"],
    });
    daemon.stdout?.on("data", (chunk: Buffer) => {
      output += chunk.toString();
    });
    exited = new Promise((resolve) => daemon.once("exit", resolve));
    await until("it listens", () => output.includes("first.zfs"));
  });
  afterAll(async () => {
    daemon.kill("SIGTERM");
    expect(await exited).toBe(0);
    rmSync(folder, { recursive: true, force: true });
  });

  const paste = (lines: string) =>
    spawnSync(
      "bash",
      ["-c", `trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\nset -e -o pipefail -m\n${lines}`],
      {
        cwd: folder,
        env: { ...process.env, IMAGESTORE_URL: `http://${host}` },
        encoding: "utf8",
      },
    );

  test("prints three lines that work when pasted", () => {
    const lines = output.split("\n").filter((line) => line.startsWith("  curl "));
    expect(lines).toHaveLength(3);
    const { status, stdout, stderr } = paste(lines.join("\n"));
    expect(status, stderr).toBe(0);
    expect(stdout.match(/"result":/g)).toHaveLength(2);
    expect(readFileSync(join(folder, "first.zfs")).length).toBeGreaterThan(0);
  });

  test("has lines in the README that bring a disk round and back, byte for byte", () => {
    const lines = blockBelow("Try it without ZFS")
      .replaceAll("127.0.0.1:19999", host)
      .replaceAll("dist/main/cli.js", CLI)
      .replaceAll("127.0.0.1:20000", `127.0.0.1:${imagePort}`)
      .replace("image serve data/images", `image serve data/images --port ${imagePort}`);
    const { status, stdout, stderr } = paste(lines);
    expect(status, stderr + stdout).toBe(0);
    expect(stdout).toContain("the same bytes\n");
    expect(stdout).toMatch(/\ntank\/guests\/g1\/disk-0@s1 +0 B\n/);
  });

  test("has lines in the README by which a second node goes on with the disk, and brings it back from a backup", async () => {
    const [port, storePort] = [String(await freePort()), String(await freePort())];
    const config = join(folder, "second.json");
    const written = readFileSync(new URL("../../config/second.json", import.meta.url), "utf8");
    writeFileSync(
      config,
      written.replace("19989", port).replace("20001", storePort).replace("127.0.0.1:19999", host),
    );
    // For npx, which would else ask a registry.
    symlinkSync(fileURLToPath(new URL("../../node_modules", import.meta.url)), join(folder, "node_modules"));
    const lines = [blockBelow("A second node"), blockBelow("Backups")]
      .join("\n")
      .replaceAll("dist/main/cli.js", CLI)
      .replaceAll("127.0.0.1:19989", `127.0.0.1:${port}`)
      .replaceAll("20001", storePort)
      .replace("config/second.json", config);
    const { status, stdout, stderr } = paste(`imagestore() { node ${CLI} "$@"; }\n${lines}\nwait`);
    expect(status, stderr + stdout).toBe(0);
    expect(stdout).toMatch(/disk-0@after +0 B\n.*disk-0@s1 .*\n.*disk-0@s2 /);
    expect(stdout).toContain("the same bytes again\n");
  });
});
