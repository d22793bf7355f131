import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { messageOf } from "../../protocol/storage/caught-error.js";
import { fail, type Outcome, succeed } from "../../protocol/storage/failures.js";

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/**
 * Reads the file of `images.caFile`. @returns its certificates as PEM; undefined without a file. Fails, with one line
 * for the administrator: it can't be read, or holds no certificate.
 */
export function readImageCa(path: string | undefined): Outcome<readonly string[] | undefined> {
  if (path === undefined) return succeed(undefined);
  const refuse = (why: string) => fail("internal", `images.caFile: ${path}: ${why}`);
  try {
    const certificates = readFileSync(path, "latin1").match(CERTIFICATE) ?? [];
    if (certificates.length === 0) return refuse("no certificate in PEM");
    for (const certificate of certificates) new X509Certificate(certificate);
    return succeed(certificates);
  } catch (error) {
    return refuse(messageOf(error));
  }
}
