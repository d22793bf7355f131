import { PLAIN_TEXT } from "../../protocol/http/headers.js";
import type { WholeReply } from "../../protocol/http/transport.js";

/** Why a caller is not known: a word for the log, and words for the caller. */
export interface CallerProblem {
  readonly name: string;
  readonly text: string;
}

/** Told of each caller that is not known. */
export type OnUnknownCaller = (problem: string, peer: string) => void;

/** Answers 401, later if the caller has to wait. */
export function refuseCaller(
  { name, text }: CallerProblem,
  reply: WholeReply,
  onUnknown: OnUnknownCaller,
  delayMs = 0,
): undefined {
  // The reply knows its peer only until it is answered.
  onUnknown(name, reply.peer);
  const headers = [...PLAIN_TEXT, ["WWW-Authenticate", 'Bearer realm="imagestore"']] as const;
  const send = () => reply.send(401, headers, `${text}\n`);
  if (delayMs === 0) send();
  else setTimeout(send, delayMs);
  return undefined;
}
