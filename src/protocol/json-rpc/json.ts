/**
 * Reads JSON without loss: an id of 63 bits and a size of 64 bits keep every digit. One pass
 * checks the grammar of RFC 8259 and finds where each value begins and ends. JSON.parse of
 * Node 20 can't do that, because it doesn't give the token of a number (docs/decisions/json.md).
 */

import { messageOf } from "../storage/caught-error.js";

export type Kind = "object" | "array" | "string" | "number" | "boolean" | "null";

/** A value in a JSON text. */
export interface JsonValue {
  /** The whole text. `text.slice(start, end)` is the token of this value. */
  readonly text: string;
  readonly kind: Kind;
  readonly start: number;
  readonly end: number;
  /** The value of a string, without quotes and escapes; "" for every other kind. */
  readonly string: string;
  /** The names of an object's members in their order, with duplicates. */
  readonly keys: readonly string[];
  /** The values of an object's members, or the elements of an array. Empty below READ_DEPTH. */
  readonly items: readonly JsonValue[];
}

export type ReadJson = { readonly value: JsonValue } | { readonly problem: string };

/**
 * Values in more containers than this are checked but not kept, so that they use no memory. No
 * method has parameters that are nested so deep.
 */
export const READ_DEPTH = 8;

/** Reads a text as one value. @returns the value, or what JSON.parse says is wrong with the text. */
export function readJson(text: string): ReadJson {
  const value = new Parser(text).parse();
  return value ? { value } : { problem: problemOf(text) };
}

/** The text of the value as the client wrote it. */
export function tokenOf({ text, start, end }: JsonValue): string {
  return text.slice(start, end);
}

export function isNull(value: JsonValue): boolean {
  return value.kind === "null";
}

function problemOf(text: string): string {
  try {
    JSON.parse(text);
  } catch (error) {
    return messageOf(error);
  }
  throw new Error("a text was refused that JSON.parse accepts");
}

const SPACE = 0x20;
const QUOTE = 0x22;
const PLUS = 0x2b;
const COMMA = 0x2c;
const MINUS = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
const COLON = 0x3a;
const UPPER_E = 0x45;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const LOWER_E = 0x65;
const LOWER_F = 0x66;
const LOWER_N = 0x6e;
const LOWER_T = 0x74;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** The end of a token that isn't JSON. */
const BAD = -1;
const NO_KEYS: readonly string[] = [];
const NO_ITEMS: readonly JsonValue[] = [];

function isDigit(code: number): boolean {
  return code >= ZERO && code <= 0x39;
}

function skipSpace(text: string, from: number): number {
  let at = from;
  for (;;) {
    const code = text.charCodeAt(at);
    if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return at;
    at++;
  }
}

/** Up to so many characters are read one by one. Then the search for the next quote is faster. */
const ONE_BY_ONE = 128;

/** Where the string that begins at `start` ends. What can be wrong in it is left to `stringIn`. */
function endOfString(text: string, start: number): number {
  const stop = start + ONE_BY_ONE;
  let at = start + 1;
  for (; at < stop; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) return at + 1;
    // At the end of the text the code is NaN, which fails the comparison too.
    if (!(code >= SPACE)) return BAD;
    if (code === BACKSLASH) at++;
  }
  return endOfLongString(text, at);
}

/** As endOfString, from the middle of the string: `from` is behind a whole character. */
function endOfLongString(text: string, from: number): number {
  for (let at = from; ; ) {
    const quote = text.indexOf('"', at);
    if (quote < 0) return BAD;
    let backslashes = quote;
    while (backslashes > at && text.charCodeAt(backslashes - 1) === BACKSLASH) backslashes--;
    // Each pair of them is one character. One that is left over escapes the quote.
    if ((quote - backslashes) % 2 === 0) return quote + 1;
    at = quote + 1;
    // Where one quote is escaped there are often more. To search for each would take longer.
    for (const stop = at + ONE_BY_ONE; at < stop; at++) {
      const code = text.charCodeAt(at);
      if (code === QUOTE) return at + 1;
      if (code === BACKSLASH) at++;
    }
  }
}

/**
 * The value of the string token that endOfString has found; undefined if it is no JSON.
 * @param mayEscape whether there is a backslash anywhere in the text.
 */
function stringIn(text: string, start: number, end: number, mayEscape: boolean): string | undefined {
  const isLong = end - start > ONE_BY_ONE;
  const inner = text.slice(start + 1, end - 1);
  return isLong || (mayEscape && inner.includes("\\")) ? parseString(text.slice(start, end)) : inner;
}

function parseString(token: string): string | undefined {
  try {
    return String(JSON.parse(token));
  } catch {
    return undefined;
  }
}

/** Where the digits that begin at `start` end; BAD without any digit. */
function endOfDigits(text: string, start: number): number {
  let at = start;
  while (isDigit(text.charCodeAt(at))) at++;
  return at === start ? BAD : at;
}

function endOfNumber(text: string, start: number): number {
  const first = text.charCodeAt(start) === MINUS ? start + 1 : start;
  let at = text.charCodeAt(first) === ZERO ? first + 1 : endOfDigits(text, first);
  if (at !== BAD && text.charCodeAt(at) === DOT) at = endOfDigits(text, at + 1);
  if (at === BAD) return BAD;
  const code = text.charCodeAt(at);
  if (code !== LOWER_E && code !== UPPER_E) return at;
  const sign = text.charCodeAt(at + 1);
  return endOfDigits(text, sign === PLUS || sign === MINUS ? at + 2 : at + 1);
}

function endOfWord(text: string, start: number, word: string): number {
  return text.startsWith(word, start) ? start + word.length : BAD;
}

/** A container while it is read. Its end is BAD until its closing bracket is read. */
interface OpenContainer extends JsonValue {
  end: number;
  readonly keys: string[];
  readonly items: JsonValue[];
}

/** Reads one text. It is not recursive, so that a deep text can't exhaust the stack. */
class Parser {
  /** The index of the next character to read. */
  private at: number;
  /** The closing bracket of each open container, the innermost last. */
  private readonly due: number[] = [];
  /** The open containers down to READ_DEPTH, the innermost last. Deeper ones are not kept. */
  private readonly open: OpenContainer[] = [];

  /** Nearly no text has one: to look for it once costs less than in each string. */
  private readonly mayEscape: boolean;

  constructor(private readonly text: string) {
    this.mayEscape = text.includes("\\");
    this.at = skipSpace(text, 0);
  }

  /** @returns undefined if the text is no JSON. */
  parse(): JsonValue | undefined {
    let whole: JsonValue | undefined;
    for (;;) {
      const value = this.readValue();
      if (!value) return undefined;
      whole ??= value;
      const next = this.readUpToValue(value.end === BAD);
      if (next !== "value") return next === "end" ? whole : undefined;
    }
  }

  /** Reads a scalar or an opening bracket. */
  private readValue(): JsonValue | undefined {
    const { text, at } = this;
    switch (text.charCodeAt(at)) {
      case QUOTE: {
        const end = endOfString(text, at);
        const string = end === BAD ? undefined : stringIn(text, at, end, this.mayEscape);
        return string === undefined ? undefined : this.addScalar("string", end, string);
      }
      case OPEN_BRACE:
        return this.openContainer("object", CLOSE_BRACE);
      case OPEN_BRACKET:
        return this.openContainer("array", CLOSE_BRACKET);
      case LOWER_T:
        return this.addScalar("boolean", endOfWord(text, at, "true"));
      case LOWER_F:
        return this.addScalar("boolean", endOfWord(text, at, "false"));
      case LOWER_N:
        return this.addScalar("null", endOfWord(text, at, "null"));
      default:
        return this.addScalar("number", endOfNumber(text, at));
    }
  }

  private addScalar(kind: Kind, end: number, string = ""): JsonValue | undefined {
    if (end === BAD) return undefined;
    const { text, at: start } = this;
    this.at = end;
    return this.keep({ text, kind, start, end, string, keys: NO_KEYS, items: NO_ITEMS });
  }

  private openContainer(kind: "object" | "array", closing: number): JsonValue {
    const { text, at: start } = this;
    const container: OpenContainer = { text, kind, start, end: BAD, string: "", keys: [], items: [] };
    this.keep(container);
    if (this.due.length <= READ_DEPTH) this.open.push(container);
    this.due.push(closing);
    this.at = start + 1;
    return container;
  }

  /** Adds a value to its container, if that is kept. */
  private keep(value: JsonValue): JsonValue {
    if (this.due.length <= READ_DEPTH) this.open.at(-1)?.items.push(value);
    return value;
  }

  /**
   * Reads up to the next value: closing brackets, a comma, the name of a member.
   * @param isFirst a container was just opened, so no comma comes before its first value.
   */
  private readUpToValue(isFirst: boolean): "value" | "end" | "bad" {
    const { text, due } = this;
    for (let isBehindValue = !isFirst; ; isBehindValue = true) {
      this.at = skipSpace(text, this.at);
      const closing = due.at(-1);
      if (closing === undefined) return this.at === text.length ? "end" : "bad";
      const code = text.charCodeAt(this.at);
      if (code === closing) {
        this.closeContainer();
        continue;
      }
      if (isBehindValue) {
        if (code !== COMMA) return "bad";
        this.at = skipSpace(text, this.at + 1);
      }
      return closing === CLOSE_BRACKET || this.readKey() ? "value" : "bad";
    }
  }

  private closeContainer(): void {
    this.at++;
    this.due.pop();
    if (this.due.length > READ_DEPTH) return;
    const container = this.open.pop();
    if (container) container.end = this.at;
  }

  /** Reads a member's name and the colon behind it. */
  private readKey(): boolean {
    const { text, at } = this;
    const end = text.charCodeAt(at) === QUOTE ? endOfString(text, at) : BAD;
    const key = end === BAD ? undefined : stringIn(text, at, end, this.mayEscape);
    if (key === undefined) return false;
    if (this.due.length <= READ_DEPTH) this.open.at(-1)?.keys.push(key);
    const colon = skipSpace(text, end);
    this.at = skipSpace(text, colon + 1);
    return text.charCodeAt(colon) === COLON;
  }
}
