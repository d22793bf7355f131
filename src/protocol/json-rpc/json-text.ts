import { type JsonValue, tokenOf } from "./json.js";

/** Writes JSON with the same bytes as the original, which uses Go's encoding/json. */

const UNSAFE = /[<>&\u2028\u2029]/g;
const HAS_UNSAFE = /[<>&\u2028\u2029]/;

/** Escapes the five characters that Go's encoder escapes, so that JSON can be put into HTML. */
function escapeUnsafe(json: string): string {
  if (!HAS_UNSAFE.test(json)) return json;
  return json.replace(UNSAFE, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** Most strings are names and numbers, which need no escapes. */
const PLAIN = /^[\w./@: -]*$/;

/** A string as a JSON token. */
export function quote(value: string): string {
  return PLAIN.test(value) ? `"${value}"` : escapeUnsafe(JSON.stringify(value));
}

/** A value of a request as the reply repeats it: its text without the white space between tokens. */
export function compactToken(value: JsonValue): string {
  const token = tokenOf(value);
  if (value.kind !== "object" && value.kind !== "array") return escapeUnsafe(token);
  return escapeUnsafe(
    token.replace(/"(?:[^"\\]|\\.)*"|[ \t\r\n]+/g, (part) => (part[0] === '"' ? part : "")),
  );
}
