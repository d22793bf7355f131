import { z } from "zod";

/** How images are fetched. */
export const imageSettings = z.strictObject({
  /** PEM: who signs for https sources, beside those that Node knows. */
  caFile: z.string().min(1).optional(),
  /** Requests in a row that bring no byte, until a fetch is given up. 1: none is repeated. */
  attempts: z.int().min(1).max(100).default(4),
});
