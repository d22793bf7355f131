// @ts-check
import { must, openConnection, replyOf, requestText } from "./http-client.mjs";

/** The small calls that are measured, each with the parameters that one client repeats. */
const CALLS = [
  { method: "GetImage", params: { id: "golden" } },
  { method: "ListImages", params: {} },
  { method: "GetSnapshot", params: { id: "guests/g/disk@s" } },
  { method: "GetVolume", params: { id: "guests/g/disk" } },
  { method: "GetPool", params: {} },
];

/** For the pool of the small calls: GetPool must answer the same each time. */
export const QUOTA_BYTES = 2 ** 30;

/**
 * A call and the reply that every repetition of it must give.
 * @typedef {object} SmallCall
 * @property {string} method
 * @property {string} request the HTTP request
 * @property {string} expected the body of the reply
 * @property {string[][]} headers of the reply, each a name and a value
 * @property {string | null} error null for a call that succeeds
 */

/**
 * Creates what the small calls read, and sends each of them once.
 * @param {number} port of a daemon on an empty embedded pool, with an image service
 * @param {Record<string, string>} [headers] by which it knows its caller
 * @returns {Promise<SmallCall[]>}
 */
export async function prepareSmallCalls(port, headers) {
  await must(port, "RequestImage", { id: "golden", type: "kvm" }, headers);
  await must(port, "CreateVolume", { id: "guests/g/disk", size: 8 }, headers);
  await must(port, "CreateSnapshot", { id: "guests/g/disk", dest: "s" }, headers);
  return Promise.all(
    CALLS.map(({ method, params }) => sendOnce(port, requestText(method, params, headers), method)),
  );
}

/** The call of a method, which must succeed. @param {readonly SmallCall[]} calls @param {string} method */
export function findCall(calls, method) {
  const call = calls.find((each) => each.method === method);
  if (call?.error !== null) throw new Error(`${method}: ${call ? call.error : "no such call"}`);
  return call;
}

/** @param {number} count */
export const connectionsText = (count) => (count === 1 ? "1 connection" : `${count} connections`);

/** @param {number} port @param {string} request @param {string} method of it @returns {Promise<SmallCall>} */
async function sendOnce(port, request, method) {
  const connection = await openConnection(port);
  const reply = await connection.send(request);
  connection.close();
  const [head = "", expected = ""] = reply.split("\r\n\r\n");
  const headers = head
    .split("\r\n")
    .slice(1)
    .map((line) => line.split(/: (.*)/).slice(0, 2));
  // A daemon that lacks the method answers with status 400 and a line of text.
  const error = head.startsWith("HTTP/1.1 200") ? replyOf(reply).error : expected.trim();
  return { method, request, expected, headers, error };
}
