// @ts-check
import autocannon from "autocannon";
import { openConnection } from "./http-client.mjs";
import { percentile } from "./statistics.mjs";

/**
 * What a load measured.
 * @typedef {object} LoadReport
 * @property {number} perSecond replies a second
 * @property {number} p50Ms
 * @property {number} p99Ms
 * @property {number} replies
 */

/**
 * Repeats one call by autocannon for a time. Rejects when a reply is not `expected`.
 * @param {{ url: string, body: string, expected: string, connections: number, seconds: number }} options
 * @returns {Promise<LoadReport>}
 */
export function repeatByAutocannon({ url, body, expected, connections, seconds }) {
  return new Promise((resolve, reject) => {
    /** @type {number[]} */
    const latencies = [];
    const startedAt = performance.now();
    const instance = autocannon(
      {
        url: `${url}/_mistify_RPC_`,
        method: "POST",
        headers: { "content-type": "application/json" },
        body,
        expectBody: expected,
        connections,
        duration: seconds,
      },
      (error, result) => {
        if (error) return reject(error);
        const { errors, timeouts, non2xx, mismatches } = result;
        if (errors + timeouts + non2xx + mismatches > 0) {
          return reject(
            new Error(`bad replies: ${JSON.stringify({ errors, timeouts, non2xx, mismatches })}`),
          );
        }
        const tookS = (lastAt - startedAt) / 1000;
        resolve({
          perSecond: latencies.length / tookS,
          p50Ms: percentile(latencies, 50),
          p99Ms: percentile(latencies, 99),
          replies: latencies.length,
        });
      },
    );
    let lastAt = startedAt;
    instance.on("response", (_client, _status, _bytes, durationMs) => {
      latencies.push(durationMs);
      lastAt = performance.now();
    });
  });
}

/**
 * Keeps `connections` busy for a time. Each sends its next request as soon as the last one is answered.
 * @param {{ port: number, connections: number, seconds: number, request: (index: number) => string }} options
 * @returns {Promise<LoadReport & { answers: string[] }>} the answers in the order of the requests
 */
export async function sendFor({ port, connections, seconds, request }) {
  const opened = await Promise.all(Array.from({ length: connections }, () => openConnection(port)));
  /** @type {string[]} */
  const answers = [];
  /** @type {number[]} */
  const latencies = [];
  let next = 0;
  const startedAt = performance.now();
  const isOver = () => performance.now() - startedAt > seconds * 1000;
  await Promise.all(
    opened.map(async (connection) => {
      while (!isOver()) {
        const index = next++;
        const sentAt = performance.now();
        answers[index] = await connection.send(request(index));
        latencies.push(performance.now() - sentAt);
      }
    }),
  );
  const tookS = (performance.now() - startedAt) / 1000;
  for (const connection of opened) connection.close();
  return { ...reportOf(latencies, tookS), answers };
}

/** @param {number[]} latencies @param {number} tookS @returns {LoadReport} */
export function reportOf(latencies, tookS) {
  return {
    perSecond: latencies.length / tookS,
    p50Ms: percentile(latencies, 50),
    p99Ms: percentile(latencies, 99),
    replies: latencies.length,
  };
}

/**
 * Sends at a fixed rate, however long the answers take, as independent clients do. A request that finds no
 * free connection waits for one. Its time counts from the moment it was due, so that a stall shows.
 * @param {object} options
 * @param {number} options.port
 * @param {number} options.connections
 * @param {number} options.perSecond
 * @param {number} options.seconds
 * @param {(index: number) => string} options.request
 * @param {(reply: string, index: number, sinceSentMs: number) => void} [options.onReply]
 * @returns {Promise<LoadReport & { sent: number }>}
 */
export async function sendAtRate({ port, connections, perSecond, seconds, request, onReply }) {
  const free = await Promise.all(Array.from({ length: connections }, () => openConnection(port)));
  const all = [...free];
  /** @type {{ index: number, dueAt: number }[]} */
  const waiting = [];
  /** @type {number[]} */
  const latencies = [];
  const startedAt = performance.now();
  let sent = 0;
  let made = 0;
  /** @type {Promise<void>[]} */
  const running = [];

  const run = async (/** @type {import("./http-client.mjs").Connection} */ connection) => {
    // The first request finds its connection free: the time since it was due is the slowness of this client.
    let since = performance.now();
    for (let task = waiting.shift(); task; task = waiting.shift()) {
      sent++;
      const sentAt = performance.now();
      const reply = await connection.send(request(task.index));
      const ms = performance.now() - Math.max(since, task.dueAt);
      since = 0;
      latencies.push(ms);
      onReply?.(reply, task.index, performance.now() - sentAt);
    }
    free.push(connection);
  };
  const total = Math.round(perSecond * seconds);
  while (performance.now() - startedAt < seconds * 1000 && made < total) {
    const due = Math.min(total, Math.floor(((performance.now() - startedAt) / 1000) * perSecond));
    for (; made < due; made++) waiting.push({ index: made, dueAt: startedAt + (made / perSecond) * 1000 });
    while (waiting.length > 0 && free.length > 0) {
      // Takes the connections in turn, because the daemon closes one that has been idle for 10 s.
      const connection = free.shift();
      if (connection) running.push(run(connection));
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  // Requests that never found a connection were not sent to the daemon.
  waiting.length = 0;
  await Promise.all(running);
  for (const connection of all) connection.close();
  return { ...reportOf(latencies, (performance.now() - startedAt) / 1000), sent };
}
