// @ts-check
/**
 * A link to a port of loopback, in a process of its own: in each direction no more than so many bytes a second, each after a
 * delay. It holds what is on its way, and as much again, and makes a sender that is faster wait. It is no network: loopback's own
 * TCP has neither loss nor windows as small as those of a new connection over a long way.
 * Usage: node slow-link.mjs PORT BYTES_PER_SECOND DELAY_MS. Prints its own port.
 */
import { connect, createServer } from "node:net";

const [port = 0, bytesPerSecond = 0, delayMs = 0] = process.argv.slice(2).map(Number);
const ON_ITS_WAY = (bytesPerSecond * delayMs) / 1000;
const MOST_HELD = 2 * ON_ITS_WAY + 256 * 1024;

/** @param {import("node:net").Socket} from @param {import("node:net").Socket} to @param {{ freeAt: number }} direction */
function carry(from, to, direction) {
  /** @type {{ at: number, chunk: Buffer | undefined }[]} */
  const held = [];
  let bytes = 0;
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  const arrive = () => {
    timer = undefined;
    const now = performance.now();
    for (let first = held[0]; first && first.at <= now; first = held[0]) {
      held.shift();
      if (!first.chunk) {
        to.end();
        return;
      }
      bytes -= first.chunk.length;
      if (!to.write(first.chunk)) {
        to.once("drain", plan);
        break;
      }
    }
    if (bytes < MOST_HELD) from.resume();
    if (!to.writableNeedDrain) plan();
  };
  const plan = () => {
    const first = held[0];
    if (first && timer === undefined) timer = setTimeout(arrive, Math.max(0, first.at - performance.now()));
  };
  const add = (/** @type {Buffer | undefined} */ chunk) => {
    const now = performance.now();
    direction.freeAt = Math.max(now, direction.freeAt) + ((chunk?.length ?? 0) / bytesPerSecond) * 1000;
    held.push({ at: direction.freeAt + delayMs, chunk });
    bytes += chunk?.length ?? 0;
    if (bytes >= MOST_HELD) from.pause();
    plan();
  };
  from.on("data", add);
  from.on("end", () => add(undefined));
  from.on("error", () => to.destroy());
  from.on("close", () => to.destroyed || from.readableEnded || to.destroy());
}

/** All connections share the link. */
const [there, back] = [{ freeAt: 0 }, { freeAt: 0 }];
const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
  const far = connect({ host: "127.0.0.1", port, allowHalfOpen: true, noDelay: true });
  carry(near, far, there);
  carry(far, near, back);
});
server.listen(0, "127.0.0.1", () => {
  const address = /** @type {import("node:net").AddressInfo} */ (server.address());
  process.stdout.write(`${address.port}\n`);
});
