import { z } from "zod";
import type { NodeSettings } from "../../protocol/storage/pool-settings.js";
import { MAX_SEND_RATE, MIN_SEND_RATE } from "../../protocol/storage/send-terms.js";

/** The daemons whose volumes may be pulled, by names of their own. */
export const peers = z.record(
  z.string().regex(/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/, "a peer's name has letters, digits and _.- only"),
  z.strictObject({
    url: z.string().regex(/^https?:\/\/[^/?#@]+$/, "must be http://HOST:PORT or https://HOST:PORT"),
    /** A file with a token of the peer, with the role operate. */
    tokenFile: z.string().min(1).optional(),
    /** The certificates that sign the peer's, in PEM. Without it, those of the system. */
    caFile: z.string().min(1).optional(),
    /** What one stream of it is held to. */
    bytesPerSecond: z.int().min(MIN_SEND_RATE).max(MAX_SEND_RATE).optional(),
  }),
) satisfies z.ZodType<NodeSettings["peers"]>;
