import { nodeTransport } from "../../src/main/http/node.js";
import { createUwsTransport } from "../../src/main/http/uws.js";
import { loadUws } from "../../src/main/http/uws-builds.js";
import type { Transport } from "../../src/protocol/http/transport.js";

const { build, passedOver } = loadUws();
if (!build && process.env.REQUIRE_UWS === "1")
  throw new Error(`REQUIRE_UWS=1, but no uWebSockets.js loads: ${passedOver.join("; ")}`);
if (!build)
  console.log(`not tried: the transport on uWebSockets.js, since none loads: ${passedOver.join("; ")}`);

/** Undefined where no build loads. */
export const uwsTransport: Transport | undefined = build && createUwsTransport(build);

/** The older build falls silent where the newer one answers with a status. */
export const isOlderUws: boolean = build?.source === "@trufflesuite/uws-js-unofficial";

/** All that work here. */
export const transports: readonly Transport[] = uwsTransport
  ? [uwsTransport, nodeTransport]
  : [nodeTransport];

/** Their names, as `listen.transport` takes them. */
export const transportNames: readonly ("uws" | "node")[] = transports.map(({ name }) => name);
