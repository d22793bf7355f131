import type { Logger } from "pino";
import type { Transport } from "../../protocol/http/transport.js";
import { nodeTransport } from "./node.js";
import { createUwsTransport } from "./uws.js";
import { loadUws } from "./uws-builds.js";

/**
 * With fewer descriptors than this, uWebSockets.js could use all of them up before its connections
 * are counted (uws-connections.ts). node:http refuses each connection at once.
 */
const FEW_DESCRIPTORS = 4096;

/**
 * Loads the transport that the configuration asks for. "auto" means uWebSockets.js if a build of it
 * loads and there are enough descriptors, else node:http, with a warning. Throws if "uws" is wanted
 * and no build loads. Logs one line that says which it is, and why the builds before it are not.
 */
export function chooseTransport(
  wanted: "auto" | "uws" | "node",
  log: Pick<Logger, "info" | "warn">,
  descriptors = Number.POSITIVE_INFINITY,
): Transport {
  if (wanted === "node") return nodeTransport;
  const areFew = descriptors < FEW_DESCRIPTORS;
  if (areFew && wanted === "auto") {
    log.warn(
      `only ${descriptors} descriptors (ulimit -n): serving with node:http, which counts its connections`,
    );
    return nodeTransport;
  }
  const { build, passedOver } = loadUws();
  if (build) {
    log.info({ source: build.source, version: build.version, passedOver }, "serving with uWebSockets.js");
    return createUwsTransport(build);
  }
  if (wanted === "uws")
    throw new Error(`listen.transport is "uws", but no uWebSockets.js loads: ${passedOver.join("; ")}`);
  log.warn({ passedOver }, "no uWebSockets.js loads: serving with node:http, which is slower");
  return nodeTransport;
}
