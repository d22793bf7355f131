// @ts-check
import { once } from "node:events";
import { connect } from "node:net";

/**
 * A small WebSocket client: what it sends are texts with a mask of zeros, which changes nothing of them, and what it
 * gets are whole messages of a server. It must cost less than the server.
 */

const READ_BYTES = 256 * 1024;
const HEAD_END = "\r\n\r\n";
const KEY = "AAAAAAAAAAAAAAAAAAAAAA==";
const NO_BYTES = Buffer.alloc(0);

/** A text of less than 64 KiB as a client's frame. @param {string} text */
export function frameOf(text) {
  const payload = Buffer.from(text);
  const isShort = payload.length < 126;
  const head = Buffer.alloc(isShort ? 6 : 8);
  head[0] = 0x81;
  head[1] = 0x80 | (isShort ? payload.length : 126);
  if (!isShort) head.writeUInt16BE(payload.length, 2);
  return Buffer.concat([head, payload]);
}

/**
 * @typedef {object} RawSocket
 * @property {(bytes: Uint8Array) => void} write
 * @property {() => void} close
 * @property {Promise<void>} closed rejects with what went wrong
 *
 * @param {{ port: number, path?: string, buffer?: Buffer }} server of loopback; `buffer`: shared by all that have it
 * @param {(chunk: Buffer) => void} onBytes called with what comes behind the head; valid during the call
 * @returns {Promise<RawSocket>}
 */
export async function openRawSocket(
  { port, path = "/rpc", buffer = Buffer.allocUnsafe(READ_BYTES) },
  onBytes,
) {
  let isOpen = false;
  let head = "";
  let opened = () => {};
  /** @type {Promise<void>} */
  const opening = new Promise((resolve) => {
    opened = resolve;
  });
  const callback = (/** @type {number} */ length) => {
    const chunk = buffer.subarray(0, length);
    if (isOpen) {
      onBytes(chunk);
      return true;
    }
    head += chunk.toString("latin1");
    const end = head.indexOf(HEAD_END);
    if (end < 0) return true;
    if (!head.startsWith("HTTP/1.1 101")) socket.destroy(new Error(`no WebSocket: ${head.slice(0, end)}`));
    isOpen = true;
    opened();
    const rest = Buffer.from(head.slice(end + HEAD_END.length), "latin1");
    if (rest.length > 0) onBytes(rest);
    return true;
  };
  const socket = connect({ host: "127.0.0.1", port, noDelay: true, onread: { buffer, callback } });
  /** @type {Promise<void>} */
  const closed = new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.once("close", () => resolve());
  });
  closed.catch(() => {});
  await Promise.race([once(socket, "connect"), closed]);
  const lines = [
    `GET ${path} HTTP/1.1`,
    "Host: 127.0.0.1",
    "Connection: Upgrade",
    "Upgrade: websocket",
    `Sec-WebSocket-Key: ${KEY}`,
    "Sec-WebSocket-Version: 13",
  ];
  socket.write(`${lines.join("\r\n")}${HEAD_END}`);
  await Promise.race([
    opening,
    closed.then(() => {
      throw new Error("a WebSocket was closed before it was open");
    }),
  ]);
  return { write: (bytes) => void socket.write(bytes), close: () => socket.destroy(), closed };
}

/**
 * Takes bytes of frames in whatever pieces, and hands over each frame's payload as one piece, valid during the call.
 * @param {(opcode: number, payload: Buffer) => void} onFrame
 * @returns {(chunk: Buffer) => void}
 */
export function createFrameReader(onFrame) {
  /** What has come of a frame that is not whole. @type {Buffer} */
  let left = NO_BYTES;
  return (chunk) => {
    const all = left.length === 0 ? chunk : Buffer.concat([left, chunk]);
    let at = 0;
    for (;;) {
      if (all.length - at < 2) break;
      const code = all[at + 1] ?? 0;
      const headBytes = code < 126 ? 2 : code === 126 ? 4 : 10;
      if (all.length - at < headBytes) break;
      const length =
        code < 126 ? code : code === 126 ? all.readUInt16BE(at + 2) : Number(all.readBigUInt64BE(at + 2));
      const end = at + headBytes + length;
      if (end > all.length) break;
      onFrame((all[at] ?? 0) & 0x0f, all.subarray(at + headBytes, end));
      at = end;
    }
    left = at === all.length ? NO_BYTES : Buffer.from(all.subarray(at));
  };
}

/**
 * Repeats one call on one WebSocket, with `inFlight` of them at once, as fast as they are answered. Rejects when a reply is
 * not `expected`.
 * @param {{ port: number, text: string, expected: string, inFlight: number, seconds: number }} options
 * @returns {Promise<{ replies: number, perSecond: number }>}
 */
export async function repeatOnSocket({ port, text, expected, inFlight, seconds }) {
  const expectedBytes = Buffer.from(expected);
  const requests = Buffer.concat(Array.from({ length: inFlight }, () => frameOf(text)));
  const requestBytes = requests.length / inFlight;
  let replies = 0;
  let isOver = false;
  /** @type {Error | undefined} */
  let problem;
  let arrived = 0;
  const read = createFrameReader((opcode, payload) => {
    // Pings are not answered: no run is that long.
    if (opcode !== 1) return;
    arrived++;
    if (!payload.equals(expectedBytes)) problem = new Error(`a wrong answer: ${payload.toString()}`);
  });
  const socket = await openRawSocket({ port }, (chunk) => {
    read(chunk);
    replies += arrived;
    if (problem || (isOver && arrived > 0)) socket.close();
    else if (arrived > 0) socket.write(requests.subarray(0, arrived * requestBytes));
    arrived = 0;
  });
  const startedAt = performance.now();
  socket.write(requests);
  const timer = setTimeout(() => {
    isOver = true;
  }, seconds * 1000);
  await socket.closed;
  clearTimeout(timer);
  if (problem) throw problem;
  if (!isOver) throw new Error("the WebSocket was closed");
  return { replies, perSecond: (replies / (performance.now() - startedAt)) * 1000 };
}

/**
 * Sends a text on a new WebSocket. @param {number} port @param {string} text
 * @returns {Promise<string>} the first text that comes
 */
export async function askOnSocket(port, text) {
  /** @type {(reply: string) => void} */
  let settle = () => {};
  /** @type {Promise<string>} */
  const answered = new Promise((resolve) => {
    settle = resolve;
  });
  const socket = await openRawSocket(
    { port },
    createFrameReader((_opcode, payload) => settle(payload.toString())),
  );
  socket.write(frameOf(text));
  const reply = await answered;
  socket.close();
  return reply;
}
