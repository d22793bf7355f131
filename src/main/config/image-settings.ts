import { z } from "zod";

/** How images are fetched. */
export const imageSettings = z.strictObject({
  /** PEM: who signs for https sources, beside those that Node knows. */
  caFile: z.string().min(1).optional(),
  /** Requests in a row that bring no byte, until a fetch is given up. 1: none is repeated. */
  attempts: z.int().min(1).max(100).default(4),
  /** How many parts of an image are fetched at once, each of 16 MiB. 1: it is fetched as a whole. */
  ranges: z.int().min(1).max(4).default(1),
  /** Requests of all fetches that may run at one host; others wait. */
  requestsPerHost: z.int().min(1).max(1_000).default(16),
});
