/**
 * JSON with nothing lost: a client's 63-bit id and an unsigned 64-bit size come
 * through digit for digit. JSON.parse checks the grammar; the scanner below then
 * only finds where values begin and end in a text that is known to be good, so it
 * needs no recursion and no checks of its own. See docs/decisions/json.md.
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

/** The one value of a good JSON text, without the space around it. */
export function wholeValue(text: string): Span {
  const start = skipSpace(text, 0);
  return { start, end: endOfValue(text, start) };
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

/** Go's encoder writes these five so that JSON can stand inside HTML. */
function escapeUnsafe(json: string): string {
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
