/**
 * JSON with nothing lost: a client's 63-bit id and an unsigned 64-bit size come
 * through digit for digit. JSON.parse checks the grammar of all but the plainest texts;
 * the scanner then only finds where values begin and end in a text that is known to be
 * good, so it needs no recursion and no checks of its own. See docs/decisions/json.md.
 */

/** A value in a JSON text: `text.slice(start, end)` is its token as written. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

export interface Member extends Span {
  readonly key: string;
}

/** @returns what is wrong with the text as JSON, or undefined if it is good. */
export function jsonProblem(text: string): string | undefined {
  if (isPlainJson(text)) return undefined;
  try {
    JSON.parse(text);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (isSpace(text.charCodeAt(at))) at++;
  return at;
}

function endOfString(text: string, start: number): number {
  let at = start + 1;
  for (;;) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) return at + 1;
    at += code === BACKSLASH ? 2 : 1;
  }
}

function endOfValue(text: string, start: number): number {
  const first = text.charCodeAt(start);
  if (first === QUOTE) return endOfString(text, start);
  let at = start;
  if (first !== OPEN_BRACE && first !== OPEN_BRACKET) {
    for (; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code === COMMA || code === CLOSE_BRACE || code === CLOSE_BRACKET || isSpace(code)) break;
    }
    return at;
  }
  let depth = 0;
  for (;;) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      at = endOfString(text, at);
      continue;
    }
    at++;
    if (code === OPEN_BRACE || code === OPEN_BRACKET) depth++;
    else if ((code === CLOSE_BRACE || code === CLOSE_BRACKET) && --depth === 0) return at;
  }
}

/** How deep plain JSON is nested at most. */
const PLAIN_DEPTH = 8;

/** The end of a string of printable characters without escapes, or -1. */
function endOfPlainString(text: string, start: number): number {
  for (let at = start + 1; ; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) return at + 1;
    // Also at the end of the text, which has no code.
    if (code === BACKSLASH || !(code >= 0x20)) return -1;
  }
}

/** The end of an integer, or -1. */
function endOfPlainNumber(text: string, start: number): number {
  const first = text.charCodeAt(start);
  if (!(first >= 0x30 && first <= 0x39)) return -1;
  let at = start + 1;
  for (let code = text.charCodeAt(at); code >= 0x30 && code <= 0x39; code = text.charCodeAt(at)) at++;
  return first === 0x30 && at > start + 1 ? -1 : at;
}

function endOfPlainValue(text: string, start: number, depth: number): number {
  switch (text.charCodeAt(start)) {
    case QUOTE:
      return endOfPlainString(text, start);
    case OPEN_BRACE:
      return endOfPlainContainer(text, start, depth, true);
    case OPEN_BRACKET:
      return endOfPlainContainer(text, start, depth, false);
    case 0x74:
      return text.startsWith("true", start) ? start + 4 : -1;
    case 0x66:
      return text.startsWith("false", start) ? start + 5 : -1;
    case 0x6e:
      return text.startsWith("null", start) ? start + 4 : -1;
    default:
      return endOfPlainNumber(text, start);
  }
}

function endOfPlainContainer(text: string, start: number, depth: number, isObject: boolean): number {
  const close = isObject ? CLOSE_BRACE : CLOSE_BRACKET;
  if (depth === PLAIN_DEPTH) return -1;
  let at = skipSpace(text, start + 1);
  if (text.charCodeAt(at) === close) return at + 1;
  for (;;) {
    if (isObject) {
      if (text.charCodeAt(at) !== QUOTE) return -1;
      const keyEnd = endOfPlainString(text, at);
      if (keyEnd < 0) return -1;
      const colon = skipSpace(text, keyEnd);
      if (text.charCodeAt(colon) !== COLON) return -1;
      at = skipSpace(text, colon + 1);
    }
    const end = endOfPlainValue(text, at, depth + 1);
    if (end < 0) return -1;
    at = skipSpace(text, end);
    const code = text.charCodeAt(at);
    if (code === close) return at + 1;
    if (code !== COMMA) return -1;
    at = skipSpace(text, at + 1);
  }
}

/**
 * Whether a text is JSON of the kind that nearly all requests are: no escapes, fractions,
 * signs or deep nesting. JSON.parse, which builds the values too, takes three times as long;
 * of everything else it is the judge.
 */
function isPlainJson(text: string): boolean {
  const end = endOfPlainValue(text, skipSpace(text, 0), 0);
  return end >= 0 && skipSpace(text, end) === text.length;
}

/** The one value of a good JSON text, without the space around it. */
export function wholeValue(text: string): Span {
  let end = text.length;
  while (isSpace(text.charCodeAt(end - 1))) end--;
  return { start: skipSpace(text, 0), end };
}

/** The members of the object at `start`, in the order written, duplicates included. */
export function membersOf(text: string, start: number): Member[] {
  const members: Member[] = [];
  let at = skipSpace(text, start + 1);
  while (text.charCodeAt(at) !== CLOSE_BRACE) {
    const keyEnd = endOfString(text, at);
    const key = stringValue(text, { start: at, end: keyEnd });
    const colon = skipSpace(text, keyEnd);
    const valueStart = skipSpace(text, colon + 1);
    const end = endOfValue(text, valueStart);
    members.push({ key, start: valueStart, end });
    at = skipSpace(text, end);
    if (text.charCodeAt(at) === COMMA) at = skipSpace(text, at + 1);
  }
  return members;
}

/** The elements of the array at `start`. */
export function elementsOf(text: string, start: number): Span[] {
  const elements: Span[] = [];
  let at = skipSpace(text, start + 1);
  while (text.charCodeAt(at) !== CLOSE_BRACKET) {
    const end = endOfValue(text, at);
    elements.push({ start: at, end });
    at = skipSpace(text, end);
    if (text.charCodeAt(at) === COMMA) at = skipSpace(text, at + 1);
  }
  return elements;
}

export type Kind = "object" | "array" | "string" | "number" | "boolean" | "null";

export function kindOf(text: string, start: number): Kind {
  switch (text.charCodeAt(start)) {
    case OPEN_BRACE:
      return "object";
    case OPEN_BRACKET:
      return "array";
    case QUOTE:
      return "string";
    case 0x74: // t
    case 0x66: // f
      return "boolean";
    case 0x6e: // n
      return "null";
    default:
      return "number";
  }
}

/** The string that a string token stands for. */
export function stringValue(text: string, span: Span): string {
  const inner = text.slice(span.start + 1, span.end - 1);
  return inner.includes("\\") ? (JSON.parse(text.slice(span.start, span.end)) as string) : inner;
}

const UNSAFE = /[<>&\u2028\u2029]/g;
const HAS_UNSAFE = /[<>&\u2028\u2029]/;

/** Go's encoder writes these five so that JSON can stand inside HTML. */
function escapeUnsafe(json: string): string {
  if (!HAS_UNSAFE.test(json)) return json;
  return json.replace(UNSAFE, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** Names and numbers, which stand in a string as they are. */
const PLAIN = /^[\w./@: -]*$/;

/** A JSON string token, as the original writes it. */
export function quote(value: string): string {
  return PLAIN.test(value) ? `"${value}"` : escapeUnsafe(JSON.stringify(value));
}

/** The token at `span` without the space between its parts, otherwise as written. */
export function compactToken(text: string, span: Span): string {
  const token = text.slice(span.start, span.end);
  const first = token.charCodeAt(0);
  if (first !== OPEN_BRACE && first !== OPEN_BRACKET) return escapeUnsafe(token);
  return escapeUnsafe(
    token.replace(/"(?:[^"\\]|\\.)*"|[ \t\r\n]+/g, (part) => (part[0] === '"' ? part : "")),
  );
}
