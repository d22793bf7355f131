// @ts-check
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startEmbedded } from "./lib/daemon.mjs";
import { packImage, serveImage } from "./lib/image-service.mjs";
import { loadInTurns, ROUNDS, warmUp } from "./lib/in-turns.mjs";
import { freePort, isInstalled, openFolder, runCommand } from "./lib/process.mjs";
import { connectionsText, findCall, prepareSmallCalls, QUOTA_BYTES } from "./lib/small-calls.mjs";
import { Unavailable } from "./lib/unavailable.mjs";

const CONNECTIONS = [1, 100];
const PLAIN = "plain, for everybody";
const SAFE = "TLS, with tokens";
const TOKEN = "ist_bench";

/** @typedef {import("./run.mjs").Tools} Tools */

/** @type {import("./run.mjs").Bench} */
export default {
  title: "GetImage by TLS and with tokens, beside GetImage without either",
  run: async (tools) => {
    const { settings, add, compare, note, say } = tools;
    if (!isInstalled("openssl")) throw new Unavailable("there is no openssl, which makes the certificate");
    const imageService = await serveImage(tools, await packImage(tools, 1));
    const sides = [await startPlain(tools, imageService), await startSafe(tools, imageService)];
    await warmUp(sides, settings.seconds);
    for (let round = 0; round < settings.runs * ROUNDS; round++) {
      for (const connections of CONNECTIONS) {
        const rates = await loadInTurns(sides, { round, connections, seconds: settings.seconds });
        for (const { label, perSecond, cpuUs } of rates) {
          const name = `${label}, ${connections}`;
          add(connectionsText(connections), name, "calls/s", perSecond);
          add("processor time of the server", `${name}: processor`, "µs/call", cpuUs);
        }
        const figures = rates.map(
          (rate) => `${Math.round(rate.perSecond)} calls/s, ${rate.cpuUs.toFixed(1)} µs/call`,
        );
        say(`round ${round + 1}: ${connectionsText(connections)}: ${figures.join("; ")}`);
      }
    }
    for (const connections of CONNECTIONS) {
      const [of, to] = [`${SAFE}, ${connections}`, `${PLAIN}, ${connections}`];
      compare({
        label: `GetImage by TLS with tokens, to neither, ${connectionsText(connections)}`,
        of,
        to,
        atLeast: 0.6,
      });
      compare({
        label: `processor time of a call by TLS with tokens, to neither, ${connectionsText(connections)}`,
        of: `${of}: processor`,
        to: `${to}: processor`,
      });
    }
    note(
      "The connections stay open, so handshakes are no part of it. Both daemons have the same pool and run all the time; they " +
        "are loaded in turns, in rounds of a second. The client encrypts too, in the one thread in which it also waits, and " +
        "shares the processors with the daemon: the rates have its time, the processor time of a call has not.",
    );
  },
};

/** @param {Tools} tools @param {string} imageService @returns {Promise<import("./lib/in-turns.mjs").Side>} */
async function startPlain(tools, imageService) {
  const { port, pid } = await startEmbedded(tools, { imageService }, { quotaBytes: QUOTA_BYTES });
  const calls = await prepareSmallCalls(port);
  return { label: PLAIN, port, pid, ...findCall(calls, "GetImage") };
}

/** @param {Tools} tools @param {string} imageService @returns {Promise<import("./lib/in-turns.mjs").Side>} */
async function startSafe(tools, imageService) {
  const folder = openFolder(tools);
  const [cert, key, tokens] = [
    join(folder, "cert.pem"),
    join(folder, "key.pem"),
    join(folder, "tokens.json"),
  ];
  await runCommand([
    ...["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
    ...["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"],
    ...["-keyout", key, "-out", cert],
  ]);
  const hash = createHash("sha256").update(TOKEN).digest("hex");
  const token = { id: "bench", hash, role: "admin", created: "2026-01-01T00:00:00Z" };
  writeFileSync(tokens, JSON.stringify({ version: 1, tokens: [token] }), { mode: 0o600 });
  const tlsPort = await freePort();
  const listen = { port: 0, tls: { port: tlsPort, cert, key } };
  const { port, pid } = await startEmbedded(
    tools,
    { imageService, listen, auth: { tokens } },
    { quotaBytes: QUOTA_BYTES },
  );
  const calls = await prepareSmallCalls(port, { Authorization: `Bearer ${TOKEN}` });
  return { label: SAFE, port: tlsPort, pid, ca: readFileSync(cert), ...findCall(calls, "GetImage") };
}
