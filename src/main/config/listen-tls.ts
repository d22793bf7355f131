import { z } from "zod";
import { grantMembers } from "./grant-settings.js";

const file = z.string().min(1);

/** A port with TLS beside the plain one. All files are PEM. */
export const listenTls = z
  .strictObject({
    /** That of the main port by default. */
    host: z.string().min(1).optional(),
    port: z.int().min(0).max(65535),
    /** The certificate with those between it and its CA, and its key, which is for the daemon alone. */
    cert: file,
    key: file,
    /** The certificates of those that sign clients', and lists of what they have revoked. */
    clientCa: file.optional(),
    crl: file.optional(),
  })
  .refine(({ clientCa, crl }) => crl === undefined || clientCa !== undefined, {
    path: ["crl"],
    message: "needs listen.tls.clientCa",
  });

/** SHA-256, as openssl prints it or without colons. */
const fingerprint = z
  .string()
  .regex(/^(?:[0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}$/, "must be a SHA-256 fingerprint: 32 bytes in hex")
  .transform((text) => text.replaceAll(":", "").toLowerCase());

/** Whom the daemon knows by a certificate: by all that a CA has signed for a subject, or by one alone. */
const clientCertificate = z
  .strictObject({
    subject: z.string().min(1).optional(),
    fingerprint: fingerprint.optional(),
    ...grantMembers,
  })
  .refine((each) => (each.subject === undefined) !== (each.fingerprint === undefined), {
    path: ["subject"],
    message: "must have a subject or a fingerprint, and not both",
  });

export const clientCertificates = z
  .array(clientCertificate)
  .min(1)
  .refine((all) => {
    const keys = all.map(({ subject, fingerprint: of }) => of ?? subject);
    return new Set(keys).size === keys.length;
  }, "must name each certificate once");
