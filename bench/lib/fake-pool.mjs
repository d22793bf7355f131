// @ts-check
import { fileURLToPath } from "node:url";
import { startDaemon } from "./daemon.mjs";

const fake = (/** @type {string} */ name) => fileURLToPath(new URL(`../fake/${name}`, import.meta.url));

/**
 * Starts a daemon on a pool that the stand-ins for zfs and zpool in bench/fake pretend to have.
 * @param {import("./releasers.mjs").Releasers} releasers
 * @param {NodeJS.ProcessEnv} [env] the variables that the stand-ins read
 * @param {Record<string, unknown>} [config] more of the configuration
 */
export function startOnFakePool(releasers, env = {}, config = {}) {
  const pool = { name: "bench", zfsCommand: [fake("zfs")], zpoolCommand: [fake("zpool")], deviceWaitMs: 0 };
  return startDaemon(releasers, { pools: [pool], ...config }, { env });
}

/** The path of a download. @param {number} mib the length of its stream */
export const downloadPath = (mib) => `/snapshots/download?id=guests/mib-${mib}/disk@s`;

/** The command that sends such a stream. @param {number} mib */
export const sendCommand = (mib) => [fake("zfs"), "send", `bench/guests/mib-${mib}/disk@s`];
