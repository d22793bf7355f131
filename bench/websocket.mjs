// @ts-check
import { startEmbedded } from "./lib/daemon.mjs";
import { packImage, serveImage } from "./lib/image-service.mjs";
import { ROUNDS } from "./lib/in-turns.mjs";
import { cpuSeconds, scriptOf, startService } from "./lib/process.mjs";
import { repeatCall } from "./lib/repeat-call.mjs";
import { prepareSmallCalls, QUOTA_BYTES } from "./lib/small-calls.mjs";
import { askOnSocket, repeatOnSocket } from "./lib/ws-client.mjs";

const IN_FLIGHT = [1, 10, 100];
const HTTP = "HTTP, one connection";
const BARE_HTTP = "a bare server, HTTP, one connection";
const BARE = "a bare server, a WebSocket, 1 at once";
const CALL = '{"jsonrpc":"2.0","method":"GetImage","params":{"id":"golden"},"id":1}';

/** @param {number} inFlight */
const nameOf = (inFlight) => `a WebSocket, ${inFlight} at once`;

/** @type {import("./run.mjs").Bench} */
export default {
  title: "calls a second by one WebSocket, and by one HTTP connection that stays open",
  run: async (tools) => {
    const { settings, add, compare, note, say } = tools;
    const imageService = await serveImage(tools, await packImage(tools, 1));
    const { port, pid } = await startEmbedded(tools, { imageService }, { quotaBytes: QUOTA_BYTES });
    await prepareSmallCalls(port);
    const expected = await askOnSocket(port, CALL);
    if (!expected.includes('"result":{"images":[{"id":"golden"')) throw new Error(`no image: ${expected}`);
    const request = `POST /rpc HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: ${CALL.length}\r\n\r\n${CALL}`;
    const bare = await startService(tools, [process.execPath, scriptOf("bare-rpc.mjs"), `${expected}\n`]);
    const barePort = Number(new URL(bare.firstLine).port);
    /** @typedef {{ name: string, pid: number, load: (seconds: number) => Promise<{ replies: number, perSecond: number }> }} Way */
    /** @type {(name: string, pid: number, port: number) => Way} */
    const byHttp = (name, pid, port) => ({
      name,
      pid,
      load: (seconds) => repeatCall({ port, request, expected: `${expected}\n`, connections: 1, seconds }),
    });
    /** @type {(name: string, pid: number, port: number, inFlight: number) => Way} */
    const bySocket = (name, pid, port, inFlight) => ({
      name,
      pid,
      load: (seconds) => repeatOnSocket({ port, text: CALL, expected, inFlight, seconds }),
    });
    const ways = [
      byHttp(HTTP, pid, port),
      ...IN_FLIGHT.map((inFlight) => bySocket(nameOf(inFlight), pid, port, inFlight)),
      byHttp(BARE_HTTP, bare.pid, barePort),
      bySocket(BARE, bare.pid, barePort, 1),
    ];

    for (const { load } of ways) await load(Math.min(settings.seconds, 2));
    for (let run = 0; run < settings.runs; run++) {
      const sums = new Map(ways.map(({ name }) => [name, { replies: 0, seconds: 0, cpu: 0 }]));
      // Short turns: what happens on the machine meanwhile affects all alike.
      for (let round = 0; round < ROUNDS; round++) {
        for (const { name, pid, load } of round % 2 === 0 ? ways : ways.toReversed()) {
          const before = cpuSeconds(pid);
          const { replies, perSecond } = await load(settings.seconds / ROUNDS);
          const sum = sums.get(name);
          if (!sum) continue;
          sum.replies += replies;
          sum.seconds += replies / perSecond;
          sum.cpu += cpuSeconds(pid) - before;
        }
      }
      for (const [name, { replies, seconds, cpu }] of sums) {
        add("calls", name, "calls/s", replies / seconds);
        add("processor time of the server", `${name}: processor`, "µs/call", (cpu / replies) * 1e6);
        say(
          `run ${run + 1}: ${name}: ${Math.round(replies / seconds)} calls/s, ${((cpu / replies) * 1e6).toFixed(1)} µs/call`,
        );
      }
    }
    for (const inFlight of IN_FLIGHT) {
      compare({
        label: `GetImage by ${nameOf(inFlight)}, to ${HTTP}`,
        of: nameOf(inFlight),
        to: HTTP,
        atLeast: 1.5,
      });
    }
    compare({ label: "the same by a bare server, 1 at once", of: BARE, to: BARE_HTTP });
    note(
      "An HTTP connection has one request at a time: uWebSockets.js takes no second one before the first is answered. One at a " +
        "time, both wait for two wake-ups of the kernel for each call, which cost more than the daemon's work: a call on a " +
        "WebSocket is one recvfrom, one sendto and one epoll_pwait.",
    );
  },
};
