// @ts-check
import { fileURLToPath } from "node:url";
import { startDaemon } from "./daemon.mjs";

const fake = (/** @type {string} */ name) => fileURLToPath(new URL(`../fake/${name}`, import.meta.url));

/**
 * A daemon on a pool of the stand-ins in bench/fake.
 * @param {import("./releasers.mjs").Releasers} releasers
 * @param {NodeJS.ProcessEnv} [env] what the stand-ins are told
 */
export function startOnFakePool(releasers, env = {}) {
  const pool = { name: "bench", zfsCommand: [fake("zfs")], zpoolCommand: [fake("zpool")], deviceWaitMs: 0 };
  return startDaemon(releasers, { pools: [pool] }, { env });
}

/** @param {number} mib length of its stream */
export const downloadPath = (mib) => `/snapshots/download?id=guests/mib-${mib}/disk@s`;

/** The command that sends such a stream. @param {number} mib */
export const sendCommand = (mib) => [fake("zfs"), "send", `bench/guests/mib-${mib}/disk@s`];
