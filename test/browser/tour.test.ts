import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { findChromium } from "../support/chromium.js";
import { CLI, freePort } from "../support/daemon.js";
import { launchChromium, openPage } from "../support/page-browser.js";
import { blockBelow } from "../support/readme.js";
import { imagestoreOnTerminal, noTerminal, onTerminal } from "../support/terminal.js";
import { until } from "../support/until.js";

const program = findChromium();
if (!program && process.env.REQUIRE_BROWSER) throw new Error("there is no Chromium");
const reason = program ? noTerminal : "there is no Chromium";

const CONFIG = fileURLToPath(new URL("../../config/embedded.json", import.meta.url));
const PROMPT = "tour$ ";

/** What a newcomer types after `npm start`, as the README has it, and the help names. */
test.skipIf(reason !== undefined)(
  `the tour of the README, on two terminals and on the page${reason ? `, skipped: ${reason}` : ""}`,
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const [port, imagePort] = [await freePort(), await freePort()];
    const url = `http://127.0.0.1:${port}`;
    const env = {
      IMAGESTORE_PORT: String(port),
      IMAGESTORE_IMAGE_SERVICE: `127.0.0.1:${imagePort}`,
      IMAGESTORE_URL: url,
    };
    const daemon = imagestoreOnTerminal(["serve", "--config", CONFIG], { cwd: folder, env });
    onTestFinished(async () => {
      daemon.type("\x03");
      expect(await daemon.ended).toBe(0);
    });
    await daemon.sees("first.zfs");

    const shell = onTerminal("bash --norc --noprofile -i", { cwd: folder, env: { ...env, PS1: PROMPT } });
    onTestFinished(async () => {
      shell.type("kill $(jobs -p); exit\n");
      await shell.ended;
    });
    const prompts = () => shell.text().split(PROMPT).length - 1;
    await until("the shell waits", () => prompts() === 1);
    /** Types a line, and waits for what it does. @returns what was shown meanwhile. */
    const type = async (line: string): Promise<string> => {
      const before = { prompts: prompts(), length: shell.text().length };
      shell.type(`${line}\n`);
      await until(`${line} is done: ${shell.text().slice(-2_000)}`, () => prompts() > before.prompts, 60_000);
      return shell.text().slice(before.length);
    };
    const lines = blockBelow("Try it without ZFS")
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"))
      .map((line) =>
        line
          .replaceAll("dist/main/cli.js", CLI)
          .replaceAll("127.0.0.1:20000", `127.0.0.1:${imagePort}`)
          .replace("image serve data/images", `image serve data/images --port ${imagePort}`),
      );
    const help = await type(`node ${CLI} --help`);
    for (const line of lines) {
      const [, verb] = /^imagestore (?!pool|image (?:inspect|unpack))(\w+ [\w-]+)/.exec(line) ?? [];
      // The list of snapshots is found by `imagestore snapshot --help`.
      if (verb !== undefined && verb !== "snapshot list") expect(help).toContain(`imagestore ${verb}`);
      const shown = await type(line);
      expect(shown).not.toContain("imagestore: ");
      if (verb === "image request") expect(shown).toMatch(/\[=+.*\] +\d+ %/);
      if (verb === "snapshot list") expect(shown).toMatch(/\ntank\/guests\/g1\/disk-0@s1 +0 B/);
      if (line.startsWith("cmp")) expect(shown).toContain("the same bytes");
      if (line.includes("pool status")) expect(shown).toContain("ONLINE");
    }
    for (const told of [/volume +created +tank\/guests\/g1\/disk-0/, /snapshot +rolled-back +.*disk-0@s1/])
      expect(shell.text()).toMatch(told);

    const browser = await launchChromium(program ?? "");
    onTestFinished(() => browser.close());
    const { page } = await openPage(browser, url);
    await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
    await page.evaluate(`location.hash = "#/guests/${encodeURIComponent("tank/guests/g1")}"`);
    await page.getByRole("button", { name: "Roll back to s1" }).waitFor();
    await page.evaluate('location.hash = "#/images"');
    await page.getByRole("button", { name: "Clones of hello" }).click();
    await page.getByRole("link", { name: "tank/guests/g1/disk-0" }).waitFor();
  },
);
