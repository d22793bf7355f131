// @ts-check
import { connect } from "node:net";
import { connect as connectTls } from "node:tls";
import { reportOf } from "./load.mjs";

const READ_BYTES = 64 * 1024;
const HEAD_END = "\r\n\r\n";

/**
 * Repeats one call on `connections` for a time, as fast as it is answered. Rejects when the body of a reply is
 * not `expected`.
 *
 * A call costs this client a write, a read and a comparison. autocannon takes about three times the processor
 * time of a bare uWebSockets.js server, so with few cores it would measure itself.
 * @param {{ port: number, request: string, expected: string, connections: number, seconds: number, ca?: Buffer | undefined, onStart?: () => void }} options
 *   `ca`: the server speaks TLS, and this one has signed its certificate; `onStart`: called when all connections are open
 * @returns {Promise<import("./load.mjs").LoadReport>}
 */
export async function repeatCall({ port, request, expected, connections, seconds, ca, onStart = () => {} }) {
  const requestBytes = Buffer.from(request);
  const expectedBytes = Buffer.from(expected);
  /** @type {number[]} */
  const latencies = [];
  /** The length of a whole reply, 0 until the first one has arrived. All replies have the same length, heads included. */
  let replyBytes = 0;
  /** Set when the time is over and never reset. Each connection then closes after its last reply. */
  let isOver = false;
  /** @typedef {{ send: () => void, closed: Promise<void> }} Open a connection with its first request still to come */
  const openConnection = () =>
    /** @type {Promise<Open>} */ (
      new Promise((opened, reject) => {
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
        const server = { host: "127.0.0.1", port, noDelay: true };
        const openPlain = () => {
          const onread = { buffer: Buffer.allocUnsafe(READ_BYTES), callback: onChunk };
          return connect({ ...server, onread }, onOpen);
        };
        // TLS hands over what it has decrypted in a buffer of its own.
        const openTls = () =>
          connectTls({ ...server, ca }, onOpen).on("data", (chunk) => void onChunk(chunk.length, chunk));
        const socket = ca ? openTls() : openPlain();
        /** @type {Promise<void>} */
        const closed = new Promise((resolve, fail) => {
          socket.once("error", fail);
          socket.once("close", () => (isOver ? resolve() : fail(new Error("a connection was closed"))));
        });
        closed.catch(reject);
        function onOpen() {
          opened({ send, closed });
        }
      })
    );

  const all = await Promise.all(Array.from({ length: connections }, openConnection));
  onStart();
  const startedAt = performance.now();
  const timer = setTimeout(() => {
    isOver = true;
  }, seconds * 1000);
  for (const { send } of all) send();
  try {
    await Promise.all(all.map(({ closed }) => closed));
  } finally {
    clearTimeout(timer);
  }
  return reportOf(latencies, (performance.now() - startedAt) / 1000);
}
