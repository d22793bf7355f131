import { z } from "zod";

/** The kernel takes 107 bytes. The daemon listens under a longer name first. */
const MOST_SOCKET_PATH_BYTES = 96;

/** A unix socket beside the port. Who may write to it may do everything. */
export const socket = z.strictObject({
  path: z
    .string()
    .min(1)
    .refine(
      (path) => Buffer.byteLength(path) <= MOST_SOCKET_PATH_BYTES,
      `must have at most ${MOST_SOCKET_PATH_BYTES} bytes`,
    ),
  mode: z
    .string()
    .regex(/^0?[0-7]{3}$/, "must be three octal digits, as in 0660")
    .default("0600"),
  /** A name in /etc/group, or a number. Without it, the group of the daemon. */
  group: z.string().min(1).optional(),
});
