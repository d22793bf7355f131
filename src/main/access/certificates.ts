import type { ClientCertificate } from "../../protocol/http/transport.js";
import type { Config } from "../config/schema.js";
import type { Caller } from "./caller.js";
import { type Identify, identifyNobody } from "./identify.js";
import { type CallerProblem, type OnUnknownCaller, refuseCaller } from "./refuse-caller.js";

export type CertificateSettings = NonNullable<Config["auth"]["certificates"]>;

const MISSING: CallerProblem = {
  name: "no certificate",
  text: "a certificate is needed: one that listen.tls.clientCa has signed",
};

/** Finds whose a certificate is that a trusted CA has signed. One entry with its fingerprint goes before its subject. */
function findCaller(
  settings: CertificateSettings,
): (certificate: ClientCertificate, isCurrent: () => boolean) => Caller | undefined {
  const byFingerprint = new Map(settings.map((each) => [each.fingerprint, each]));
  const bySubject = new Map(settings.map((each) => [each.subject, each]));
  return ({ fingerprint, subject }, isCurrent) => {
    const found = byFingerprint.get(fingerprint) ?? bySubject.get(subject);
    if (!found) return undefined;
    const { role, pools, names } = found;
    return { id: subject || fingerprint, grant: { role, pools, names }, isCurrent };
  };
}

/** Why a certificate is not taken, whoever it names. Undefined: it is good. */
function problemOf({ problem, expiresAt }: ClientCertificate): string | undefined {
  // A connection may live longer than the certificate that opened it.
  return problem ?? (expiresAt <= Date.now() ? "it has expired" : undefined);
}

interface Otherwise {
  /** Knows who sends a token, which goes before a certificate. Undefined: there are none. */
  readonly byToken: Identify | undefined;
  /** Serves by TLS who has neither. */
  readonly isOpen: boolean;
}

/**
 * Identifies callers by their certificates, or by their tokens. Without tokens, whoever reaches the plain
 * port or the unix socket is served there as ever: the configuration sees to it that this is this machine.
 */
export function identifyByCertificate(
  settings: CertificateSettings,
  { byToken, isOpen }: Otherwise,
  onUnknown: OnUnknownCaller,
): Identify {
  const find = findCaller(settings);
  return (request, reply) => {
    const certificate = reply.tls?.certificate;
    if (byToken && (!certificate || request.header("authorization") !== "")) return byToken(request, reply);
    if (!certificate) {
      return reply.tls && !isOpen ? refuseCaller(MISSING, reply, onUnknown) : identifyNobody(request, reply);
    }
    const problem = problemOf(certificate);
    if (problem !== undefined) {
      const text = `the certificate is not taken: ${problem}`;
      return refuseCaller({ name: `a certificate: ${problem}`, text }, reply, onUnknown);
    }
    const caller = find(certificate, () => {
      const shown = reply.tls?.certificate;
      return shown !== undefined && problemOf(shown) === undefined;
    });
    if (caller) return caller;
    const text = "the certificate is good, but auth.certificates does not name it";
    return refuseCaller({ name: `unknown certificate ${certificate.subject}`, text }, reply, onUnknown);
  };
}
