// @ts-check
import { existsSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { openFolder, startService } from "./process.mjs";

/** @typedef {import("./releasers.mjs").Releasers} Releasers */

/** The pool's name in every bench. */
export const POOL = "bench";

/** This checkout's compiled command. */
export const CLI = fileURLToPath(new URL("../../dist/main/cli.js", import.meta.url));

/**
 * @typedef {import("./process.mjs").Service & { url: string, port: number }} Daemon
 *
 * @typedef {object} DaemonOptions
 * @property {NodeJS.ProcessEnv} [env] on top of the environment of the bench
 * @property {readonly string[]} [nodeFlags]
 * @property {string} [cli] the compiled command of another checkout
 * @property {number} [quotaBytes] of the embedded pool
 * @property {(argv: readonly string[], folders: readonly string[]) => readonly string[]} [wrap] the command that runs
 *   the daemon's somewhere else, where it must see these folders
 */

/**
 * Starts `imagestore serve` as its users do, with log level error, on a free port of loopback.
 * @param {Releasers} releasers
 * @param {Record<string, unknown>} config
 * @param {DaemonOptions} [options]
 * @returns {Promise<Daemon>}
 */
export async function startDaemon(releasers, config, options = {}) {
  const { env = {}, nodeFlags = [], cli = CLI, wrap = (argv) => argv } = options;
  if (!existsSync(cli)) throw new Error(`${cli} is missing: run npm run build in that checkout`);
  const folder = openFolder(releasers);
  const file = join(folder, "config.json");
  const whole = {
    listen: { port: 0 },
    log: { level: "error" },
    dataDir: join(folder, "data"),
    imageService: "127.0.0.1:1",
    ...config,
  };
  writeFileSync(file, JSON.stringify(whole));
  const argv = [process.execPath, ...nodeFlags, ...profileFlags(), cli, "serve", "--config", file];
  const service = await startService(releasers, wrap(argv, [folder, ...poolFolders(config)]), env);
  const url = /listening on (http:\S+)/.exec(service.firstLine)?.[1];
  if (!url) throw new Error(`the daemon says: ${service.firstLine}`);
  return { ...service, url, port: Number(new URL(url).port) };
}

/** The folders that hold the embedded pools of a configuration. @param {Record<string, unknown>} config */
function poolFolders({ pools = [] }) {
  return /** @type {{ folder?: string }[]} */ (pools).flatMap(({ folder }) =>
    folder ? [dirname(folder)] : [],
  );
}

/** With BENCH_PROFILE=FOLDER the daemon writes the profiles of its threads there when it stops. */
function profileFlags() {
  const folder = process.env.BENCH_PROFILE;
  return folder ? ["--cpu-prof", `--cpu-prof-dir=${folder}`] : [];
}

/**
 * Starts a daemon on an empty embedded pool in a new folder. With a quota the free space of the pool does not
 * depend on what others write to the file system.
 * @param {Releasers} releasers @param {Record<string, unknown>} [config] @param {DaemonOptions} [options]
 */
export function startEmbedded(releasers, config = {}, options = {}) {
  const folder = join(openFolder(releasers), "pool");
  const { quotaBytes } = options;
  const pools = [{ name: POOL, driver: "embedded", folder, quotaBytes }];
  return startDaemon(releasers, { pools, ...config }, options);
}
