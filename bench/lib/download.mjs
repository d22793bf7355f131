// @ts-check
import { spawn } from "node:child_process";

/**
 * Running downloads, each by a curl. Of the readers tried (curl, and node reading a raw socket into one buffer)
 * curl takes the least processor time, and it checks the framing.
 * @typedef {object} Downloads
 * @property {Promise<number>} seconds until all have ended; rejects when one of them is cut short
 * @property {() => void} cancel
 */

/** @param {{ url: string, count: number, bytes: number }} options `bytes`: the length that each must get @returns {Downloads} */
export function startDownloads({ url, count, bytes }) {
  const startedAt = performance.now();
  const curls = Array.from({ length: count }, () => {
    const argv = ["-sS", "-f", "-o", "/dev/null", "-w", "%{size_download}", url];
    const child = spawn("curl", argv, { stdio: ["ignore", "pipe", "pipe"] });
    let text = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk) => {
        text += chunk;
      });
    }
    /** @type {Promise<void>} */
    const done = new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code) => {
        if (code === 0 && Number(text) === bytes) resolve();
        else reject(new Error(`curl ${url}: status ${code}: ${text}`));
      });
    });
    return { child, done };
  });
  const seconds = Promise.all(curls.map(({ done }) => done)).then(
    () => (performance.now() - startedAt) / 1000,
  );
  seconds.catch(() => {});
  return {
    seconds,
    cancel: () => {
      for (const { child } of curls) child.kill("SIGKILL");
    },
  };
}
