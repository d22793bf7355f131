import { fail, type Outcome, succeed } from "../storage/failures.js";
import { MAX_UINT64 } from "../storage/units.js";
import {
  compactToken,
  elementsOf,
  jsonProblem,
  kindOf,
  membersOf,
  type Span,
  stringValue,
  wholeValue,
} from "./json.js";

/**
 * Reads one field of a request. Rules are Go's encoding/json, which old clients
 * rely on: keys match without regard to case, the last duplicate wins, `null`
 * leaves the field as it is, unknown keys are ignored.
 */
export interface FieldType<T> {
  /** How the type is called in a refusal. */
  readonly expected: string;
  readonly zero: T;
  /** @returns the value, or undefined when the token is of another type. */
  read(text: string, span: Span, path: string): Outcome<T> | undefined;
}

export const string: FieldType<string> = {
  expected: "string",
  zero: "",
  read: (text, span) =>
    kindOf(text, span.start) === "string" ? succeed(stringValue(text, span)) : undefined,
};

export const boolean: FieldType<boolean> = {
  expected: "boolean",
  zero: false,
  read: (text, span) =>
    kindOf(text, span.start) === "boolean" ? succeed(text.charCodeAt(span.start) === 0x74) : undefined,
};

export const uint64: FieldType<bigint> = {
  expected: "unsigned 64-bit integer",
  zero: 0n,
  read: (text, span) => {
    // Leading zeros are no JSON; more than 20 digits can't fit, so BigInt stays small.
    const token = text.slice(span.start, span.end);
    if (!/^\d{1,20}$/.test(token)) return undefined;
    const value = BigInt(token);
    return value <= MAX_UINT64 ? succeed(value) : undefined;
  },
};

/** Kept as written: what we hand back unchanged. Empty values read as undefined. */
export const passThrough: FieldType<string | undefined> = {
  expected: "any value",
  zero: undefined,
  read: (text, span) => {
    const token = compactToken(text, span);
    return succeed(/^(?:""|\[\]|\{\}|0|false)$/.test(token) ? undefined : token);
  },
};

export type Shape<T> = { readonly [K in keyof T]: FieldType<T[K]> };

/** A JSON object with the given fields; all of them are optional and default to zero. */
export function struct<T extends object>(shape: Shape<T>): FieldType<T> {
  const fields = new Map<string, keyof T>();
  const zero = {} as T;
  for (const name of Object.keys(shape) as (keyof T & string)[]) {
    fields.set(name.toLowerCase(), name);
    zero[name] = shape[name].zero;
  }
  return {
    expected: "object",
    // Frozen objects are slow to copy.
    zero: Object.freeze({ ...zero }),
    read: (text, span, path) => {
      if (kindOf(text, span.start) !== "object") return undefined;
      const value = { ...zero };
      for (const member of membersOf(text, span.start)) {
        const name = fields.get(member.key) ?? fields.get(member.key.toLowerCase());
        if (name === undefined) continue;
        const field = readField(shape[name], text, member, `${path}.${name as string}`);
        if (!field.ok) return field;
        if (field.value !== undefined || !isNull(text, member)) value[name] = field.value as T[keyof T];
      }
      return succeed(value);
    },
  };
}

/** A field that may be absent or null, told from one that is there and empty. */
export function optional<T>(type: FieldType<T>): FieldType<T | undefined> {
  return {
    expected: type.expected,
    zero: undefined,
    read: (text, span, path) => type.read(text, span, path),
  };
}

export function arrayOf<T>(type: FieldType<T>): FieldType<readonly T[]> {
  return {
    expected: "array",
    zero: Object.freeze([]),
    read: (text, span, path) => {
      if (kindOf(text, span.start) !== "array") return undefined;
      const values: T[] = [];
      for (const [index, element] of elementsOf(text, span.start).entries()) {
        const value = readField(type, text, element, `${path}[${index}]`);
        if (!value.ok) return value;
        values.push(value.value ?? type.zero);
      }
      return succeed(values);
    },
  };
}

function isNull(text: string, span: Span): boolean {
  return kindOf(text, span.start) === "null";
}

function readField<T>(type: FieldType<T>, text: string, span: Span, path: string): Outcome<T | undefined> {
  if (isNull(text, span)) return succeed(undefined);
  const value = type.read(text, span, path);
  if (value !== undefined) return value;
  const token = text.slice(span.start, Math.min(span.end, span.start + 40));
  const got = span.end - span.start > 40 ? `${token}…` : token;
  return fail("request.malformed", `${path}: expected ${type.expected}, got ${got}`);
}

/**
 * Reads `params`: an array of one object, or (2.0) the object itself. `[]` and
 * `[null]` mean all fields zero; further elements are ignored.
 * Fails: request.malformed, naming the field and the type expected.
 */
export function readParams<T>(
  type: FieldType<T>,
  name: string,
  text: string,
  params: Span | undefined,
  allowObject: boolean,
): Outcome<T> {
  if (params === undefined) return succeed(type.zero);
  let target: Span | undefined = params;
  const kind = kindOf(text, params.start);
  if (kind === "array") target = elementsOf(text, params.start)[0];
  else if (kind !== "object" || !allowObject) {
    const expected = allowObject ? "an object or an array of one object" : "an array of one object";
    return fail("request.malformed", `params: expected ${expected}, got ${kind}`);
  }
  if (target === undefined) return succeed(type.zero);
  const value = readField(type, text, target, name);
  if (!value.ok) return value;
  return succeed(value.value ?? type.zero);
}

/** Reads a whole text as one object; `null` means all fields zero. Fails: request.malformed. */
export function readObject<T>(type: FieldType<T>, name: string, text: string): Outcome<T> {
  const problem = jsonProblem(text);
  if (problem !== undefined) return fail("request.malformed", `${name}: ${problem}`);
  const value = readField(type, text, wholeValue(text), name);
  return value.ok ? succeed(value.value ?? type.zero) : value;
}
