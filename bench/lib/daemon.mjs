// @ts-check
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openFolder, startService } from "./process.mjs";

/** @typedef {import("./releasers.mjs").Releasers} Releasers */

export const CLI = fileURLToPath(new URL("../../dist/main/cli.js", import.meta.url));

/**
 * @typedef {import("./process.mjs").Service & { url: string, port: number }} Daemon
 */

/**
 * Starts `imagestore serve` as its users do, log level error, on a free port of loopback.
 * @param {Releasers} releasers
 * @param {Record<string, unknown>} config
 * @param {{ env?: NodeJS.ProcessEnv, nodeFlags?: readonly string[] }} [options]
 * @returns {Promise<Daemon>}
 */
export async function startDaemon(releasers, config, { env = {}, nodeFlags = [] } = {}) {
  if (!existsSync(CLI)) throw new Error("nothing is compiled: run npm run build");
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
  const argv = [process.execPath, ...nodeFlags, ...profileFlags(), CLI, "serve", "--config", file];
  const service = await startService(releasers, argv, env);
  const url = /listening on (http:\S+)/.exec(service.firstLine)?.[1];
  if (!url) throw new Error(`the daemon says: ${service.firstLine}`);
  return { ...service, url, port: Number(new URL(url).port) };
}

/** BENCH_PROFILE=FOLDER: the daemon writes profiles of its threads there when it stops. */
function profileFlags() {
  const folder = process.env.BENCH_PROFILE;
  return folder ? ["--cpu-prof", `--cpu-prof-dir=${folder}`] : [];
}

/** A daemon on an empty embedded pool in a folder of its own. @param {Releasers} releasers @param {Record<string, unknown>} [config] */
export function startEmbedded(releasers, config = {}) {
  const folder = join(openFolder(releasers), "pool");
  return startDaemon(releasers, { pools: [{ name: "bench", driver: "embedded", folder }], ...config });
}

/** The pool's name in every bench. */
export const POOL = "bench";
