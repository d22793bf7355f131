/**
 * `npm run docs:pictures`: makes docs/pictures of the page, with a daemon on pools in a folder and some work for it.
 * Needs a Chromium. Look at them before they are committed.
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const CLI = `${ROOT}/dist/main/cli.js`;
/** Pictures show names of devices. */
const FOLDER = "/tmp/page-demo";
const PORT = 18_555;
const IMAGE_PORT = 18_556;
const URL_OF_DAEMON = `http://127.0.0.1:${PORT}`;
const SIZE = { width: 1200, height: 700 };
const MIB = 1024 * 1024;
const GUESTS = ["build-a", "build-b", "cache", "db1", "db2", "mail", "monitor", "proxy", "web1", "web2"];
const WORK_S = 75;
/** So slow that the fetch is under way in the picture. */
const SLOW_BYTES_PER_S = MIB;

/** @param {string} method @param {object} params @returns {Promise<any>} */
async function call(method, params) {
  const reply = await fetch(`${URL_OF_DAEMON}/rpc`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", method, params, id: 1 }),
  });
  /** @type {any} */
  const { result } = await reply.json();
  return result;
}

/** Serves the same image for every id: one called windows slowly. @param {Buffer} image */
function serveImages(image) {
  const server = createServer(async (request, response) => {
    response.writeHead(200, { "Content-Length": image.length });
    const step = request.url?.includes("windows") ? SLOW_BYTES_PER_S : image.length;
    for (let at = 0; at < image.length && !response.destroyed; at += step) {
      response.write(image.subarray(at, at + step));
      if (step < image.length) await sleep(1000);
    }
    response.end();
  });
  server.listen(IMAGE_PORT, "127.0.0.1");
  return server;
}

/** @param {string} device @param {number} mib */
function fill(device, mib) {
  const file = openSync(device, "r+");
  for (let each = 0; each < mib; each++) writeSync(file, Buffer.alloc(MIB, each + 1), 0, MIB, each * MIB);
}

function packImage() {
  writeFileSync(`${FOLDER}/disk.raw`, Buffer.alloc(64 * MIB, "imagestore"));
  const argv = [CLI, "image", "pack", `${FOLDER}/disk.raw`, "-o", `${FOLDER}/image.zfs`];
  const { status, stderr } = spawnSync(process.execPath, argv, { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  return readFileSync(`${FOLDER}/image.zfs`);
}

async function makeVolumes() {
  for (const id of ["debian-12", "debian-13", "alpine"]) await call("RequestImage", { id, type: "kvm" });
  for (const id of GUESTS) {
    const { guest } = await call("CreateGuestDisks", {
      guest: { id, disks: [{ image: "debian-13" }, { size: 512 }] },
    });
    fill(guest.disks[1].source, 24);
  }
  await call("CreateVolume", { id: "backup/vault", size: 1024, pool: "fast" });
  const [disk] = (await call("GetVolume", { id: "guests/db1/disk-1" })).volumes;
  for (const [index, dest] of ["2026-11-27_0300", "2026-11-28_0300", "before-upgrade"].entries()) {
    await call("CreateSnapshot", { id: "guests/db1/disk-1", dest });
    fill(disk.device, 8 * (index + 1));
  }
  await call("CloneSnapshot", { id: "guests/db1/disk-1@before-upgrade", dest: "guests/db1-test/disk-1" });
}

/** Calls such as agents make, some of which fail. */
async function work() {
  const end = performance.now() + WORK_S * 1000;
  for (let index = 0; performance.now() < end; index++) {
    const guest = GUESTS[index % GUESTS.length];
    await Promise.all([
      call("GetVolume", { id: `guests/${guest}/disk-0` }),
      call("ListSnapshots", {}),
      call("SetVolume", { id: `guests/${guest}/disk-1`, tags: { seen: String(index) } }),
      ...(index % 9 === 0 ? [call("GetImage", { id: "none" })] : []),
    ]);
    if (index % 40 === 20)
      await (
        await fetch(`${URL_OF_DAEMON}/snapshots/download?id=guests/db1/disk-1@before-upgrade`)
      ).arrayBuffer();
    await sleep(60 + 40 * Math.sin(index / 25));
  }
}

/** @param {import("playwright-core").Page} page @param {string} name */
async function keepPicture(page, name) {
  await page.screenshot({ path: `${ROOT}/docs/pictures/${name}.png` });
}

/** @param {import("playwright-core").Browser} browser @param {"light" | "dark"} colorScheme @param {string} hash */
async function openPage(browser, colorScheme, hash) {
  const context = await browser.newContext({ viewport: SIZE, colorScheme, reducedMotion: "reduce" });
  const page = await context.newPage();
  await page.goto(`${URL_OF_DAEMON}/ui#/${hash}`);
  return page;
}

rmSync(FOLDER, { recursive: true, force: true });
mkdirSync(FOLDER);
const pool = (/** @type {string} */ name, /** @type {number} */ gib) => ({
  ...{
    name,
    driver: "embedded",
    folder: `${FOLDER}/${name === "tank" ? "pool" : name}`,
    quotaBytes: gib * 2 ** 30,
  },
});
writeFileSync(
  `${FOLDER}/config.json`,
  JSON.stringify({
    listen: { port: PORT },
    pools: [pool("tank", 20), pool("fast", 4)],
    imageService: `127.0.0.1:${IMAGE_PORT}`,
    dataDir: `${FOLDER}/data`,
  }),
);
const images = serveImages(packImage());
const daemon = spawn(process.execPath, [CLI, "serve", "--config", `${FOLDER}/config.json`], {
  stdio: ["ignore", "pipe", "inherit"],
});
const browser = await chromium.launch({
  executablePath: spawnSync("sh", ["-c", "command -v chromium"], { encoding: "utf8" }).stdout.trim(),
  args: process.getuid?.() === 0 ? ["--no-sandbox", "--disable-gpu"] : ["--disable-gpu"],
});
try {
  await once(daemon.stdout, "data");
  await makeVolumes();
  const overview = await openPage(browser, "light", "overview");
  const working = work();
  await sleep((WORK_S - 25) * 1000);
  await call("RequestImage", { id: "windows", type: "kvm", background: true });
  await sleep(20_000);
  await keepPicture(overview, "overview-light");
  const volumes = await openPage(browser, "dark", `volumes/${encodeURIComponent("tank/guests/db1/disk-1")}`);
  await volumes.getByText("before-upgrade").first().waitFor();
  await volumes.getByText("guests/db1-test/disk-1").first().waitFor();
  await keepPicture(volumes, "volumes-dark");
  await working;
} finally {
  await browser.close();
  daemon.kill();
  await once(daemon, "exit");
  images.close();
  images.closeAllConnections();
  rmSync(FOLDER, { recursive: true, force: true });
}
