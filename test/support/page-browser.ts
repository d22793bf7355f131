import { spawnSync } from "node:child_process";
import axe from "axe-core";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";

/** How long a look at the page may wait for what it looks for. */
const LIMIT_MS = 60_000;

export interface TestPage {
  readonly page: Page;
  readonly context: BrowserContext;
  /** What the page should not have done: errors, violations of its policy, requests to elsewhere. */
  readonly wrongs: readonly string[];
}

export interface PageOptions {
  readonly width?: number;
  readonly colorScheme?: "light" | "dark";
  /** Whether scripts can have a file to write to, as in a browser at the daemon's own machine. */
  readonly hasFilePicker?: boolean;
}

/** `program` as findChromium gives it: a name, or a path. */
export function launchChromium(program: string): Promise<Browser> {
  const { stdout } = spawnSync("sh", ["-c", 'command -v "$1"', "sh", program], { encoding: "utf8" });
  // The browser refuses to run as root with its sandbox, and it shows only our own page.
  const args = process.getuid?.() === 0 ? ["--no-sandbox", "--disable-gpu"] : ["--disable-gpu"];
  return chromium.launch({ executablePath: stdout.trim(), args });
}

/** A page of a new profile, at the daemon's `/ui`. */
export async function openPage(browser: Browser, url: string, options: PageOptions = {}): Promise<TestPage> {
  const { width = 1200, colorScheme = "light", hasFilePicker = false } = options;
  const context = await browser.newContext({
    viewport: { width, height: 800 },
    colorScheme,
    reducedMotion: "reduce",
  });
  context.setDefaultTimeout(LIMIT_MS);
  const page = await context.newPage();
  const wrongs: string[] = [];
  page.on("pageerror", (error) => wrongs.push(String(error)));
  page.on("request", (request) => {
    const { origin, protocol } = new URL(request.url());
    if (origin !== url && protocol !== "data:" && protocol !== "blob:") wrongs.push(`asked ${request.url()}`);
  });
  page.on("console", (message) => {
    if (message.text().startsWith("violated ")) wrongs.push(message.text());
  });
  await page.addInitScript(`
    document.addEventListener("securitypolicyviolation", (event) =>
      console.error("violated " + event.violatedDirective + " by " + event.blockedURI));
    if (!${hasFilePicker}) delete window.showSaveFilePicker;
  `);
  await page.goto(`${url}/ui`);
  return { page, context, wrongs };
}

/** What axe finds wrong, by WCAG 2.2 AA and its best practices. */
export async function axeViolations(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const found: unknown = await page.evaluate(
    'axe.run().then(({ violations }) => violations.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => id + ": " + html.slice(0, 200) + " " + failureSummary)))',
  );
  return Array.isArray(found) ? found.map(String) : [`axe answered ${JSON.stringify(found)}`];
}
