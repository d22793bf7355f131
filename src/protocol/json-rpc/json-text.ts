import { type JsonValue, tokenOf } from "./json.js";

/** Writes JSON as the original does, byte for byte. */

const UNSAFE = /[<>&\u2028\u2029]/g;
const HAS_UNSAFE = /[<>&\u2028\u2029]/;

/** Go's encoder escapes these five characters so that JSON can stand inside HTML. */
function escapeUnsafe(json: string): string {
  if (!HAS_UNSAFE.test(json)) return json;
  return json.replace(UNSAFE, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** Names and numbers, which need no escapes. */
const PLAIN = /^[\w./@: -]*$/;

/** A string as a JSON token. */
export function quote(value: string): string {
  return PLAIN.test(value) ? `"${value}"` : escapeUnsafe(JSON.stringify(value));
}

/** A client's value for a reply: as it was written, without the white space between its parts. */
export function compactToken(value: JsonValue): string {
  const token = tokenOf(value);
  if (value.kind !== "object" && value.kind !== "array") return escapeUnsafe(token);
  return escapeUnsafe(
    token.replace(/"(?:[^"\\]|\\.)*"|[ \t\r\n]+/g, (part) => (part[0] === '"' ? part : "")),
  );
}
