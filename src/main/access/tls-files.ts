import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { createSecureContext } from "node:tls";
import type { TlsMaterial } from "../../protocol/http/transport.js";
import { messageOf } from "../../protocol/storage/caught-error.js";
import { type FailedOutcome, fail, type Outcome, succeed } from "../../protocol/storage/failures.js";
import type { Config } from "../config/schema.js";

export type TlsSettings = NonNullable<Config["listen"]["tls"]>;

/** What the files of `listen.tls` hold. */
export interface TlsFiles extends TlsMaterial {
  /** When the certificate expires, in ms since 1970. */
  readonly expiresAt: number;
}

/** The group may read a key (Debian has one for that, ssl-cert), and nobody else. */
const OPEN_TO_OTHERS = 0o027;

/**
 * Reads the certificate and the key, and what certificates of clients are checked with. Fails, with one line for the administrator: a file can't be read or holds
 * something else, others may use the key, or it is not the certificate's.
 */
export function readTlsFiles(settings: TlsSettings): Outcome<TlsFiles> {
  const cert = readPem(settings, "cert");
  if (!cert.ok) return cert;
  const key = readPem(settings, "key");
  if (!key.ok) return key;
  const certificate = parse(settings, "cert", () => new X509Certificate(cert.value));
  if (!certificate.ok) return certificate;
  const clientCa = readOptional(settings, "clientCa");
  if (!clientCa.ok) return clientCa;
  const ca = clientCa.value;
  const parsed = ca && parse(settings, "clientCa", () => new X509Certificate(ca));
  if (parsed?.ok === false) return parsed;
  const crl = readOptional(settings, "crl");
  if (!crl.ok) return crl;
  const privateKey = parse(settings, "key", () => createPrivateKey(key.value));
  if (!privateKey.ok) return privateKey;
  return checked(settings, certificate.value, privateKey.value, {
    certFile: settings.cert,
    keyFile: settings.key,
    cert: cert.value,
    key: key.value,
    clientCa: ca,
    crl: crl.value,
  });
}

/** What is left to check once each file is readable: that they fit together, and that TLS takes them. */
function checked(
  settings: TlsSettings,
  certificate: X509Certificate,
  privateKey: KeyObject,
  material: TlsMaterial,
): Outcome<TlsFiles> {
  if (!certificate.checkPrivateKey(privateKey)) {
    return fail("internal", `listen.tls: ${settings.key} is not the key of the certificate ${settings.cert}`);
  }
  const { cert, key, clientCa, crl } = material;
  if (crl) {
    const taken = parse(settings, "crl", () => createSecureContext({ crl }));
    if (!taken.ok) return taken;
  }
  try {
    createSecureContext({ cert, key, ca: clientCa });
  } catch (error) {
    return fail("internal", `listen.tls can't be served with ${settings.cert}: ${messageOf(error)}`);
  }
  return succeed({ ...material, expiresAt: Date.parse(certificate.validTo) });
}

type FileSetting = "cert" | "key" | "clientCa" | "crl";

/** What each file holds. */
const CONTENTS: Readonly<Record<FileSetting, string>> = {
  cert: "certificate",
  key: "key",
  clientCa: "certificate",
  crl: "list of revoked certificates",
};

function readOptional(settings: TlsSettings, name: FileSetting): Outcome<Buffer | undefined> {
  return settings[name] === undefined ? succeed(undefined) : readPem(settings, name);
}

function readPem(settings: TlsSettings, name: FileSetting): Outcome<Buffer> {
  const path = settings[name] ?? "";
  try {
    const mode = statSync(path).mode & 0o777;
    if (name === "key" && (mode & OPEN_TO_OTHERS) !== 0) {
      const text = `its mode is ${mode.toString(8)}, so others may use it: chmod 600 ${path}`;
      return fail("internal", `listen.tls.key: ${path}: ${text}`);
    }
    return succeed(readFileSync(path));
  } catch (error) {
    return refused(settings, name, messageOf(error));
  }
}

function parse<T>(settings: TlsSettings, name: FileSetting, read: () => T): Outcome<T> {
  try {
    return succeed(read());
  } catch (error) {
    return refused(settings, name, `no ${CONTENTS[name]} in PEM: ${messageOf(error)}`);
  }
}

function refused(settings: TlsSettings, name: FileSetting, why: string): FailedOutcome {
  return fail("internal", `listen.tls.${name}: ${settings[name]}: ${why}`);
}
