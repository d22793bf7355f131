import { PLAIN_TEXT } from "../protocol/http/headers.js";
import type { HttpRequest, WholeReply } from "../protocol/http/transport.js";
import { ANYONE, type Caller } from "./access/caller.js";
import type { Identify } from "./access/identify.js";
import type { OriginCheck } from "./http/request-origin.js";
import { isOfPage } from "./web-page.js";

interface GateOptions {
  /** Why a request is refused before anything else of it is looked at. */
  readonly checkOrigin: OriginCheck;
  readonly identify: Identify;
  /** Called for each request that `checkOrigin` refuses. */
  onForbidden(): void;
  /** Called for each request whose caller `identify` does not find. */
  onUnauthorized(): void;
  /** Whether there is a page for browsers, which shows nothing until its user has logged in. */
  readonly hasPage: boolean;
}

/**
 * Finds out who sends each request: at its head where the server shows that, else with its body. A caller that says who
 * it is, is asked once.
 */
export interface Gate {
  /** See TransportOptions. */
  admit(request: HttpRequest, reply: WholeReply): boolean;
  /** Undefined: the request has been refused, and is answered. */
  callerOf(request: HttpRequest, reply: WholeReply): Caller | undefined;
}

/** They tell no more than that the daemon and its pools work, so whoever reaches it may ask. */
const PROBES: readonly string[] = ["/healthz", "/readyz"];

export function createGate(options: GateOptions): Gate {
  const { checkOrigin, identify, onForbidden, onUnauthorized, hasPage } = options;
  const admitted = new WeakMap<WholeReply, Caller>();

  function ask(request: HttpRequest, reply: WholeReply): Caller | undefined {
    const forbidden = checkOrigin(request);
    if (forbidden !== undefined) {
      onForbidden();
      reply.send(403, PLAIN_TEXT, `${forbidden}\n`);
      return undefined;
    }
    const { path } = request;
    const isForAll = PROBES.includes(path) || (hasPage && isOfPage(path));
    const caller = isForAll ? ANYONE : identify(request, reply);
    if (caller === undefined) onUnauthorized();
    return caller;
  }

  return {
    admit: (request, reply) => {
      const caller = ask(request, reply);
      // Where nobody need say who it is, to ask again costs less than to keep it.
      if (caller !== undefined && caller !== ANYONE) admitted.set(reply, caller);
      return caller !== undefined;
    },
    callerOf: (request, reply) => admitted.get(reply) ?? ask(request, reply),
  };
}
