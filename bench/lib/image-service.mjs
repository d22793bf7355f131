// @ts-check
import { once } from "node:events";
import { createReadStream, statSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { CLI } from "./daemon.mjs";
import { openFolder, runCommand } from "./process.mjs";

/** @typedef {import("./releasers.mjs").Releasers} Releasers */

/**
 * Starts an image service that serves the same file for every id.
 * @param {Releasers} releasers @param {string} file
 * @returns {Promise<string>} HOST:PORT, as in a daemon's configuration
 */
export async function serveImage(releasers, file) {
  const server = createServer((_request, response) => {
    response.writeHead(200, { "Content-Length": statSync(file).size });
    createReadStream(file, { highWaterMark: 256 * 1024 }).pipe(response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  releasers.defer(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = /** @type {import("node:net").AddressInfo} */ (server.address());
  return `127.0.0.1:${address.port}`;
}

/** Packs a raw disk of random bytes into a stream. @param {Releasers} releasers @param {number} mib @returns {Promise<string>} its file */
export async function packImage(releasers, mib) {
  const folder = openFolder(releasers);
  const raw = join(folder, "disk.raw");
  const file = join(folder, "image.zfs");
  await runCommand(["dd", "if=/dev/urandom", `of=${raw}`, "bs=1M", `count=${mib}`, "status=none"]);
  await runCommand([process.execPath, CLI, "image", "pack", raw, "-o", file]);
  return file;
}
