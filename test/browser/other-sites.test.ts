import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findChromium, openBrowser } from "../support/chromium.js";
import { type DaemonProcess, freePort, startDaemonProcess } from "../support/daemon.js";
import { must, type Snapshots, type Volumes } from "../support/rpc.js";
import { transportNames } from "../support/transports.js";
import {
  type AttackReport,
  PAGE_NAME,
  type PageServer,
  REBOUND_ADDRESS,
  REBOUND_NAME,
  startPageServer,
} from "./page-server.js";

const RULES = [`MAP ${PAGE_NAME} 127.0.0.1`, `MAP ${REBOUND_NAME} ${REBOUND_ADDRESS}`];
/** All attacks of a page, one after another, on a busy machine; they take about 8 s. */
const SHOWN_MS = 45_000;
/** Now and then the browser stops in the middle of a page. Then the page is shown again, which is printed. */
const TIMES_SHOWN = 3;
const PAGE_LIMIT_MS = TIMES_SHOWN * SHOWN_MS;
/** Attacks send this many requests at least; some of them are a browser's own questions before. */
const FEWEST_REFUSALS = 30;

const program = findChromium();
if (!program && process.env.REQUIRE_BROWSER === "1") {
  throw new Error("no Chromium is installed, and REQUIRE_BROWSER is 1");
}
const skipped = program ? "" : " (skipped: no Chromium is installed; Debian's package is chromium)";

/** Where a page comes from, and how it calls the daemon. */
const PAGES = [
  {
    from: "another port of this machine",
    page: (own: number) => `http://127.0.0.1:${own}`,
    target: (daemon: number) => `http://127.0.0.1:${daemon}`,
    rebind: false,
  },
  {
    from: "another name",
    page: (own: number) => `http://${PAGE_NAME}:${own}`,
    target: (daemon: number) => `http://localhost:${daemon}`,
    rebind: false,
  },
  {
    from: "a name that becomes the daemon's",
    page: (_own: number, daemon: number) => `http://${REBOUND_NAME}:${daemon}`,
    target: (daemon: number) => `http://${REBOUND_NAME}:${daemon}`,
    rebind: true,
  },
] as const;
type Page = (typeof PAGES)[number];

/** What an attack learned: neither nothing, nor why it was refused. */
function leaksOf(report: AttackReport): string[] {
  return Object.entries(report)
    .filter(([, text]) => text !== "" && !text.startsWith("forbidden: "))
    .map(([name, text]) => `${name}: ${text.slice(0, 100)}`);
}

describe.skipIf(!program).each(transportNames)(`a page in a browser, transport %s${skipped}`, (transport) => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  let daemon: DaemonProcess;
  let port = 0;
  let pages: PageServer;

  /** Starts a daemon that has one volume with one snapshot, and the server of a page. */
  async function start(listen: (own: number) => object): Promise<void> {
    port = await freePort();
    pages = await startPageServer(port);
    daemon = await startDaemonProcess({
      listen: { host: "127.0.0.1", port, transport, ...listen(pages.port) },
      pools: [{ name: "tank", driver: "embedded", folder: mkdtempSync(join(folder, "pool-")) }],
    });
    await must(daemon.url, "CreateVolume", { id: "kept", size: 8 });
    await must(daemon.url, "CreateSnapshot", { id: "kept", dest: "s" });
  }

  async function end(): Promise<void> {
    await pages.close();
    expect(await daemon.stop()).toBe(0);
  }

  /** Shows the page, and waits until it has tried everything. */
  async function attack(page: Page): Promise<AttackReport> {
    for (let time = 1; time < TIMES_SHOWN; time++) {
      try {
        return await show(page);
      } catch (error) {
        console.warn(`the page is shown again, after ${String(error).slice(0, 2_000)}`);
      }
    }
    return show(page);
  }

  async function show({ page, target, rebind }: Page): Promise<AttackReport> {
    const url = new URL(page(pages.port, port));
    url.searchParams.set("target", target(port));
    url.searchParams.set("home", `http://${PAGE_NAME}:${pages.port}`);
    url.searchParams.set("tag", "stolen");
    url.searchParams.set("snapshot", "kept@s");
    if (rebind) url.searchParams.set("rebind", "1");
    pages.leadBack();
    const browser = openBrowser(String(program), url.href, RULES);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () =>
          reject(new Error(`no report of the page, asked for ${pages.asked.join(" ")}: ${browser.log()}`)),
        SHOWN_MS,
      );
    });
    try {
      return await Promise.race([pages.report, late]);
    } finally {
      clearTimeout(timer);
      await browser.close();
    }
  }

  const metrics = async (name: string): Promise<string[]> => {
    const text = await (await fetch(`${daemon.url}/metrics`)).text();
    return text.split("\n").filter((line) => line.startsWith(name));
  };
  const volumes = async () =>
    (await must<Volumes>(daemon.url, "ListVolumes", {})).volumes.map(({ id }) => id);

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  describe.each(PAGES)("from $from", (page) => {
    let report: AttackReport;
    let callsBefore: string[];
    beforeAll(async () => {
      await start(() => ({}));
      callsBefore = await metrics("imagestore_calls_total");
      report = await attack(page);
    }, PAGE_LIMIT_MS + 30_000);
    afterAll(end);

    test("reads nothing", () => {
      expect(Object.keys(report).length).toBeGreaterThan(FEWEST_REFUSALS);
      expect(leaksOf(report)).toEqual([]);
    });

    test("calls no method, starts no download and changes nothing", async () => {
      expect(await metrics("imagestore_calls_total")).toEqual(callsBefore);
      expect(await metrics("imagestore_streamed_bytes_total")).toEqual(["imagestore_streamed_bytes_total 0"]);
      expect(await volumes()).toEqual(["tank/kept"]);
      const { snapshots } = await must<Snapshots>(daemon.url, "ListSnapshots", {});
      expect(snapshots.map(({ id }) => id)).toEqual(["tank/kept@s"]);
    });

    test("is refused each time, and the refusals are counted", async () => {
      const [line = ""] = await metrics("imagestore_forbidden_total");
      expect(Number(line.split(" ")[1])).toBeGreaterThan(FEWEST_REFUSALS);
    });
  });

  // What the tests above see must be the daemon's doing, and not a page that can't reach it anyway.
  test(
    "of an origin that is configured reaches the daemon",
    async () => {
      await start((own) => ({ origins: [`http://${PAGE_NAME}:${own}`] }));
      try {
        await attack(PAGES[1]);
        const made = await volumes();
        for (const name of ["fetch-untyped", "no-cors-untyped", "xhr-untyped", "beacon-untyped"]) {
          expect(made).toContain(`tank/stolen-${name}`);
        }
      } finally {
        await end();
      }
    },
    PAGE_LIMIT_MS + 30_000,
  );

  test(
    "of a name that is configured reads what it asks for",
    async () => {
      await start(() => ({ names: [REBOUND_NAME], origins: [`http://${REBOUND_NAME}:${port}`] }));
      try {
        const report = await attack(PAGES[2]);
        expect(report["fetch-healthz"]).toBe("ok\n");
        expect(report["fetch-untyped"]).toContain("tank/stolen-fetch-untyped");
        expect(report["fetch-download"]?.length).toBeGreaterThan(0);
        expect(await volumes()).toContain("tank/stolen-fetch-json");
      } finally {
        await end();
      }
    },
    PAGE_LIMIT_MS + 30_000,
  );
});
