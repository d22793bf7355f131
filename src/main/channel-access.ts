import type { ChannelAccess, HttpRequest } from "../protocol/http/transport.js";
import type { Gate } from "./gate.js";
import type { RpcChannels } from "./rpc/rpc-channels.js";

/** The subprotocol that the daemon chooses where it is offered: browsers want one of theirs to be. */
const PROTOCOL = "imagestore.rpc";
/** A browser can't set a header: it may offer its token behind this, as one more subprotocol. */
const TOKEN_PROTOCOL = "imagestore.bearer.";

/** Who may open a channel: whoever may call at its path. */
export function createChannelAccess(
  gate: Pick<Gate, "callerOf">,
  channels: RpcChannels,
): ChannelAccess["accept"] {
  return (request, reply) => {
    const offered = request.header("sec-websocket-protocol").split(/ *, */);
    const caller = gate.callerOf(withTokenOf(offered, request), reply);
    return caller && channels.accept(caller, offered.includes(PROTOCOL) ? PROTOCOL : "");
  };
}

/** The request as if it had sent the token in its header that it offers as a subprotocol. */
function withTokenOf(offered: readonly string[], request: HttpRequest): HttpRequest {
  const token = offered.find((each) => each.startsWith(TOKEN_PROTOCOL))?.slice(TOKEN_PROTOCOL.length);
  if (token === undefined || request.header("authorization") !== "") return request;
  const { method, path, query, body, tooLarge } = request;
  const header = (name: string) => (name === "authorization" ? `Bearer ${token}` : request.header(name));
  return { method, path, query, body, tooLarge, header };
}
