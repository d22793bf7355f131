import { connect } from "node:net";

/** A request that never becomes whole, or a connection that is left alone. */
export interface Unfinished {
  readonly name: string;
  readonly text: string;
  /** Sent once a second until the connection ends. */
  readonly drip?: string;
}

const HOST = "Host: localhost\r\n";
const GET = `GET /healthz HTTP/1.1\r\n${HOST}\r\n`;
const HEAD = `POST /rpc HTTP/1.1\r\n${HOST}`;
const LENGTH = `${HEAD}Content-Length: 99999\r\n\r\n`;
const CHUNKED = `${HEAD}Transfer-Encoding: chunked\r\n\r\n`;

/** No head is whole, or none behind one that was answered. */
export const UNFINISHED_HEADS: readonly Unfinished[] = [
  { name: "nothing", text: "" },
  { name: "a byte", text: "P" },
  { name: "empty lines", text: "\r\n\r\n" },
  { name: "a request line", text: "POST /rpc HTTP/1.1\r\n" },
  { name: "half a field", text: `${HEAD}X: ` },
  { name: "all but the last empty line", text: HEAD },
  { name: "nothing behind an answer", text: GET },
  { name: "half a head behind an answer", text: `${GET}${HEAD}` },
  { name: "empty lines, one by one", text: "", drip: "\r\n" },
  { name: "a field, byte by byte", text: `${HEAD}X: `, drip: "y" },
  { name: "fields, one by one", text: HEAD, drip: "X: y\r\n" },
  { name: "a field behind an answer, byte by byte", text: `${GET}${HEAD}X: `, drip: "y" },
];

/** A head is whole, and its body isn't. */
export const UNFINISHED_BODIES: readonly Unfinished[] = [
  { name: "no byte of a body", text: LENGTH },
  { name: "no byte of the body of a GET", text: LENGTH.replace("POST /rpc", "GET /healthz") },
  { name: "a byte of a body", text: `${LENGTH}{` },
  {
    name: "no byte of a body that awaits 100",
    text: LENGTH.replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n"),
  },
  { name: "no chunk", text: CHUNKED },
  { name: "half the length of a chunk", text: `${CHUNKED}5` },
  { name: "half a chunk", text: `${CHUNKED}5\r\nab` },
  { name: "no last chunk", text: `${CHUNKED}2\r\n{}\r\n` },
  { name: "half a last chunk", text: `${CHUNKED}2\r\n{}\r\n0\r\n` },
  { name: "a body, byte by byte", text: LENGTH, drip: "{" },
  { name: "chunks of a byte", text: CHUNKED, drip: "1\r\n{\r\n" },
  { name: "the length of a chunk, byte by byte", text: CHUNKED, drip: "0" },
  { name: "an extension of a chunk, byte by byte", text: `${CHUNKED}5;`, drip: "x" },
  { name: "a trailer, byte by byte", text: `${CHUNKED}0\r\nX: `, drip: "y" },
];

const DRIP_MS = 1_000;

/** How a connection ended that was left open. */
export interface LeftOpen {
  readonly ms: number;
  /** All that has come. */
  readonly text: string;
}

/**
 * Opens a connection, sends what is unfinished, and waits for the server to end it.
 * @param halfClose whether the client ends its half at once.
 * Rejects after `limitMs`.
 */
export function leaveOpen(
  port: number,
  { name, text, drip }: Unfinished,
  limitMs: number,
  halfClose = false,
): Promise<LeftOpen> {
  return new Promise((resolve, reject) => {
    const began = performance.now();
    let come = "";
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true }, () => {
      socket.write(text);
      if (halfClose) socket.end();
    });
    const dripping = setInterval(() => {
      if (drip !== undefined && socket.writable) socket.write(drip);
    }, DRIP_MS);
    const finish = () => {
      clearTimeout(timer);
      clearInterval(dripping);
      socket.destroy();
    };
    const timer = setTimeout(() => {
      finish();
      const half = halfClose ? ", half-closed" : "";
      reject(
        new Error(`${name}${half}: still open after ${limitMs} ms: ${JSON.stringify(text.slice(0, 80))}`),
      );
    }, limitMs);
    const ended = () => {
      finish();
      resolve({ ms: performance.now() - began, text: come });
    };
    socket.on("data", (chunk: Buffer) => {
      come += chunk.toString("latin1");
    });
    socket.on("error", () => {});
    socket.on("end", ended);
    socket.on("close", ended);
  });
}
