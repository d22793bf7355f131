import { encodeSnapshots } from "../../protocol/json-rpc/methods/snapshots.js";
import { encodeVolumes } from "../../protocol/json-rpc/methods/volumes.js";
import { type Outcome, succeed } from "../../protocol/storage/failures.js";
import type { Operation } from "../../protocol/storage/operations.js";
import { replyTooLarge } from "../../protocol/storage/reply-limit.js";

/** Shorter lists are written in main. */
const LONG_LIST = 256;

/**
 * Replaces the answer of a long list by its JSON text, in bytes. So main, which answers the clients
 * of all pools, neither unpacks nor writes it, and replies that share the answer share its bytes.
 * Fails: service.reply_too_large if the text is longer than `mostBytes`.
 */
export function writeLongList(
  operation: Operation,
  outcome: Outcome<unknown>,
  mostBytes: number,
): Outcome<unknown> {
  if (!outcome.ok || !Array.isArray(outcome.value) || outcome.value.length < LONG_LIST) return outcome;
  const encode = encoderOf(operation);
  if (!encode) return outcome;
  const bytes = Buffer.from(encode(outcome.value, mostBytes) ?? "");
  return bytes.length === 0 || bytes.length > mostBytes
    ? replyTooLarge(operation, mostBytes)
    : succeed(bytes);
}

function encoderOf({ op }: Operation): typeof encodeSnapshots | typeof encodeVolumes | undefined {
  switch (op) {
    case "ListSnapshots":
    case "CreateSnapshot":
    case "SnapshotGuest":
    case "DeleteSnapshot":
      return encodeSnapshots;
    case "ListVolumes":
      return encodeVolumes;
    default:
      return undefined;
  }
}
