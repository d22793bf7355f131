import { bodyTooLarge } from "../../protocol/http/body-reader.js";
import { allowing, PLAIN_TEXT } from "../../protocol/http/headers.js";
import type { HttpReply, HttpRequest } from "../../protocol/http/transport.js";

/**
 * Checks the verb, the content type and the size of a request, in this order of docs/api.md.
 * @param bodyBytes what a body may have, for the message.
 * @returns false if a check has failed: then the request has been answered.
 */
export function passesHttpCheck(request: HttpRequest, reply: HttpReply, bodyBytes: number): boolean {
  const { method } = request;
  if (method !== "POST" && method !== "GET") {
    reply.send(405, allowing("GET, POST"), `rpc: POST method required, received ${method}`);
    return false;
  }
  const wrongType = foreignContentType(request.header("content-type"));
  if (wrongType !== undefined) {
    reply.send(415, PLAIN_TEXT, `rpc: unrecognized Content-Type: ${wrongType}`);
    return false;
  }
  if (request.tooLarge) reply.send(413, PLAIN_TEXT, `rpc: ${bodyTooLarge(bodyBytes)}`);
  return !request.tooLarge;
}

/** @returns the media type without its parameters; undefined if it is that of JSON, or missing. */
function foreignContentType(contentType: string): string | undefined {
  // Nearly all clients send exactly this.
  if (contentType === "application/json") return undefined;
  const [type = ""] = contentType.split(";");
  return type === "" || type.trim().toLowerCase() === "application/json" ? undefined : type;
}
