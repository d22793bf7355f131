import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CLI } from "../support/daemon.js";
import { transportNames } from "../support/transports.js";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs `imagestore serve` to its end. */
function serve(config: object): Promise<{ status: number | null; stderr: string }> {
  const file = join(folder, "config.json");
  writeFileSync(file, JSON.stringify(config));
  const child = spawn(process.execPath, [CLI, "serve", "--config", file], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let stderr = "";
  child.stderr.on("data", (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  return new Promise((resolve) => child.once("close", (status) => resolve({ status, stderr })));
}

test.each(transportNames)("a daemon whose port is taken touches no pool, on %s", async (transport) => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
  const { port } = taken.address() as AddressInfo;
  const dataDir = join(folder, `data-${transport}`);
  const pool = { name: "tank", driver: "embedded", folder: join(folder, `tank-${transport}`) };
  const { status, stderr } = await serve({ listen: { port, transport }, dataDir, pools: [pool] });
  taken.close();
  expect(status).toBe(1);
  expect(stderr).toBe(
    `imagestore: port ${port} on 127.0.0.1 is in use: another imagestore may be running; choose another with --port\n`,
  );
  expect([existsSync(pool.folder), existsSync(dataDir)]).toEqual([false, false]);
});
