import type { FetchOrder } from "../../protocol/storage/operations.js";

/** What comes into a pool: of an image service, of another volume here, of a peer, or of a client. */
export function transferKindOf({
  sender,
  body,
  isOnce,
}: Pick<FetchOrder, "sender" | "body" | "isOnce">): "image" | "copy" | "receive" | "pull" {
  if (sender) return "copy";
  if (body !== undefined) return "receive";
  // Only a pull goes on by itself where it broke.
  return isOnce ? "pull" : "image";
}
