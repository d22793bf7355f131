import { z } from "zod";

/** A port with TLS beside the plain one. */
export const listenTls = z.strictObject({
  /** That of the main port by default. */
  host: z.string().min(1).optional(),
  port: z.int().min(0).max(65535),
  /** PEM files: the certificate with those between it and its CA, and its key, which is for the daemon alone. */
  cert: z.string().min(1),
  key: z.string().min(1),
});
