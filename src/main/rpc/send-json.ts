import { JSON_TEXT, RETRY_AFTER } from "../../protocol/http/headers.js";
import type { Headers, HttpReply } from "../../protocol/http/transport.js";
import type { ReplyText } from "../../protocol/json-rpc/reply-text.js";
import type { BodyEncoder, EncodedBody } from "../http/encoding.js";

export const NOSNIFF = ["X-Content-Type-Options", "nosniff"] as const;
const VARY = ["Vary", "Accept-Encoding"] as const;
const JSON_HEADERS: Headers = [...JSON_TEXT, NOSNIFF, VARY];

/** A reply as JSON text. */
export interface JsonReply {
  readonly text: ReplyText;
  /** Whether the reply asks the client to retry later. */
  readonly isOverload: boolean;
}

/** Sends a reply as `encode` encodes it for `accept`, the Accept-Encoding of the request. */
export function sendJson(
  reply: HttpReply,
  accept: string,
  { text, isOverload }: JsonReply,
  encode: BodyEncoder,
): void | Promise<void> {
  const send = ({ body, encoding }: EncodedBody) => {
    if (encoding === undefined && !isOverload) return reply.send(200, JSON_HEADERS, body);
    const headers: (readonly [string, string])[] = [...JSON_HEADERS];
    if (encoding !== undefined) headers.push(["Content-Encoding", encoding]);
    if (isOverload) headers.push(...RETRY_AFTER);
    reply.send(200, headers, body);
  };
  const encoded = encode(text, accept);
  if (encoded instanceof Promise) return encoded.then(send);
  send(encoded);
}
