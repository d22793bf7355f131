import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type DaemonProcess, startDaemonProcess } from "../support/daemon.js";
import { leaveOpen, UNFINISHED_BODIES } from "../support/unfinished-requests.js";

const BODY_MS = 2_000;
/** A busy machine may be late. */
const LIMIT_MS = 15_000;

// uWebSockets.js may be faster with a limit of its own: test/fuzz/front-end.test.ts asks it too.
const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
let daemon: DaemonProcess;
beforeAll(async () => {
  daemon = await startDaemonProcess({
    listen: { port: 0, transport: "node", bulk: { port: 0 } },
    pools: [{ name: "tank", driver: "embedded", folder: join(folder, "pool") }],
    timeouts: { bodyMs: BODY_MS },
    log: { level: "error" },
  });
});
afterAll(async () => {
  expect(await daemon.stop()).toBe(0);
  rmSync(folder, { recursive: true, force: true });
});

test.each(["main", "bulk"] as const)(
  "a request of which there comes no more than a head has timeouts.bodyMs on the %s port, whatever it lacks",
  async (port) => {
    const url = new URL(port === "main" ? daemon.url : daemon.bulkUrl);
    const ends = await Promise.all(
      UNFINISHED_BODIES.map(async (one) => {
        const end = await leaveOpen(Number(url.port), one, LIMIT_MS).catch(() => undefined);
        return [
          one.name,
          end && end.ms >= BODY_MS - 100 && end.text.replace(/^HTTP\/1\.1 100[^\n]*\n\r\n/, ""),
        ];
      }),
    );
    const late = `the body did not arrive within timeouts.bodyMs (${BODY_MS} ms)`;
    expect(ends).toEqual(UNFINISHED_BODIES.map(({ name }) => [name, expect.stringContaining(late)]));
    expect(ends.filter(([, text]) => !/^HTTP\/1\.1 408 /.test(String(text)))).toEqual([]);
  },
);

test("of clients that have gone nothing stays on the bulk port", async () => {
  const port = Number(new URL(daemon.bulkUrl).port);
  await Promise.all(UNFINISHED_BODIES.map((one) => leaveOpen(port, one, LIMIT_MS, true)));
  expect(await (await fetch(`${daemon.url}/diagnose`)).text()).toMatch(/bulk connections +0 of /);
});
