import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bytes, type ImageService, openImageService } from "../conformance/image-service.js";
import { findChromium } from "../support/chromium.js";
import { CLI, type DaemonProcess, startDaemonProcess } from "../support/daemon.js";
import { axeViolations, launchChromium, openPage, type PageOptions } from "../support/page-browser.js";
import { must, type Snapshots, type Volumes } from "../support/rpc.js";
import { until } from "../support/until.js";

const program = findChromium();
if (!program && process.env.REQUIRE_BROWSER) throw new Error("there is no Chromium");
const skipped = program ? "" : ", skipped: there is no Chromium";

const VIEWS = ["overview", "volumes", "images", "guests", "replication", "backups", "jobs"];
const MIB = 1024 ** 2;
/** As many as a large node has. */
const MANY = 10_000;

describe.skipIf(!program)(`the page of the daemon${skipped}`, () => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  const tokens: Record<string, string> = {};
  let daemon: DaemonProcess;
  let browser: Browser;
  let images: ImageService;

  const makeToken = (name: string, ...words: string[]) => {
    const argv = [CLI, "token", "create", "--tokens", join(folder, "tokens.json"), "--label", name, ...words];
    const { stdout, stderr } = spawnSync(process.execPath, argv, { encoding: "utf8" });
    expect(stdout, stderr).not.toBe("");
    tokens[name] = stdout.trim();
  };

  const packedImage = (): Buffer => {
    const [disk, packed] = [join(folder, "base.raw"), join(folder, "base.zfs")];
    writeFileSync(disk, Buffer.alloc(MIB, "base"));
    const { status, stderr } = spawnSync(process.execPath, [CLI, "image", "pack", disk, "-o", packed], {
      encoding: "utf8",
    });
    expect(status, stderr).toBe(0);
    return readFileSync(packed);
  };

  async function call(method: string, params: object): Promise<unknown> {
    const reply = await fetch(`${daemon.url}/rpc`, {
      method: "POST",
      headers: { authorization: `Bearer ${tokens.admin}`, "content-type": "application/json" },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
    });
    const { result, error } = (await reply.json()) as { result?: unknown; error?: unknown };
    expect(error).toBeUndefined();
    return result;
  }

  const idsOf = async (method: string, member: string, params: object = {}) => {
    const answer = (await call(method, params)) as Record<string, { id: string }[]>;
    return (answer[member] ?? []).map(({ id }) => id);
  };

  /** A page whose caller has signed in with a token. */
  async function signedIn(token: string, options?: PageOptions) {
    const opened = await openPage(browser, daemon.url, options);
    await opened.page.getByLabel("Token").fill(tokens[token] ?? "");
    await opened.page.getByRole("button", { name: "Sign in" }).click();
    await opened.page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
    return opened;
  }

  const go = (page: Page, view: string, selected = "") =>
    page.evaluate(`location.hash = "#/${view}${selected && `/${encodeURIComponent(selected)}`}"`);

  /** The rows of the list, or the one with a name. */
  const rowOf = (page: Page, name?: string) =>
    page.getByRole("listbox").getByRole("option", name === undefined ? {} : { name });

  beforeAll(async () => {
    for (const role of ["read", "operate", "admin"]) makeToken(role, "--role", role);
    makeToken("team", "--role", "operate", "--names", "guests/web*");
    images = await openImageService(0);
    images.serve("base", bytes(packedImage()));
    const pool = (name: string) => ({ name, driver: "embedded", folder: join(folder, `pool-${name}`) });
    daemon = await startDaemonProcess({
      listen: { port: 0 },
      auth: { tokens: join(folder, "tokens.json") },
      pools: [pool("tank"), pool("fast")],
      imageSources: [`${new URL(images.url).host}`],
    });
    for (const guest of ["web1", "db1"]) {
      await call("CreateVolume", { id: `guests/${guest}/disk-0`, size: 8 });
      for (const dest of ["first", "second", "third"])
        await call("CreateSnapshot", { id: `guests/${guest}/disk-0`, dest });
    }
    if (program) browser = await launchChromium(program);
  });
  afterAll(async () => {
    await browser?.close();
    await daemon?.stop();
    await images?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test("wants a token, says what is wrong with one, and forgets it at the end", async () => {
    const { page, context, wrongs } = await openPage(browser, daemon.url);
    await page.getByLabel("Token").fill("ist_none");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText("the token is not known").waitFor();
    expect(await axeViolations(page)).toEqual([]);
    await page.getByLabel("Token").fill(tokens.read ?? "");
    await page.keyboard.press("Enter");
    await page.getByRole("article", { name: "Pool tank" }).waitFor();
    await page.reload();
    await page.getByRole("article", { name: "Pool fast" }).waitFor();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("Token").waitFor();
    expect(await page.evaluate("sessionStorage.length")).toBe(0);
    expect(wrongs).toEqual([]);
    await context.close();
  });

  test.each(["light", "dark"] as const)("has nothing that axe finds wrong, %s", async (colorScheme) => {
    const { page, context, wrongs } = await signedIn("admin", { colorScheme });
    for (const view of VIEWS) {
      await go(page, view);
      await page.locator(`main.${view}`).waitFor();
      expect([view, await axeViolations(page)]).toEqual([view, []]);
    }
    await go(page, "volumes", "tank/guests/db1/disk-0");
    await page.getByRole("button", { name: "Roll back to first" }).click();
    await page.getByRole("dialog").waitFor();
    expect(await axeViolations(page)).toEqual([]);
    expect(wrongs).toEqual([]);
    await context.close();
  });

  test("offers a reader nothing that it may not do", async () => {
    const { page, context } = await signedIn("read");
    await go(page, "volumes", "tank/guests/db1/disk-0");
    await page.getByRole("button", { name: "Download first" }).waitFor();
    for (const name of ["New volume", "Take a snapshot", "Delete", "Roll back to first"]) {
      expect([name, await page.getByRole("button", { name, exact: true }).count()]).toEqual([name, 0]);
    }
    await context.close();
  });

  test("shows a token for some names what that token covers", async () => {
    const { page, context, wrongs } = await signedIn("team");
    await page.getByText("for tokens of all pools and names").waitFor();
    await go(page, "volumes");
    await rowOf(page).waitFor();
    expect(await rowOf(page).allInnerTexts()).toEqual([expect.stringContaining("web1")]);
    expect(wrongs).toEqual([]);
    await context.close();
  });

  test("makes a volume and a snapshot of it, and deletes them after it has said what goes", async () => {
    const { page, context, wrongs } = await signedIn("operate");
    await go(page, "volumes");
    await page.getByRole("button", { name: "New volume" }).click();
    await page.getByLabel("Name", { exact: true }).fill("made/here");
    await page.getByLabel("Size").fill("nothing");
    await page.getByText("A size is 512M").waitFor();
    expect(await page.getByRole("button", { name: "Create it" }).isDisabled()).toBe(true);
    await page.getByLabel("Size").fill("16M");
    await page.getByRole("button", { name: "Create it" }).click();
    await page.getByRole("heading", { name: "tank/made/here" }).waitFor();
    await page.getByRole("button", { name: "Take a snapshot" }).click();
    await page.getByLabel("Name", { exact: true }).fill("s1");
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "Roll back to s1" }).waitFor();
    expect(await idsOf("ListSnapshots", "snapshots", { id: "made/here" })).toEqual(["tank/made/here@s1"]);

    await page.getByRole("button", { name: "Delete", exact: true }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("1 snapshot").waitFor();
    expect(await dialog.textContent()).toContain("tank/made/here@s1");
    await dialog.getByRole("button", { name: "Delete it" }).click();
    await page.getByText("Deleted tank/made/here").waitFor();
    expect(await idsOf("ListVolumes", "volumes")).not.toContain("tank/made/here");
    expect(wrongs).toEqual([]);
    await context.close();
  });

  test("clones, resizes, renames and promotes volumes, and shows the clones of one as a tree", async () => {
    const { page, context, wrongs } = await signedIn("operate");
    const dialog = page.getByRole("dialog");
    await call("CreateVolume", { id: "tree/root", size: 16 });
    await call("CreateSnapshot", { id: "tree/root", dest: "s" });
    await go(page, "volumes", "tank/tree/root");
    for (const [origin, snapshot, dest] of [
      ["root", "s", "first"],
      ["first", "t", "second"],
    ]) {
      if (origin === "first") await call("CreateSnapshot", { id: "tree/first", dest: "t" });
      await go(page, "volumes", `tank/tree/${origin}`);
      await page.getByRole("button", { name: `Clone ${snapshot}`, exact: true }).click();
      await dialog.getByLabel("Name of the clone").fill(`tree/${dest}`);
      await dialog.getByRole("button", { name: "Clone it" }).click();
      await page.getByRole("heading", { name: `tank/tree/${dest}`, exact: true }).waitFor();
    }

    await go(page, "volumes", "tank/tree/root");
    const below = (name: string) =>
      page.getByRole("list", { name: `Clones of tank/tree/${name}`, exact: true });
    await below("root").getByRole("link", { name: "tank/tree/first" }).waitFor();
    expect(await below("root").getByRole("link", { name: "tank/tree/second" }).count()).toBe(0);
    const toggle = page.getByRole("button", { name: "Clones of tank/tree/first" });
    expect(await toggle.getAttribute("aria-expanded")).toBe("false");
    await toggle.press("Enter");
    expect(await toggle.getAttribute("aria-expanded")).toBe("true");
    await below("first").getByRole("link", { name: "tank/tree/second" }).waitFor();
    expect(await axeViolations(page)).toEqual([]);

    await page.getByRole("button", { name: "Promote tank/tree/first" }).click();
    await dialog.getByRole("button", { name: "Promote it" }).click();
    await page.getByText("has the snapshots that it was made of").waitFor();
    expect(await idsOf("ListVolumes", "volumes", { origin: "tree/first" })).toContain("tank/tree/root");
    await page.getByText("It has no clone.").waitFor();

    await page.getByRole("button", { name: "Resize" }).click();
    await dialog.getByLabel("New size").fill("8M");
    await dialog.getByText("All that is behind the first 8 MiB is lost").waitFor();
    await dialog.getByLabel("New size").fill("24M");
    await dialog.getByRole("button", { name: "Resize it" }).click();
    await page.getByText("tank/tree/root has 24 MiB").waitFor();
    await page.getByRole("button", { name: "Resize" }).click();
    await dialog.getByLabel("New size").fill("8M");
    await dialog.getByRole("button", { name: "Shrink it" }).click();
    await page.getByText("tank/tree/root has 8 MiB").waitFor();

    await page.getByRole("button", { name: "Rename" }).click();
    await dialog.getByLabel("New name").fill("tree/renamed");
    await dialog.getByRole("button", { name: "Rename it" }).click();
    await page.getByRole("heading", { name: "tank/tree/renamed" }).waitFor();
    expect(await call("GetVolume", { id: "tree/renamed" })).toMatchObject({ volumes: [{ size: 8 }] });
    for (const id of ["tree/renamed", "tree/second", "tree/first"]) await call("DeleteDataset", { id });
    expect(wrongs).toEqual([]);
    await context.close();
  });

  test("shows the clones of an image below it", async () => {
    const { page, context, wrongs } = await signedIn("operate");
    const source = `${images.url}/images/base/download`;
    await call("RequestImage", { pool: "fast", id: "base", type: "kvm", source });
    await call("CloneImage", { pool: "fast", id: "base", dest: "guests/of-base/disk-0" });
    await page.getByRole("combobox", { name: "Pool" }).selectOption("fast");
    await go(page, "images");
    await page.getByRole("button", { name: "Clones of base" }).click();
    const clones = page.getByRole("list", { name: "Clones of base" });
    await clones.getByRole("link", { name: "fast/guests/of-base/disk-0" }).waitFor();
    expect(await clones.getByRole("button", { name: /^Promote/ }).count()).toBe(0);
    expect(await axeViolations(page)).toEqual([]);
    await page.getByRole("button", { name: "Clones of base" }).click();
    await clones.waitFor({ state: "detached" });
    expect(wrongs).toEqual([]);
    await context.close();
  });

  test("rolls back over newer snapshots only after it has named them", async () => {
    const { page, context } = await signedIn("operate");
    const root = "tank/guests/db1/disk-0";
    await go(page, "guests", "tank/guests/db1");
    await page.getByRole("button", { name: "Roll back to first" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("button", { name: "Roll back" }).click();
    await dialog.getByText("These newer snapshots are destroyed").waitFor();
    expect(await dialog.getByRole("listitem").allInnerTexts()).toEqual([`${root}@second`, `${root}@third`]);
    expect(await idsOf("ListSnapshots", "snapshots", { id: root })).toHaveLength(3);
    await dialog.getByRole("button", { name: "Destroy them and roll back" }).click();
    await page.getByText("is as it was at").waitFor();
    expect(await idsOf("ListSnapshots", "snapshots", { id: root })).toEqual([`${root}@first`]);
    await context.close();
  });

  test("tells why something was refused", async () => {
    const { page, context } = await signedIn("operate");
    await go(page, "images");
    await page.getByRole("button", { name: "Request an image" }).click();
    await page.getByLabel("Image", { exact: true }).fill("a/b");
    await page.getByRole("button", { name: "Request it" }).click();
    await page.getByRole("log").getByText("not done").waitFor();
    expect(await page.getByRole("log").textContent()).toContain("a/b");
    await page.getByRole("button", { name: "Request an image" }).click();
    await page.getByLabel("Image", { exact: true }).fill("layered");
    await page.getByLabel("Origin", { exact: true }).fill("silver");
    await page.getByRole("button", { name: "Request it" }).click();
    await page.getByRole("log").getByText("there is no image silver").waitFor();
    await context.close();
  });

  test("saves a snapshot's stream, with a token that is in no address", async () => {
    const { page, context, wrongs } = await signedIn("read");
    await go(page, "volumes", "tank/guests/web1/disk-0");
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: "Download first" }).click(),
    ]);
    expect(download.suggestedFilename()).toBe("tank_guests_web1_disk-0@first.zfs");
    const reply = await fetch(`${daemon.url}/snapshots/download?id=guests/web1/disk-0@first`, {
      headers: { authorization: `Bearer ${tokens.read}` },
    });
    expect(readFileSync(await download.path()).equals(Buffer.from(await reply.arrayBuffer()))).toBe(true);
    expect(page.url()).not.toContain(tokens.read);
    expect(wrongs).toEqual([]);
    await context.close();
  });

  test("shows what others have made", async () => {
    const { page, context } = await signedIn("read");
    await go(page, "volumes");
    await rowOf(page).first().waitFor();
    await call("CreateVolume", { id: "others/made", size: 8 });
    await rowOf(page, "others/made").waitFor();
    await call("DeleteDataset", { id: "others/made" });
    await rowOf(page, "others/made").waitFor({ state: "detached" });
    await context.close();
  });

  test("follows the events of the daemon, and goes on behind the last one where they broke off", async () => {
    const { page, context, wrongs } = await openPage(browser, daemon.url);
    const places: (string | undefined)[] = [];
    const told = {
      epoch: "e",
      seq: 7,
      at: "2026-11-29T12:00:00Z",
      pool: "tank",
      caller: null,
      origin: "call",
    };
    const event = { ...told, topic: "volume", action: "created", id: "tank/guests/db1/disk-0" };
    await page.route("**/events", (route) => {
      places.push(route.request().headers()["last-event-id"]);
      if (places.length > 1) return route.abort();
      const subscribed = 'id: e:6\nevent: subscribed\ndata: {"epoch":"e","seq":6,"complete":true}\n\n';
      const body = `${subscribed}id: e:7\nevent: volume\ndata: ${JSON.stringify(event)}\n\nid: e:9\n: quiet\n\n`;
      return route.fulfill({ contentType: "text/event-stream", body });
    });
    await page.getByLabel("Token").fill(tokens.read ?? "");
    await page.keyboard.press("Enter");
    await go(page, "jobs");
    await page.getByRole("listitem").getByText("volume created").waitFor();
    await until("it has asked again", () => places.length > 1);
    expect(places.slice(0, 2)).toEqual([undefined, "e:9"]);
    expect(wrongs).toEqual([]);
    await context.close();
  });

  test("shows how far jobs are, and cancels one", async () => {
    const { page, context, wrongs } = await openPage(browser, daemon.url);
    const job = {
      ...{ id: "j-1", method: "RequestImage", pool: "tank", dataset: "tank/images/golden", caller: null },
      ...{ state: "running", phase: "receiving", bytes: 512 * MIB, totalBytes: 2048 * MIB },
      ...{
        bytesPerSecond: 64 * MIB,
        etaSeconds: 24,
        createdAt: "2026-11-29T12:00:00Z",
        endedAt: null,
        failure: null,
      },
    };
    /** Its state when it is asked for next. */
    let state = job.state;
    await page.route("**/rpc", (route) => {
      const { method, params } = route.request().postDataJSON() as {
        method: string;
        params: { id?: string };
      };
      if (!["ListJobs", "WaitJob", "CancelJob"].includes(method)) return route.continue();
      if (method === "CancelJob" && params.id === job.id) state = "cancelled";
      return route.fulfill({ json: { jsonrpc: "2.0", id: 1, result: { jobs: [{ ...job, state }] } } });
    });
    await page.getByLabel("Token").fill(tokens.operate ?? "");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Running" }).waitFor();
    const bar = page.getByRole("progressbar", { name: "Progress of RequestImage tank/images/golden" });
    expect([await bar.getAttribute("value"), await bar.getAttribute("max")]).toEqual([
      ...[String(512 * MIB), String(2048 * MIB)],
    ]);
    await page.getByText("512 MiB of 2 GiB, 64 MiB/s, 24 s left").waitFor();
    await page.getByRole("button", { name: "Cancel RequestImage tank/images/golden" }).click();
    await bar.waitFor({ state: "detached" });
    await go(page, "jobs");
    await page.getByRole("row").getByText("cancelled").waitFor();
    expect(wrongs).toEqual([]);
    await context.close();
  });

  test("asks for no token where the daemon asks for none, and leaves downloads to the browser", async () => {
    const open = await startDaemonProcess({
      listen: { port: 0 },
      pools: [{ name: "tank", driver: "embedded", folder: join(folder, "pool-open") }],
    });
    try {
      await must<Volumes>(open.url, "CreateVolume", { id: "v", size: 8 });
      await must<Snapshots>(open.url, "CreateSnapshot", { id: "v", dest: "s" });
      const { page, context, wrongs } = await openPage(browser, open.url);
      await page.getByText("no token needed").waitFor();
      await go(page, "volumes", "tank/v");
      const [download] = await Promise.all([
        page.waitForEvent("download"),
        page.getByRole("button", { name: "Download s" }).click(),
      ]);
      const reply = await fetch(`${open.url}/snapshots/download?id=v@s`);
      expect(readFileSync(await download.path()).equals(Buffer.from(await reply.arrayBuffer()))).toBe(true);
      expect(wrongs).toEqual([]);
      await context.close();
    } finally {
      await open.stop();
    }
  });

  test("is used by the keys alone", async () => {
    const { page, context } = await signedIn("operate");
    await go(page, "volumes");
    await rowOf(page).first().waitFor();
    await page.keyboard.press("Tab");
    await page.getByRole("link", { name: "Skip to the content" }).waitFor();
    await page.keyboard.press("Enter");
    expect(await page.evaluate("document.activeElement.tagName")).toBe("MAIN");
    await page.getByRole("listbox").focus();
    await page.keyboard.press("End");
    await page.getByRole("heading", { level: 2, name: "tank/guests/web1/disk-0" }).waitFor();
    await page.keyboard.press("Home");
    await page.getByRole("heading", { level: 2, name: "tank/guests/db1/disk-0" }).waitFor();
    const button = page.getByRole("button", { name: "Take a snapshot" });
    await button.focus();
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").waitFor();
    expect(await page.evaluate("document.activeElement.tagName")).toBe("INPUT");
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    expect(await page.evaluate("document.activeElement.textContent")).toBe("Take a snapshot");
    await context.close();
  });

  test(`shows ${MANY} volumes, finds one of them, and keeps few of them in the page`, async () => {
    const { page, context, wrongs } = await openPage(browser, daemon.url);
    const nameOf = (index: number) => `tank/guests/g-${String(index).padStart(5, "0")}/disk-0`;
    const asked: string[] = [];
    // The daemon's pages of a list are tested elsewhere: here they come at once.
    await page.route("**/rpc", async (route) => {
      const { method, params } = route.request().postDataJSON() as {
        method: string;
        params: { limit: number; after: string; pool: string };
      };
      if (method !== "ListVolumes") return route.continue();
      asked.push(params.after);
      const first = params.after === "" ? 0 : Number(/g-(\d+)/.exec(params.after)?.[1]) + 1;
      const volumes = Array.from({ length: Math.min(params.limit, MANY - first) }, (_, index) => ({
        id: nameOf(first + index),
        size: 8,
        device: "",
      }));
      await route.fulfill({ json: { jsonrpc: "2.0", id: 1, result: { volumes } } });
    });
    await page.getByLabel("Token").fill(tokens.read ?? "");
    await page.keyboard.press("Enter");
    await go(page, "volumes");
    await page.getByText("10,000 volumes").waitFor();
    expect(asked.length).toBeGreaterThan(9);
    expect(await rowOf(page).count()).toBeLessThan(100);
    await page.getByRole("listbox").focus();
    await page.keyboard.press("End");
    await rowOf(page, "g-09999").waitFor();
    await page.getByLabel("Filter by name").fill("g-01234");
    await page.getByText("1 of 10,000 volumes").waitFor();
    expect(await rowOf(page).count()).toBe(1);
    // Scrolled to its end, a list that becomes shorter has its rows from the first frame on.
    await page.getByLabel("Filter by name").fill("");
    await page.getByText("10,000 volumes", { exact: true }).waitFor();
    await page.getByRole("listbox").focus();
    await page.keyboard.press("End");
    await rowOf(page, "g-09999").waitFor();
    const framesOf = `new Promise((resolve) => {
      const counts = [];
      const count = () => {
        if (document.querySelector(".count").textContent.startsWith("1 of"))
          counts.push(document.querySelectorAll("[role=option]").length);
        if (counts.length < 5) requestAnimationFrame(count);
        else resolve(counts);
      };
      requestAnimationFrame(count);
    })`;
    const frames = page.evaluate(framesOf);
    await page.getByLabel("Filter by name").fill("g-01234");
    expect(await frames).toEqual([1, 1, 1, 1, 1]);
    await go(page, "guests");
    await page.getByText("10,000 guests").waitFor();
    expect(wrongs).toEqual([]);
    await context.close();
  });

  test("has room on a narrow screen", async () => {
    const { page, context } = await signedIn("operate", { width: 360 });
    for (const [view, selected] of [
      ["overview", ""],
      ["volumes", ""],
      ["volumes", "tank/guests/web1/disk-0"],
      ["jobs", ""],
    ] as const) {
      await go(page, view, selected);
      await page.locator(`main.${view}`).waitFor();
      const wide = await page.evaluate("document.documentElement.scrollWidth");
      expect([view, selected, wide]).toEqual([view, selected, 360]);
    }
    await page.getByRole("button", { name: "Roll back" }).first().waitFor({ state: "detached" });
    await context.close();
  });
});
