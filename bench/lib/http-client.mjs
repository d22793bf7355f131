// @ts-check
import { connect } from "node:net";

/**
 * A small HTTP/1.1 client that sends one request at a time on a connection that stays open. It must cost less
 * than the daemon, or else the bench would measure the client. It only knows replies with a Content-Length,
 * which all of the daemon's calls have.
 * @typedef {object} Connection
 * @property {(request: string) => Promise<string>} send resolves to the whole reply, head and body
 * @property {() => void} close
 */

const HEAD_END = "\r\n\r\n";
const LENGTH = /\r\ncontent-length: *(\d+)/i;

/** @param {number} port of loopback @returns {Promise<Connection>} */
export function openConnection(port) {
  const socket = connect({ host: "127.0.0.1", port, noDelay: true });
  // One character for each byte, so that the length of the text is the Content-Length.
  socket.setEncoding("latin1");
  /** What has arrived of the current reply. */
  let text = "";
  /** The length of the whole reply, -1 until its head has arrived. */
  let wanted = -1;
  /** @type {((reply: string) => void) | undefined} resolves the last request */
  let settle;
  /** @type {((error: Error) => void) | undefined} rejects the last request */
  let fail;
  /** @type {Error | undefined} why the connection is unusable; once set, it stays */
  let broken;

  socket.on("data", (chunk) => {
    text += chunk;
    if (wanted < 0) {
      const end = text.indexOf(HEAD_END);
      if (end < 0) return;
      wanted = end + HEAD_END.length + Number(LENGTH.exec(text.slice(0, end))?.[1] ?? 0);
    }
    if (text.length < wanted) return;
    const reply = text;
    text = "";
    wanted = -1;
    settle?.(reply);
  });
  const onBroken = (/** @type {Error} */ error) => {
    broken = error;
    fail?.(error);
  };
  socket.on("error", onBroken);
  socket.on("close", () => onBroken(new Error("the connection was closed")));

  /** @type {Connection} */
  const connection = {
    send: (request) =>
      new Promise((resolve, reject) => {
        if (broken) return reject(broken);
        settle = resolve;
        fail = reject;
        socket.write(request, "latin1");
      }),
    close: () => socket.destroy(),
  };
  return new Promise((resolve, reject) => {
    socket.once("connect", () => resolve(connection));
    socket.once("error", reject);
  });
}

/**
 * The HTTP request of a call, as an agent sends it.
 * @param {string} method @param {object} params @param {Record<string, string>} [headers] besides those that all have
 */
export function requestText(method, params, headers = {}) {
  const body = callBody(method, params);
  const all = {
    Host: "127.0.0.1",
    "Content-Type": "application/json",
    "Content-Length": String(Buffer.byteLength(body)),
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `POST /_mistify_RPC_ HTTP/1.1\r\n${lines.join("")}\r\n${body}`;
}

/** @param {string} method @param {object} params */
export function callBody(method, params) {
  return JSON.stringify({ method: `ImageStore.${method}`, params: [params], id: 1 });
}

/**
 * @typedef {{ result: any, error: string | null }} Reply a 1.0 reply
 * @param {string} text of a whole HTTP reply @returns {Reply}
 */
export function replyOf(text) {
  if (!text.startsWith("HTTP/1.1 200")) throw new Error(`not answered: ${text.slice(0, 300)}`);
  return JSON.parse(text.slice(text.indexOf(HEAD_END) + HEAD_END.length));
}

/**
 * Sends one call on a new connection. Rejects unless the call succeeds.
 * @param {number} port @param {string} method @param {object} params @param {Record<string, string>} [headers]
 */
export async function must(port, method, params, headers) {
  const connection = await openConnection(port);
  try {
    const { result, error } = replyOf(await connection.send(requestText(method, params, headers)));
    if (error !== null) throw new Error(`${method} ${JSON.stringify(params)}: ${error}`);
    return result;
  } finally {
    connection.close();
  }
}
