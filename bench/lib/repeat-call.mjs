// @ts-check
import { connect } from "node:net";
import { reportOf } from "./load.mjs";

const READ_BYTES = 64 * 1024;
const HEAD_END = "\r\n\r\n";

/**
 * Repeats one call on `connections` for a time, as fast as it is answered. Rejects when the body of a reply is
 * not `expected`.
 *
 * A call costs this client a write, a read and a comparison. autocannon takes about three times the processor
 * time of a bare uWebSockets.js server, so with few cores it would measure itself.
 * @param {{ port: number, request: string, expected: string, connections: number, seconds: number }} options
 * @returns {Promise<import("./load.mjs").LoadReport>}
 */
export async function repeatCall({ port, request, expected, connections, seconds }) {
  const requestBytes = Buffer.from(request);
  const expectedBytes = Buffer.from(expected);
  /** @type {number[]} */
  const latencies = [];
  /** The length of a whole reply, 0 until the first one has arrived. All replies have the same length, heads included. */
  let replyBytes = 0;
  /** Set when the time is over and never reset. Each connection then closes after its last reply. */
  let isOver = false;
  const startedAt = performance.now();
  const timer = setTimeout(() => {
    isOver = true;
  }, seconds * 1000);

  const runConnection = () =>
    /** @type {Promise<void>} */ (
      new Promise((resolve, reject) => {
        const reply = Buffer.allocUnsafe(READ_BYTES);
        /** How many bytes of the current reply have arrived. */
        let got = 0;
        /** When the current request was sent. */
        let sentAt = 0;
        const send = () => {
          sentAt = performance.now();
          socket.write(requestBytes);
        };
        const isWhole = () => {
          if (replyBytes > 0) return got >= replyBytes;
          const end = reply.indexOf(HEAD_END);
          if (end < 0 || got < end + HEAD_END.length + expectedBytes.length) return false;
          replyBytes = end + HEAD_END.length + expectedBytes.length;
          return true;
        };
        const onChunk = (/** @type {number} */ length, /** @type {Uint8Array} */ chunk) => {
          reply.set(length === chunk.length ? chunk : chunk.subarray(0, length), got);
          got += length;
          if (!isWhole()) return true;
          latencies.push(performance.now() - sentAt);
          if (expectedBytes.compare(reply, got - expectedBytes.length, got) !== 0) {
            socket.destroy(new Error(`a wrong answer: ${reply.toString("latin1", 0, got)}`));
            return true;
          }
          got = 0;
          if (isOver) socket.end();
          else send();
          return true;
        };
        const onread = { buffer: Buffer.allocUnsafe(READ_BYTES), callback: onChunk };
        const socket = connect({ host: "127.0.0.1", port, noDelay: true, onread }, send);
        socket.once("error", reject);
        socket.once("close", () => (isOver ? resolve() : reject(new Error("a connection was closed"))));
      })
    );

  try {
    await Promise.all(Array.from({ length: connections }, runConnection));
  } finally {
    clearTimeout(timer);
  }
  return reportOf(latencies, (performance.now() - startedAt) / 1000);
}
