import { nodeTransport } from "./node.js";
import type { Transport } from "./transport.js";

/**
 * Loads the transport that the configuration asks for. "auto" means uWebSockets.js if its
 * native build loads, else node:http, with a warning. Throws if "uws" is wanted and does not load.
 */
export async function chooseTransport(
  wanted: "auto" | "uws" | "node",
  warn: (message: string) => void,
): Promise<Transport> {
  if (wanted === "node") return nodeTransport;
  const { isNative, uwsTransport } = await import("./uws.js");
  if (isNative()) return uwsTransport;
  const why = `uWebSockets.js has no native build for Node ${process.version} on ${process.platform}/${process.arch}`;
  if (wanted === "uws") throw new Error(`listen.transport is "uws", but ${why}`);
  warn(`${why}: serving with node:http, which is slower`);
  return nodeTransport;
}
