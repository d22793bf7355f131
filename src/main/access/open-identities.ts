import type { Logger } from "pino";
import { type Outcome, succeed } from "../../protocol/storage/failures.js";
import type { Config } from "../config/schema.js";
import { identifyByCertificate } from "./certificates.js";
import { type Identify, identifyByToken, identifyNobody } from "./identify.js";
import type { OnUnknownCaller } from "./refuse-caller.js";
import { openTokens } from "./tokens.js";

/** How the daemon knows its callers. */
export interface Identities {
  readonly identify: Identify;
  stop(): void;
}

/** Fails as openTokens does. */
export function openIdentities(
  { tokens: path, certificates, open: isOpen }: Config["auth"],
  log: Logger,
): Outcome<Identities> {
  const onUnknown: OnUnknownCaller = (problem, peer) => {
    log.info({ problem, peer }, "a request of a caller who is not known");
  };
  const opened = path === undefined ? undefined : openTokens(path, log);
  if (opened?.ok === false) return opened;
  const tokens = opened?.value;
  const byToken = tokens && identifyByToken(tokens, onUnknown);
  const identify = certificates
    ? identifyByCertificate(certificates, { byToken, isOpen }, onUnknown)
    : (byToken ?? identifyNobody);
  return succeed({ identify, stop: () => tokens?.stop() });
}
