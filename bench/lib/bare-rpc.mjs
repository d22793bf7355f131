// @ts-check
/**
 * The reference of `rpc` and `websocket`: a uWebSockets.js server that reads the body, answers with fixed bytes, and does
 * nothing else. A text on a WebSocket at /rpc is answered with the body too, without its last line feed.
 * Usage: node bare-rpc.mjs BODY HEADERS-AS-JSON-PAIRS
 */
import { loadUws } from "./load-uws.mjs";

const uWS = await loadUws();

const [body = "", headersText = "[]"] = process.argv.slice(2);
/** @type {[string, string][]} */
const headers = JSON.parse(headersText);

/** The type declarations of the package lack the overload with a host. @typedef {(host: string, port: number, done: (socket: any) => void) => void} Listen */
const app = uWS.App().any("/*", (response) => {
  response.onAborted(() => {});
  response.onData((_chunk, isLast) => {
    if (!isLast) return;
    response.cork(() => {
      response.writeStatus("200 OK");
      for (const [name, value] of headers) response.writeHeader(name, value);
      response.end(body);
    });
  });
});
const message = body.trimEnd();
app.ws("/rpc", { message: (socket) => void socket.send(message, false) });
/** @type {Listen} */ (app.listen.bind(app))("127.0.0.1", 0, (socket) => {
  if (!socket) process.exit(1);
  process.stdout.write(`http://127.0.0.1:${uWS.us_socket_local_port(socket)}\n`);
});
process.on("SIGTERM", () => process.exit(0));
