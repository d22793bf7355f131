import { z } from "zod";

/** How images are fetched. */
export const imageSettings = z.strictObject({
  /** Requests in a row that bring no byte, until a fetch is given up. 1: none is repeated. */
  attempts: z.int().min(1).max(100).default(4),
});
