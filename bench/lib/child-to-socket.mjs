// @ts-check
/**
 * The limit of `bulk`: a server that gives the client's connection to a command as its stdout, and does nothing
 * else. It reads no request: whatever comes first is one.
 * Usage: node child-to-socket.mjs COMMAND ARG…
 */
import { spawn } from "node:child_process";
import { createServer } from "node:net";

const [program = "", ...args] = process.argv.slice(2);

const server = createServer((socket) => {
  socket.on("error", () => {});
  socket.once("data", () => {
    socket.write("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", () => {
      // In a session of its own, as the daemon's: where the kernel shares processors out by sessions
      // (sched_autogroup), that makes a command faster.
      const child = spawn(program, args, { stdio: ["ignore", socket, "inherit"], detached: true });
      // Node pauses what it gives to a child; without reading it would not notice that the client has gone.
      socket.resume();
      socket.once("close", () => child.kill("SIGKILL"));
      child.once("close", () => socket.end());
    });
  });
});
server.listen(0, "127.0.0.1", () => {
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  process.stdout.write(`${port}\n`);
});
process.on("SIGTERM", () => process.exit(0));
