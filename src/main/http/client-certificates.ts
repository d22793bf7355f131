import type { Server } from "node:https";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { ClientCertificate, TlsConnection } from "../../protocol/http/transport.js";

/** What the connections of a listener with TLS tell. */
export interface ClientCertificates {
  /** Undefined: the connection is closed. */
  of(socket: Socket): TlsConnection | undefined;
  /**
   * Who may sign certificates has changed, or one was revoked: those that were shown before count no more,
   * and a connection that has shown one is closed with its next answer.
   */
  distrust(): void;
}

const UNKNOWN_CA = "no CA that is trusted here has signed it";

/** Codes of OpenSSL in words; the others are told as they are. */
const PROBLEMS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: "it has expired",
  CERT_NOT_YET_VALID: "it is not valid yet",
  CERT_REVOKED: "it has been revoked",
  CRL_HAS_EXPIRED: "the list of those that are revoked has expired",
  INVALID_PURPOSE: "it is not for clients",
  // Of a CA that has the name of a trusted one.
  CERT_SIGNATURE_FAILURE: UNKNOWN_CA,
  // Where there is a list, that is what OpenSSL compares first.
  CRL_SIGNATURE_FAILURE: `${UNKNOWN_CA}, or listen.tls.crl is of another one`,
  DEPTH_ZERO_SELF_SIGNED_CERT: UNKNOWN_CA,
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_CA,
  UNABLE_TO_GET_ISSUER_CERT: UNKNOWN_CA,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_CA,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_CA,
};

const CHANGED = "who may sign certificates, or which are revoked, has changed: connect again";

/** Looks at the certificate of each client when its handshake is done. */
export function watchClientCertificates(server: Server): ClientCertificates {
  /** Of the connections that are open. */
  const known = new Map<Socket, TlsConnection>();
  server.on("secureConnection", (socket: TLSSocket) => {
    // It comes again if it was served without the upgrade that it asked for (node-channels.ts).
    if (known.has(socket)) return;
    known.set(socket, { certificate: certificateOf(socket), isLast: false });
    socket.once("close", () => known.delete(socket));
  });
  return {
    of: (socket) => known.get(socket),
    distrust: () => {
      for (const [socket, { certificate }] of known) {
        if (!certificate) continue;
        known.set(socket, { certificate: { ...certificate, problem: CHANGED }, isLast: true });
      }
    },
  };
}

/** Undefined: the client was asked for none, or has shown none. */
function certificateOf(socket: TLSSocket): ClientCertificate | undefined {
  const certificate = socket.getPeerX509Certificate();
  if (!certificate) return undefined;
  // Declared as an Error; a server's sockets have OpenSSL's code.
  const code = String(socket.authorizationError);
  return {
    // A line for each part. OpenSSL escapes commas and line ends within them.
    subject: certificate.subject.split("\n").join(", "),
    fingerprint: certificate.fingerprint256.replaceAll(":", "").toLowerCase(),
    expiresAt: Date.parse(certificate.validTo),
    problem: socket.authorized ? undefined : (PROBLEMS[code] ?? code),
  };
}
