import type { HttpRequest, WholeReply } from "../../protocol/http/transport.js";
import { SOCKET_PEER } from "../http/unix-socket.js";
import { createAttemptDelays } from "./attempt-delays.js";
import { ANYONE, type Caller } from "./caller.js";
import { type OnUnknownCaller, refuseCaller } from "./refuse-caller.js";
import type { TokenProblem, Tokens } from "./tokens.js";

/** Finds out who sends a request. Undefined: nobody that is known; then the request is answered, or will be. */
export type Identify = (request: HttpRequest, reply: WholeReply) => Caller | undefined;

/** Where the daemon asks for no identity. */
export const identifyNobody: Identify = () => ANYONE;

const PROBLEMS: Readonly<Record<TokenProblem | "missing" | "unreadable", string>> = {
  missing: "a token is needed: send Authorization: Bearer TOKEN",
  unreadable: "Authorization must be Bearer TOKEN, or Basic with the token as the password",
  unknown: "the token is not known: it may have been revoked",
  expired: "the token has expired",
};

/** The longest header of ours has some 60 characters; a user's name may be in front of it. */
const MOST_CHARACTERS = 1_024;

/** The token in a header. JSON-RPC 1.0 clients that can't set it have a user and a password in their URL. */
function tokenIn(header: string): string | undefined {
  if (header.length > MOST_CHARACTERS) return undefined;
  const [scheme = "", value = "", ...more] = header.trim().split(/ +/);
  if (value === "" || more.length > 0) return undefined;
  if (scheme.toLowerCase() === "bearer") return value;
  if (scheme.toLowerCase() !== "basic") return undefined;
  const text = Buffer.from(value, "base64").toString("utf8");
  const colon = text.indexOf(":");
  return colon < 0 ? undefined : text.slice(colon + 1);
}

/**
 * Identifies callers by their tokens, and answers 401 to the others, later and later. Who comes by the
 * unix socket needs none.
 */
export function identifyByToken(tokens: Pick<Tokens, "find">, onUnknown: OnUnknownCaller): Identify {
  const delays = createAttemptDelays();

  function refuse(problem: keyof typeof PROBLEMS, reply: WholeReply): undefined {
    // A request without a token tries none.
    const delayMs = problem === "missing" ? 0 : delays.failed(reply.peer);
    return refuseCaller({ name: problem, text: PROBLEMS[problem] }, reply, onUnknown, delayMs);
  }

  return (request, reply) => {
    const header = request.header("authorization");
    // The mode of the unix socket has let them in.
    if (header === "") return reply.peer === SOCKET_PEER ? ANYONE : refuse("missing", reply);
    const token = tokenIn(header);
    if (token === undefined) return refuse("unreadable", reply);
    const found = tokens.find(token);
    if ("problem" in found) return refuse(found.problem, reply);
    return found.caller;
  };
}
