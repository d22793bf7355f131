// npm run test:install [-- --node 24] [--npm 12] [--package bundle] [--results FILE]
//
// Packs this checkout, both plain and as the bundle for this platform, installs each package as its
// users do (`npm install -g`, an ordinary user, an empty home), with several releases of npm and Node,
// and asks the daemon that it gives. Prints what came of each, and writes it to a file as JSON.
import { execFileSync, spawn } from "node:child_process";
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { CACHE, nodeFolder } from "./parts/nodes.mjs";

/**
 * @typedef {object} Installed
 * @property {string} package - `npm pack` or `npm run package:npm`
 * @property {number} node
 * @property {number} npm
 * @property {boolean} installed
 * @property {boolean} served - it answered a call and stopped in order
 * @property {string} [transport]
 * @property {string} [sqlite]
 * @property {number} [mib] - size of all that was installed
 * @property {number} seconds - of the installation
 * @property {string} [reason] - why one of them is false
 */

const CHECKOUT = fileURLToPath(new URL("..", import.meta.url));
/** How each package is made. */
const PACKAGES = {
  plain: { made: "npm pack", make: packPlain },
  bundle: { made: "npm run package:npm", make: packBundle },
};
const NODES = [20, 22, 24, 26];
const NPMS = [11, 12];
/** npm 12 runs on Node 22.22 and newer. */
const TOO_OLD = /** @param {number} node @param {number} npm */ (node, npm) => npm === 12 && node < 22;
/** `nobody`, where this runs as root. */
const USER = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
const START_LIMIT_MS = 60_000;
/** Of this process's Node. */
const HEADERS = join(dirname(dirname(process.execPath)), "include/node");

const major = /** @param {string} version */ (version) => Number.parseInt(version, 10);

const { values } = parseArgs({
  options: {
    node: { type: "string" },
    npm: { type: "string" },
    package: { type: "string" },
    results: { type: "string" },
  },
});

/** @param {string} folder @returns {string} the package */
function packPlain(folder) {
  const argv = ["pack", "--json", "--pack-destination", folder];
  const said = execFileSync("npm", argv, { cwd: CHECKOUT, encoding: "utf8" });
  return join(folder, JSON.parse(said.slice(said.indexOf("[\n")))[0].filename);
}

/** @param {string} folder @returns {string} the package */
function packBundle(folder) {
  const argv = ["scripts/package-npm.mjs", "--out", folder];
  return execFileSync(process.execPath, argv, { cwd: CHECKOUT, encoding: "utf8" }).trim();
}

/** The program of a release of npm. Installs it where it is missing. @param {number} major */
function npmProgram(major) {
  const prefix = join(CACHE, "npms", String(major));
  const program = join(prefix, "node_modules/npm/bin/npm-cli.js");
  if (!existsSync(program)) {
    mkdirSync(prefix, { recursive: true });
    const argv = ["install", "--prefix", prefix, "--no-audit", "--no-fund", `npm@${major}`];
    execFileSync("npm", argv, { stdio: "pipe" });
  }
  return program;
}

/** A folder that the user of the installation owns. @param {string} folder */
function ownFolder(folder) {
  mkdirSync(folder, { recursive: true });
  if (USER.uid !== undefined) chownSync(folder, USER.uid, USER.gid);
  return folder;
}

/**
 * Starts the daemon, asks it, and stops it.
 * @param {string} program @param {string} home @param {NodeJS.ProcessEnv} env
 * @returns {Promise<{ transport: string, sqlite: string }>}
 */
async function serve(program, home, env) {
  const config = join(home, "config.json");
  const pools = [{ name: "tank", driver: "embedded", folder: join(home, "pool") }];
  writeFileSync(config, JSON.stringify({ listen: { port: 0 }, pools, dataDir: join(home, "records") }));
  const child = spawn(program, ["serve", "--config", config], {
    ...USER,
    cwd: home,
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = new Promise((resolve) => child.once("close", resolve));
  let said = "";
  child.stderr.on("data", (chunk) => (said += chunk));
  try {
    const url = await new Promise((resolve, reject) => {
      createInterface({ input: child.stdout }).on("line", (line) => {
        const [, found] = /listening on (\S+)/.exec(line) ?? [];
        if (found) resolve(found);
      });
      const fail = () => reject(new Error(`it did not start: ${said.trim().split("\n").at(-1)}`));
      child.once("close", fail);
      setTimeout(fail, START_LIMIT_MS).unref();
    });
    const body = JSON.stringify({
      jsonrpc: "2.0",
      id: 1,
      method: "CreateVolume",
      params: { id: "v", size: 8 },
    });
    const headers = { "content-type": "application/json" };
    /** @type {any} */
    const reply = await (await fetch(`${url}/rpc`, { method: "POST", headers, body })).json();
    if (!reply.result) throw new Error(`CreateVolume: ${JSON.stringify(reply)}`);
    const text = await (await fetch(`${url}/diagnose`)).text();
    child.kill("SIGTERM");
    if ((await ended) !== 0) throw new Error("it did not stop in order");
    const told = (/** @type {string} */ name) =>
      new RegExp(`^ *${name} {2,}(.+)$`, "m").exec(text)?.[1] ?? "not told";
    return { transport: told("transport"), sqlite: told("sqlite") };
  } finally {
    child.kill("SIGKILL");
    await ended;
  }
}

/** A copy of a folder that any user can read. @param {string} folder @param {string} from @param {string} name */
function copyFor(folder, from, name) {
  const to = join(folder, "programs", name);
  // As they are: Node 20 takes a link to a file of the same folder for a copy into itself.
  cpSync(from, to, { recursive: true, verbatimSymlinks: true });
  return to;
}

/**
 * @param {string} folder @param {{ made: string, tarball: string }} packed
 * @param {number} node @param {number} npm @returns {Promise<Installed>}
 */
async function tryPair(folder, { made, tarball }, node, npm) {
  const pair = { package: made, node, npm };
  if (TOO_OLD(node, npm))
    return {
      ...pair,
      installed: false,
      served: false,
      seconds: 0,
      reason: "npm 12 needs Node 22.22 or newer",
    };
  const home = ownFolder(join(folder, `node-${node}-npm-${npm}`));
  const prefix = ownFolder(join(home, "prefix"));
  const nodeBin = copyFor(folder, nodeFolder(node), `node-${node}`);
  const npmFolder = copyFor(folder, dirname(dirname(npmProgram(npm))), `npm-${npm}`);
  const { NODE_EXTRA_CA_CERTS } = process.env;
  const env = {
    HOME: home,
    PATH: `${nodeBin}:${prefix}/bin:/usr/bin:/bin`,
    ...(NODE_EXTRA_CA_CERTS && { NODE_EXTRA_CA_CERTS }),
    // For a machine that can't download Node's headers, which compiling sqlite3 takes.
    ...(major(process.versions.node) === node &&
      existsSync(HEADERS) && { npm_config_nodedir: dirname(dirname(HEADERS)) }),
  };
  const begin = performance.now();
  const seconds = () => Math.round((performance.now() - begin) / 1000);
  try {
    const argv = [
      join(npmFolder, "bin/npm-cli.js"),
      "install",
      "--global",
      "--prefix",
      prefix,
      "--no-audit",
      "--no-fund",
      tarball,
    ];
    execFileSync(join(nodeBin, "node"), argv, { ...USER, cwd: home, env, stdio: "pipe" });
  } catch (error) {
    const reason = String(error).trim().split("\n").slice(0, 2).join(" ");
    return { ...pair, installed: false, served: false, seconds: seconds(), reason };
  }
  const size = execFileSync("du", ["-sm", prefix], { encoding: "utf8" });
  const installed = { ...pair, installed: true, mib: Number.parseInt(size, 10), seconds: seconds() };
  try {
    return { ...installed, served: true, ...(await serve(join(prefix, "bin/imagestore"), home, env)) };
  } catch (error) {
    return { ...installed, served: false, reason: error instanceof Error ? error.message : String(error) };
  }
}

const folder = mkdtempSync(join(tmpdir(), "imagestore-install-"));
chmodSync(folder, 0o755);
const ends = [];
try {
  const chosen = /** @template T @param {Iterable<T>} all @param {string | undefined} one */ (all, one) =>
    [...all].filter((each) => one === undefined || String(each) === one);
  for (const name of chosen(/** @type {const} */ (["plain", "bundle"]), values.package)) {
    const { made, make } = PACKAGES[name];
    const packed = { made, tarball: make(folder) };
    for (const node of chosen(NODES, values.node)) {
      for (const npm of chosen(NPMS, values.npm)) {
        const end = await tryPair(folder, packed, node, npm);
        ends.push(end);
        process.stdout.write(`${JSON.stringify(end)}\n`);
        rmSync(join(folder, `node-${node}-npm-${npm}`), { recursive: true, force: true });
      }
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
if (values.results) {
  mkdirSync(dirname(values.results), { recursive: true });
  writeFileSync(values.results, `${JSON.stringify(ends, undefined, 2)}\n`);
}
process.exitCode = ends.every(({ served, node, npm }) => served || TOO_OLD(node, npm)) ? 0 : 1;
