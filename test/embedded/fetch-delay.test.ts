import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe } from "vitest";
import { startDaemonProcess } from "../support/daemon.js";
import { describeFetchDelay } from "../support/fetch-delay.js";

describe("changes of an embedded pool beside a long fetch", () => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-delay-"));
  describeFetchDelay({
    pools: ["tank", "dozer"],
    fetchMs: 4_000,
    start: (port) =>
      startDaemonProcess({
        listen: { port: 0 },
        pools: ["tank", "dozer"].map((name) => ({ name, driver: "embedded", folder: join(folder, name) })),
        imageService: `127.0.0.1:${port}`,
        dataDir: join(folder, "records"),
      }),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  });
});
