import type { Headers, WholeReply } from "../../protocol/http/transport.js";
import type { Operation } from "../../protocol/storage/operations.js";
import type { SendDescription } from "../../protocol/storage/send-terms.js";
import type { Actor } from "../pools/actor-handle.js";
import { refuseDownload } from "./download-requests.js";

/** The headers that tell of a stream. */
function headersOf({ toGuid, fromGuid, estimatedBytes, features }: SendDescription): Headers {
  return [
    ["Content-Type", "application/octet-stream"],
    ["X-To-Guid", toGuid],
    ...(fromGuid === undefined ? [] : [["X-From-Guid", fromGuid] as const]),
    ["X-Stream-Features", features.join(",")],
    ...(estimatedBytes === undefined ? [] : [["X-Estimated-Bytes", String(estimatedBytes)] as const]),
  ];
}

/** Answers a HEAD for a download: what the stream would be. Nothing is sent or held for it. */
export async function answerHead(actor: Actor, planned: Operation, reply: WholeReply): Promise<void> {
  const operation: Operation = planned.op === "OpenSend" ? { ...planned, op: "DescribeSend" } : planned;
  const told = await actor.call<SendDescription>(operation, reply);
  if (told.ok) reply.send(200, headersOf(told.value), "");
  else refuseDownload(reply, told.failure);
  reply.span?.end(told.ok ? undefined : told.failure.code);
}
