import type { MethodTable } from "../../protocol/json-rpc/methods/table.js";
import type { Soon } from "./reply-context.js";

/** Gives the OpenRPC document of the daemon's methods, as JSON text: the same bytes to all who ask. */
export type Discovery = () => Soon<Uint8Array>;

/** What service discovery of OpenRPC calls. Source: https://spec.open-rpc.org/#service-discovery-method */
export const DISCOVER = "rpc.discover";

/** The document is made when it is asked for first: until then the schemas of the records are not loaded. */
export function createDiscovery(methods: MethodTable, version: string): Discovery {
  /** Undefined until somebody asks. */
  let document: Soon<Uint8Array> | undefined;
  async function make(): Promise<Uint8Array> {
    const { openRpcDocument } = await import("../../protocol/api/open-rpc.js");
    const bytes = Buffer.from(JSON.stringify(openRpcDocument(methods.all, version)));
    document = bytes;
    return bytes;
  }
  return () => {
    document ??= make();
    return document;
  };
}
