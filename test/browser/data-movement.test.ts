import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bytes, type ImageService, openImageService } from "../conformance/image-service.js";
import { findChromium } from "../support/chromium.js";
import { CLI, type DaemonProcess, startDaemonProcess } from "../support/daemon.js";
import { type ObjectEngine, startObjectEngine } from "../support/object-engine.js";
import { axeViolations, launchChromium, openPage, type PageOptions } from "../support/page-browser.js";
import { must } from "../support/rpc.js";
import { until } from "../support/until.js";

const program = findChromium();
if (!program && process.env.REQUIRE_BROWSER) throw new Error("there is no Chromium");
const skipped = program ? "" : ", skipped: there is no Chromium";

const OFTEN = "*/4 * * * * *";

describe.skipIf(!program)(`data that moves, on the page${skipped}`, () => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  const tokens: Record<string, string> = {};
  /** It knows no peer and no store. */
  let source: DaemonProcess;
  /** It knows the other one, a store, and a peer that is not there. */
  let daemon: DaemonProcess;
  let engine: ObjectEngine;
  let images: ImageService;
  let browser: Browser;

  const cli = (...argv: string[]) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...argv], { encoding: "utf8" });
    expect(status, stderr).toBe(0);
    return stdout.trim();
  };
  const packedImage = () => {
    writeFileSync(join(folder, "base.raw"), Buffer.alloc(1024 ** 2, "base"));
    cli("image", "pack", join(folder, "base.raw"), "-o", join(folder, "base.zfs"));
    return readFileSync(join(folder, "base.zfs"));
  };

  async function call<T>(method: string, params: object): Promise<T> {
    const reply = await fetch(`${daemon.url}/rpc`, {
      method: "POST",
      headers: { authorization: `Bearer ${tokens.admin}`, "content-type": "application/json" },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
    });
    const { result, error } = (await reply.json()) as { result?: T; error?: unknown };
    expect(error).toBeUndefined();
    return result as T;
  }
  const idsOf = async (method: string, member: string, params: object = {}) => {
    const answer = await call<Record<string, { id: string }[] | null>>(method, params);
    return (answer[member] ?? []).map(({ id }) => id);
  };

  async function signedIn(role: string, options?: PageOptions) {
    const opened = await openPage(browser, daemon.url, options);
    await opened.page.getByLabel("Token").fill(tokens[role] ?? "");
    await opened.page.keyboard.press("Enter");
    await opened.page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
    return opened;
  }
  const go = (page: Page, view: string, selected = "") =>
    page.evaluate(`location.hash = "#/${view}${selected && `/${encodeURIComponent(selected)}`}"`);

  beforeAll(async () => {
    for (const role of ["read", "operate", "admin"])
      tokens[role] = cli("token", "create", "--tokens", join(folder, "tokens.json"), "--role", role);
    engine = await startObjectEngine(folder);
    images = await openImageService(0);
    images.serve("base", bytes(packedImage()));
    const pool = (name: string) => [{ name: "tank", driver: "embedded", folder: join(folder, name) }];
    source = await startDaemonProcess({ listen: { port: 0 }, pools: pool("source") });
    await must(source.url, "CreateVolume", { id: "guests/db1/disk-0", size: 8 });
    await must(source.url, "CreateSnapshot", { id: "guests/db1/disk-0", dest: "s1" });
    const entry = (volume: string, peer: string) => ({
      ...{ volume, peer, source: "guests/db1/disk-0", schedule: OFTEN },
    });
    daemon = await startDaemonProcess({
      listen: { port: 0 },
      auth: { tokens: join(folder, "tokens.json") },
      pools: pool("target"),
      imageSources: [new URL(images.url).host],
      peers: { first: { url: source.url }, gone: { url: "http://127.0.0.1:9" } },
      replication: [entry("copies/db1", "first"), entry("copies/gone", "gone")],
      backups: { local: engine.profile, spare: { ...engine.profile, prefix: "spare" } },
    });
    await call("CreateVolume", { id: "guests/web1/disk-0", size: 8 });
    for (const dest of ["monday", "tuesday"])
      await call("CreateSnapshot", { id: "guests/web1/disk-0", dest });
    if (program) browser = await launchChromium(program);
  });
  afterAll(async () => {
    await browser?.close();
    await daemon?.stop();
    await source?.stop();
    await images?.close();
    await engine?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test("a volume is pulled from a peer, copied, fenced with a mark, and unfenced, by an operator", async () => {
    const { page, context, wrongs } = await signedIn("operate");
    const dialog = page.getByRole("dialog");
    await go(page, "volumes");
    await page.getByRole("button", { name: "Bring a volume here from a peer" }).click();
    await dialog.getByLabel("Its volume").fill("guests/db1/disk-0");
    await dialog.getByLabel("Name here").fill("guests/db1/disk-0");
    expect(await axeViolations(page)).toEqual([]);
    await dialog.getByRole("button", { name: "Pull it" }).click();
    await page.getByText("guests/db1/disk-0 is as new as its source").waitFor();
    expect(await idsOf("ListSnapshots", "snapshots", { id: "guests/db1/disk-0" })).toEqual([
      "tank/guests/db1/disk-0@s1",
    ]);

    await call("SetVolume", { id: "guests/db1/disk-0", readonly: false });
    await call("CreateSnapshot", { id: "guests/db1/disk-0", dest: "own" });
    await must(source.url, "CreateSnapshot", { id: "guests/db1/disk-0", dest: "s2" });
    await go(page, "volumes", "tank/guests/db1/disk-0");
    await page.getByRole("button", { name: "From a peer", exact: true }).click();
    await dialog.getByLabel("Destroy what the copy has").check();
    await dialog.getByRole("button", { name: "Show what would go" }).click();
    await dialog.getByText("tank/guests/db1/disk-0@own").waitFor();
    await dialog.getByRole("button", { name: "Pull it" }).click();
    await until("it has what its source has", async () =>
      (await idsOf("ListSnapshots", "snapshots", { id: "guests/db1/disk-0" })).includes(
        "tank/guests/db1/disk-0@s2",
      ),
    );

    await go(page, "volumes", "tank/guests/web1/disk-0");
    await page.getByRole("button", { name: "Copy", exact: true }).click();
    await dialog.getByLabel("Name of the copy").fill("guests/web2/disk-0");
    await dialog.getByRole("button", { name: "Copy it" }).click();
    await page.getByText("guests/web2/disk-0 is a copy of").waitFor();
    expect(await idsOf("ListVolumes", "volumes")).toContain("tank/guests/web2/disk-0");

    await go(page, "volumes", "tank/guests/web2/disk-0");
    await page.getByRole("button", { name: "Fence" }).click();
    await dialog.getByRole("button", { name: "Fence it" }).click();
    const row = page.getByRole("listbox").getByRole("option", { name: "web2" });
    await row.getByText("fenced").waitFor();
    await page.getByLabel("Selected volume").getByText("fenced", { exact: true }).first().waitFor();
    expect(await page.getByRole("button", { name: "Delete", exact: true }).count()).toBe(0);
    expect(await idsOf("ListVolumes", "volumes", { tag: "imagestore.fence" })).toEqual([
      "tank/guests/web2/disk-0",
    ]);
    await page.getByRole("button", { name: "Unfence" }).click();
    await dialog.getByRole("button", { name: "Unfence it" }).click();
    await row.getByText("fenced").waitFor({ state: "detached" });
    await call("DeleteDataset", { id: "guests/web2" });
    expect(wrongs).toEqual([]);
    await context.close();
  });

  test("a guest's disk migrates here, and is fenced where it was", async () => {
    const { page, context, wrongs } = await signedIn("operate");
    const dialog = page.getByRole("dialog");
    await must(source.url, "CreateVolume", { id: "guests/moves/disk-0", size: 8 });
    for (const [way, action, done] of [
      ["Migrate", "Bring it here", "is here, but for what is written from now on"],
      ["Finish migration", "Fence it there and finish", "is here, and fenced where it was"],
    ] as const) {
      await go(page, "volumes");
      await page.getByRole("button", { name: "Bring a volume here from a peer" }).click();
      await dialog.getByText(way, { exact: true }).click();
      await dialog.getByLabel("Its volume").fill("guests/moves/disk-0");
      await dialog.getByLabel("Name here").fill("guests/moves/disk-0");
      if (way === "Finish migration") {
        await dialog.getByRole("button", { name: "Show what it would do" }).click();
        await dialog.getByText("Fence tank/guests/moves/disk-0 at first").waitFor();
        expect(await dialog.getByRole("listitem").allInnerTexts()).toEqual([
          "Fence tank/guests/moves/disk-0 at first",
          expect.stringMatching(/^Take the snapshot tank\/guests\/moves\/disk-0@migrate-\w+$/),
          expect.stringMatching(
            /^Receive what is newer than tank\/guests\/moves\/disk-0@migrate-\w+, about /,
          ),
          "Make the volume here writable",
          expect.stringMatching(/^tank\/guests\/moves\/disk-0@migrate-\w+$/),
        ]);
        expect(await axeViolations(page)).toEqual([]);
        const volumes = { tag: "imagestore.fence" };
        expect(await must(source.url, "ListVolumes", volumes)).toEqual({ volumes: [] });
      }
      await dialog.getByRole("button", { name: action }).click();
      await page.getByText(`guests/moves/disk-0 ${done}`).waitFor();
    }
    const fenced = await must<{ volumes: { id: string }[] }>(source.url, "ListVolumes", {
      tag: "imagestore.fence",
    });
    expect(fenced.volumes.map(({ id }) => id)).toEqual(["tank/guests/moves/disk-0"]);
    expect(wrongs).toEqual([]);
    await context.close();
  });

  test("shows schedules and how they go, in the dark too", async () => {
    const { page, context, wrongs } = await signedIn("operate", { colorScheme: "dark" });
    await go(page, "replication");
    const copied = page.getByRole("row", { name: "tank/copies/db1" });
    await copied.getByText("in order").waitFor();
    const gone = page.getByRole("row", { name: "tank/copies/gone" });
    await gone.getByText("failing").waitFor();
    await gone.getByText("in a row: ").waitFor();
    expect(await axeViolations(page)).toEqual([]);
    await page.getByLabel("Filter by name or peer").fill("first");
    await page.getByText("1 of 2 replications").waitFor();
    await must(source.url, "CreateSnapshot", { id: "guests/db1/disk-0", dest: "now" });
    await page.getByRole("button", { name: "Pull tank/copies/db1 now" }).press("Enter");
    await until("the new snapshot is here", async () =>
      (await idsOf("ListSnapshots", "snapshots", { id: "copies/db1" })).includes("tank/copies/db1@now"),
    );
    expect(wrongs).toEqual([]);
    await context.close();
  });

  test("backs a snapshot up, verifies, restores, and prunes what it has named", async () => {
    const { page, context, wrongs } = await signedIn("admin");
    const dialog = page.getByRole("dialog");
    await go(page, "volumes", "tank/guests/web1/disk-0");
    await page.getByRole("button", { name: "Back up monday" }).click();
    await dialog.getByRole("button", { name: "Back it up" }).click();
    await page.getByText("monday has a backup in local").waitFor();
    await go(page, "backups");
    const row = (name: string) => page.getByRole("row", { name: `tank/guests/web1/disk-0@${name}` });
    await row("monday").getByText("full").waitFor();
    await row("monday").getByRole("cell", { name: "no", exact: true }).waitFor();
    await page.getByRole("button", { name: "Back up a snapshot" }).click();
    await dialog.getByLabel("Snapshot").fill("guests/web1/disk-0@tuesday");
    await dialog.getByLabel("No increment of an earlier one: all of it").check();
    expect(await axeViolations(page)).toEqual([]);
    await dialog.getByRole("button", { name: "Back it up" }).click();
    await row("tuesday").getByText("whole").waitFor();
    await page.getByRole("button", { name: "Verify tank/guests/web1/disk-0@tuesday" }).click();
    await page.getByText("disk-0@tuesday can be restored").waitFor();
    await page.getByRole("button", { name: "Restore tank/guests/web1/disk-0@monday" }).click();
    const name = dialog.getByLabel("Name of the new volume");
    await name.fill("guests/web1/disk-0");
    await dialog.getByRole("button", { name: "Show what it would do" }).click();
    await dialog.getByRole("alert").getByText("dataset already exists").waitFor();
    await name.fill("guests/web1/restored");
    await dialog.getByRole("button", { name: "Show what it would do" }).click();
    await dialog.getByText("No volumes or snapshots would go.").waitFor();
    expect(await dialog.getByRole("listitem").allInnerTexts()).toEqual([
      expect.stringMatching(/^Receive tank\/guests\/web1\/disk-0@monday, full: [\d.]+ \w*B$/),
      expect.stringMatching(/^Make tank\/guests\/web1\/restored of 8 MiB, from [\d.]+ \w*B$/),
    ]);
    expect(await axeViolations(page)).toEqual([]);
    expect(await idsOf("ListVolumes", "volumes")).not.toContain("tank/guests/web1/restored");
    await dialog.getByRole("button", { name: "Restore it" }).click();
    await page.getByText("guests/web1/restored is what").waitFor();
    expect(await idsOf("ListSnapshots", "snapshots", { id: "guests/web1/restored" })).toEqual([
      "tank/guests/web1/restored@monday",
    ]);

    await page.getByRole("button", { name: "Prune" }).click();
    await dialog.getByLabel("Keep so many of each volume").fill("1");
    await dialog.getByLabel("Keep those of so many days").fill("");
    await dialog.getByRole("button", { name: "Show what would go" }).click();
    await dialog.getByText("1 backups and leftovers would go").waitFor();
    expect(await dialog.getByRole("listitem").allInnerTexts()).toEqual(["tank/guests/web1/disk-0@monday"]);
    expect(await idsOf("ListBackups", "backups", { profile: "local" })).toHaveLength(2);
    expect(await axeViolations(page)).toEqual([]);
    await dialog.getByRole("button", { name: "Remove them" }).click();
    await row("monday").waitFor({ state: "detached" });
    expect(await idsOf("ListBackups", "backups", { profile: "local" })).toHaveLength(1);

    await page.getByText("spare", { exact: true }).click();
    await page.getByText("There is no such backup.").waitFor();
    expect(wrongs).toEqual([]);
    await context.close();
  });

  test("an image with a clone goes to the trash, and others are pruned after they were named", async () => {
    const { page, context, wrongs } = await signedIn("admin");
    const dialog = page.getByRole("dialog");
    const wanted = { type: "kvm", source: `${images.url}/images/base/download` };
    for (const id of ["used", "idle"]) await call("RequestImage", { id, ...wanted });
    await call("CloneImage", { id: "used", dest: "guests/of-used/disk-0" });
    await go(page, "images");
    await page.getByRole("button", { name: "Delete used" }).click();
    await dialog.getByLabel("To the trash if it has clones").check();
    await dialog.getByRole("button", { name: "Delete it" }).click();
    const trash = page.getByRole("table").filter({ hasText: "trash" });
    await trash.getByRole("rowheader", { name: "used" }).waitFor();
    expect(await axeViolations(page)).toEqual([]);
    await trash.getByRole("button", { name: "Restore used" }).click();
    await page.getByText("The image used is back").waitFor();
    await trash.waitFor({ state: "detached" });
    await page.getByRole("button", { name: "Clone used" }).waitFor();
    expect(await idsOf("ListImages", "images")).toEqual(["idle", "used"]);
    await page.getByRole("button", { name: "Delete used" }).click();
    await dialog.getByLabel("To the trash if it has clones").check();
    await dialog.getByRole("button", { name: "Delete it" }).click();
    await trash.getByRole("rowheader", { name: "used" }).waitFor();

    await page.getByRole("button", { name: "Prune" }).click();
    await dialog.getByLabel("Not used for days").fill("x");
    await dialog.getByText("A number of days, or nothing.").waitFor();
    await dialog.getByLabel("Not used for days").fill("30");
    await dialog.getByRole("button", { name: "Show what would go" }).click();
    await dialog.getByText("No images would go.").waitFor();
    await dialog.getByLabel("Not used for days").fill("");
    await dialog.getByLabel("In the pool for days").fill("0.001");
    expect(await axeViolations(page)).toEqual([]);
    await page.keyboard.press("Escape");
    await call("DeleteDataset", { id: "guests/of-used" });
    await trash.waitFor({ state: "detached" });
    expect(wrongs).toEqual([]);
    await context.close();
  });

  test("sets a guest's quota where the pool has quotas", async () => {
    const { page, context, wrongs } = await openPage(browser, daemon.url);
    let asked: unknown;
    let quota = 10_240;
    // Pools in folders have none: the daemon says what one of OpenZFS would.
    await page.route("**/rpc", async (route) => {
      const { method, params } = route.request().postDataJSON() as { method: string; params: object };
      const answer = (result: object) => route.fulfill({ json: { jsonrpc: "2.0", id: 1, result } });
      if (method === "GetPool") {
        const { pools } = await call<{ pools: object[] }>(method, params);
        return answer({ pools: pools.map((each) => ({ ...each, driver: "openzfs" })) });
      }
      if (method !== "SetGuestQuota" && method !== "GetGuestQuota") return route.continue();
      if (method === "SetGuestQuota") {
        asked = params;
        quota = 20_480;
      }
      return answer({ quotas: [{ id: "tank/guests/web1", quota, used: 12 }] });
    });
    await page.getByLabel("Token").fill(tokens.admin ?? "");
    await page.keyboard.press("Enter");
    await go(page, "guests", "tank/guests/web1");
    const facts = page.getByLabel("Selected guest").locator("dl");
    await facts.getByText("10 GiB").waitFor();
    expect(await facts.textContent()).toBe("Quota10 GiBUsed12 MiB");
    await page.getByRole("button", { name: "Quota" }).click();
    await page.getByRole("dialog").getByText("Now it takes 12 MiB of 10 GiB.").waitFor();
    expect(await axeViolations(page)).toEqual([]);
    await page.getByLabel("Quota", { exact: true }).fill("20G");
    await page.getByRole("button", { name: "Set it" }).click();
    await page.getByText("web1 takes 12 MiB now").waitFor();
    await facts.getByText("20 GiB").waitFor();
    expect(asked).toEqual({ pool: "tank", id: "web1", quota: 20_480 });
    expect(wrongs).toEqual([]);
    await context.close();
  });

  test("a reader sees all of it and is offered none of it", async () => {
    const { page, context, wrongs } = await signedIn("read");
    await go(page, "backups");
    await page.getByRole("row", { name: "disk-0@tuesday" }).waitFor();
    await go(page, "replication");
    await page.getByRole("row", { name: "tank/copies/db1" }).waitFor();
    await go(page, "volumes", "tank/guests/web1/disk-0");
    await page.getByRole("button", { name: "Download monday" }).waitFor();
    for (const view of ["backups", "replication", "images", "volumes"]) {
      await go(page, view);
      await page.locator(`main.${view}`).waitFor();
      const found = page.getByRole("button", {
        name: /^(Pull|Verify|Restore|Prune|Back up|Bring|Fence|Copy)/,
      });
      expect([view, await found.count()]).toEqual([view, 0]);
    }
    expect(wrongs).toEqual([]);
    await context.close();
  });

  test("a daemon that knows no peer and no store says what to configure", async () => {
    const { page, context, wrongs } = await openPage(browser, source.url);
    await page.getByText("no token needed").waitFor();
    await go(page, "replication");
    await page.getByText("name them in peers of its configuration").waitFor();
    await go(page, "backups");
    await page.getByText("give it one in backups of its configuration").waitFor();
    await go(page, "volumes", "tank/guests/db1/disk-0");
    await page.getByRole("button", { name: "Clone s1" }).waitFor();
    for (const name of ["Back up s1", "From a peer", "Bring a volume here from a peer"])
      expect([name, await page.getByRole("button", { name }).count()]).toEqual([name, 0]);
    expect(wrongs).toEqual([]);
    await context.close();
  });
});
