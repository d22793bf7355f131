import { z } from "zod";

/** A URL without a user in it: fetch takes none. */
function isCollector(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password } = new URL(text);
  return /^https?:$/.test(protocol) && username === "" && password === "";
}

/** Where traces go. Without it, nothing is traced. */
export const tracing = z.strictObject({
  /** Of a collector that takes OTLP in JSON, as http://collector:4318/v1/traces. */
  url: z.string().refine(isCollector, "must be an http or https URL without a user; use tracing.headers"),
  /** Of the requests without a trace of their client's, so many are traced. */
  sampleRatio: z.number().min(0).max(1).default(1),
  headers: z
    .record(z.string().regex(/^[\w!#$%&'*+.^`|~-]+$/), z.string().regex(/^[ -~]*$/, "must be ASCII"))
    .default({}),
});
