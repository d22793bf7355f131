import type { WholeReply } from "../../src/protocol/http/transport.js";

/** A reply whose client stays and whose answer nobody looks at. Tests put their own members over it. */
export const silentReply: WholeReply = {
  requestId: "r-1",
  peer: "192.0.2.1",
  isDisconnected: false,
  onDisconnect: () => {},
  onEnd: () => {},
  send: () => {},
};
