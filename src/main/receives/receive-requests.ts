import type { HttpRequest } from "../../protocol/http/transport.js";
import { type JsonValue, readJson } from "../../protocol/json-rpc/json.js";
import { readSwitch } from "../../protocol/json-rpc/methods/send-query.js";
import { type Outcome, succeed } from "../../protocol/storage/failures.js";

/** Where clients send streams that become volumes, ask how far such a stream has come, and give one up. */
export const RECEIVE_PATH = "/volumes/receive";

/** Whether the body of a request is a stream, which may have any length. */
export function isStream({ method, path }: Pick<HttpRequest, "method" | "path">): boolean {
  return method === "POST" && path === RECEIVE_PATH;
}

/** The members of a request's query as those of a method's params. Fails: request.invalid. */
export function paramsOf({
  method,
  query,
}: Pick<HttpRequest, "method" | "query">): Outcome<JsonValue | undefined> {
  const fields = new URLSearchParams(query);
  const force = fields.get("force") ?? "0";
  // As people write it.
  const isForced =
    force === "true" || force === "false" ? succeed(force === "true") : readSwitch("force", force);
  if (!isForced.ok) return isForced;
  const named = { id: fields.get("id") ?? "", pool: fields.get("pool") ?? "" };
  const read = readJson(JSON.stringify(method === "POST" ? { ...named, force: isForced.value } : named));
  return succeed("value" in read ? read.value : undefined);
}
