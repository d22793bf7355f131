// @ts-check
import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { openFolder } from "./process.mjs";
import { Unavailable } from "./unavailable.mjs";

const SCRIPT = fileURLToPath(new URL("../../test/engines/radosgw.sh", import.meta.url));

/**
 * Ceph's gateway for S3 on loopback, with its objects in memory.
 * @typedef {object} ObjectStore
 * @property {string} version
 * @property {Record<string, string>} profile of `backups` in the configuration
 * @property {NodeJS.ProcessEnv} env with which rclone knows it as the remote `store`
 */

/**
 * Starts it; it stops with the bench. Throws Unavailable where Debian's packages are missing.
 * @param {import("./releasers.mjs").Releasers} releasers @param {string} bucket
 * @returns {Promise<ObjectStore>}
 */
export async function startObjectStore(releasers, bucket) {
  const folder = openFolder(releasers);
  const files = join(folder, "engine");
  mkdirSync(files);
  const child = spawn(SCRIPT, [files], { stdio: ["pipe", "pipe", "pipe"], detached: true });
  const exited = new Promise((resolve) => child.once("close", resolve));
  releasers.defer(async () => {
    child.stdin.end();
    await exited;
  });
  let complaint = "";
  child.stderr.on("data", (chunk) => {
    complaint += chunk;
  });
  /** @type {Record<string, string>} */
  const told = {};
  for await (const line of createInterface({ input: child.stdout })) {
    const [word = "", ...rest] = line.split(" ");
    told[word] = rest.join(" ");
    if (word === "ready") break;
  }
  const { endpoint = "", access = "", secret = "", version = "" } = told;
  if (!("ready" in told)) throw new Unavailable(`no radosgw: ${complaint.trim()}`);
  const keys = { accessKeyFile: join(folder, "access.key"), secretKeyFile: join(folder, "secret.key") };
  writeFileSync(keys.accessKeyFile, access, { mode: 0o600 });
  writeFileSync(keys.secretKeyFile, secret, { mode: 0o600 });
  return {
    version,
    profile: { endpoint, bucket, ...keys },
    env: {
      RCLONE_CONFIG_STORE_TYPE: "s3",
      RCLONE_CONFIG_STORE_PROVIDER: "Ceph",
      RCLONE_CONFIG_STORE_ENDPOINT: endpoint,
      RCLONE_CONFIG_STORE_ACCESS_KEY_ID: access,
      RCLONE_CONFIG_STORE_SECRET_ACCESS_KEY: secret,
      RCLONE_CONFIG: "/dev/null",
      // rclone stops at a CA of its environment that its own transport can't take.
      AWS_CA_BUNDLE: "",
    },
  };
}
