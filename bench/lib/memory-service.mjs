// @ts-check
/**
 * An image service that costs hardly anything: it answers each request with the bytes of a file, which it has in
 * memory. Prints its port.
 * Usage: node memory-service.mjs FILE
 */
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

const bytes = readFileSync(process.argv[2] ?? "");
const server = createServer((_request, response) => {
  response.writeHead(200, { "Content-Length": bytes.length });
  response.end(bytes);
});
server.listen(0, "127.0.0.1", () => {
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  process.stdout.write(`${port}\n`);
});
process.on("SIGTERM", () => process.exit(0));
