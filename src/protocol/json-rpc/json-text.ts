import { type JsonValue, tokenOf } from "./json.js";

/** Writes JSON with the same bytes as the original, which uses Go's encoding/json. */

const SPACE = 0x20;
const QUOTE = 0x22;
const AMPERSAND = 0x26;
const ZERO = 0x30;
const LESS = 0x3c;
const GREATER = 0x3e;
const BACKSLASH = 0x5c;
const LOWER_U = 0x75;

/** The characters that Go's encoder escapes, so that JSON can be put into HTML. */
const UNSAFE: readonly string[] = ["<", ">", "&", "\u2028", "\u2029"];
const HAS_UNSAFE = /[<>&\u2028\u2029]/;
/** Most strings are names and numbers, which need no escapes. */
const PLAIN = /^[\w./@: -]*$/;
/** Only short texts are tried by patterns, which are the fastest there. */
const SHORT = 256;
const HEX = Buffer.from("0123456789abcdef");
/** What `\uXXXX` has more than the one byte of `<`. A separator of lines has three bytes. */
const GROWTH_BYTES = 5;

function hasUnsafe(text: string): boolean {
  if (text.length <= SHORT) return HAS_UNSAFE.test(text);
  return UNSAFE.some((character) => text.includes(character));
}

/** Whether U+2028 or U+2029 is there: E2 80 A8 and E2 80 A9. */
function isSeparator(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === 0xe2 && bytes[at + 1] === 0x80 && (bytes[at + 2] ?? 0) >> 1 === 0x54;
}

function isUnsafe(byte: number): boolean {
  return byte === LESS || byte === GREATER || byte === AMPERSAND;
}

function escapedLength(bytes: Uint8Array): number {
  let length = bytes.length;
  for (let at = 0; at < bytes.length; at++) {
    if (isUnsafe(bytes[at] ?? 0) || isSeparator(bytes, at)) length += GROWTH_BYTES;
  }
  return length;
}

/** Writes `\uXXXX`, of which the first two digits are `first` and 0, or 0 and 0. */
function putEscape(target: Uint8Array, at: number, code: number): void {
  target[at] = BACKSLASH;
  target[at + 1] = LOWER_U;
  target[at + 2] = HEX[code >> 12] ?? ZERO;
  target[at + 3] = ZERO;
  target[at + 4] = HEX[(code >> 4) & 15] ?? ZERO;
  target[at + 5] = HEX[code & 15] ?? ZERO;
}

/**
 * One pass over bytes: a pattern with a callback, or the joining of many small pieces, takes many
 * times as long where a client sends many such characters.
 */
function escapeUnsafe(json: string): string {
  if (!hasUnsafe(json)) return json;
  const bytes = Buffer.from(json);
  const safe = Buffer.allocUnsafe(escapedLength(bytes));
  let length = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0;
    if (isUnsafe(byte)) {
      putEscape(safe, length, byte);
      length += 1 + GROWTH_BYTES;
    } else if (isSeparator(bytes, at)) {
      putEscape(safe, length, 0x2000 | (0x28 + ((bytes[at + 2] ?? 0) & 1)));
      length += 1 + GROWTH_BYTES;
      at += 2;
    } else safe[length++] = byte;
  }
  return safe.toString("utf8", 0, length);
}

/** A string as a JSON token. */
export function quote(value: string): string {
  const isPlain = value.length <= SHORT && PLAIN.test(value);
  return isPlain ? `"${value}"` : escapeUnsafe(JSON.stringify(value));
}

/** A value of a request as the reply repeats it: its text without the white space between tokens. */
export function compactToken(value: JsonValue): string {
  const token = tokenOf(value);
  const isContainer = value.kind === "object" || value.kind === "array";
  return escapeUnsafe(isContainer ? withoutSpace(token) : token);
}

/**
 * One pass and no pattern: one with alternatives exhausts the stack on a long string. The text has
 * no half of a surrogate pair, because it was decoded from UTF-8.
 */
function withoutSpace(json: string): string {
  const compact = Buffer.from(json);
  let length = 0;
  let isInString = false;
  for (let at = 0; at < compact.length; at++) {
    const byte = compact[at] ?? 0;
    if (!isInString && byte <= SPACE) continue;
    if (byte === QUOTE) isInString = !isInString;
    compact[length++] = byte;
    // In a string, the character behind a backslash can't end it.
    if (byte === BACKSLASH) compact[length++] = compact[++at] ?? 0;
  }
  return compact.toString("utf8", 0, length);
}
