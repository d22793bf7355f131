import type { Logger } from "pino";
import { type Outcome, succeed } from "../../protocol/storage/failures.js";
import type { Config } from "../config/schema.js";
import { type Identify, identifyByToken, identifyNobody } from "./identify.js";
import { openTokens } from "./tokens.js";

/** How the daemon knows its callers. */
export interface Identities {
  readonly identify: Identify;
  stop(): void;
}

/** Fails as openTokens does. */
export function openIdentities({ tokens: path }: Config["auth"], log: Logger): Outcome<Identities> {
  if (path === undefined) return succeed({ identify: identifyNobody, stop: () => {} });
  const opened = openTokens(path, log);
  if (!opened.ok) return opened;
  const tokens = opened.value;
  const identify = identifyByToken(tokens, (problem, peer) => {
    log.info({ problem, peer }, "a request without a token that is known");
  });
  return succeed({ identify, stop: tokens.stop });
}
