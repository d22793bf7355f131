import { nodeTransport } from "./node.js";
import type { Transport } from "./transport.js";

/**
 * With fewer descriptors than this, uWebSockets.js could use all of them up before its connections
 * are counted (uws-connections.ts). node:http refuses each connection at once.
 */
const FEW_DESCRIPTORS = 4096;

/**
 * Loads the transport that the configuration asks for. "auto" means uWebSockets.js if its
 * native build loads and there are enough descriptors, else node:http, with a warning. Throws if "uws" is wanted and does not load.
 */
export async function chooseTransport(
  wanted: "auto" | "uws" | "node",
  warn: (message: string) => void,
  descriptors = Number.POSITIVE_INFINITY,
): Promise<Transport> {
  if (wanted === "node") return nodeTransport;
  const areFew = descriptors < FEW_DESCRIPTORS;
  if (areFew && wanted === "auto") {
    warn(`only ${descriptors} descriptors (ulimit -n): serving with node:http, which counts its connections`);
    return nodeTransport;
  }
  const { isNative, uwsTransport } = await import("./uws.js");
  if (isNative()) return uwsTransport;
  const why = `uWebSockets.js has no native build for Node ${process.version} on ${process.platform}/${process.arch}`;
  if (wanted === "uws") throw new Error(`listen.transport is "uws", but ${why}`);
  warn(`${why}: serving with node:http, which is slower`);
  return nodeTransport;
}
