import { fail, type Outcome, succeed, tellAbout } from "../storage/failures.js";
import { unknownName } from "../storage/nearest-name.js";
import { MAX_UINT64 } from "../storage/units.js";
import { isNull, type JsonValue, readJson, tokenOf } from "./json.js";

/**
 * How the value of one field is read. Clients of the original rely on the rules of Go's
 * encoding/json: names match in any case, the last duplicate that is not null counts, and
 * unknown names are ignored.
 */
export interface FieldType<T> {
  /** The name of the type, for messages. */
  readonly expected: string;
  /** The value of a field that is absent or null. */
  readonly zero: T;
  /** @returns what is wrong with the names of members in a value, where the type knows them all. */
  problemOfNames?(value: JsonValue, path: string): Outcome<never> | undefined;
  /** `path` names the field in messages. @returns undefined if the value has another type. */
  read(value: JsonValue, path: string): Outcome<T> | undefined;
}

export const string: FieldType<string> = {
  expected: "string",
  zero: "",
  read: (value) => (value.kind === "string" ? succeed(value.string) : undefined),
};

export const boolean: FieldType<boolean> = {
  expected: "boolean",
  zero: false,
  read: (value) => (value.kind === "boolean" ? succeed(tokenOf(value) === "true") : undefined),
};

export const uint64: FieldType<bigint> = {
  expected: "unsigned 64-bit integer",
  zero: 0n,
  read: (value) => {
    // 2^64 has 20 digits, and JSON has no leading zeros. The limit keeps BigInt fast.
    const token = tokenOf(value);
    if (!/^\d{1,20}$/.test(token)) return undefined;
    const integer = BigInt(token);
    return integer <= MAX_UINT64 ? succeed(integer) : undefined;
  },
};

export const int64: FieldType<bigint> = {
  expected: "signed 64-bit integer",
  zero: 0n,
  read: (value) => {
    const token = tokenOf(value);
    if (!/^-?\d{1,19}$/.test(token)) return undefined;
    const integer = BigInt(token);
    return integer === BigInt.asIntN(64, integer) ? succeed(integer) : undefined;
  },
};

/** An object with any names, as Go reads it into a map. A null is the zero of its name. */
export function mapOf<T>(type: FieldType<T>): FieldType<ReadonlyMap<string, T>> {
  return {
    expected: "object",
    zero: new Map(),
    read: ({ kind, keys, items }, path) => {
      if (kind !== "object") return undefined;
      const map = new Map<string, T>();
      for (const [index, item] of items.entries()) {
        const key = keys[index] ?? "";
        const value = readOrZero(type, item, `${path}[${JSON.stringify(clip(key))}]`);
        if (!value.ok) return value;
        map.set(key, value.value);
      }
      return succeed(map);
    },
  };
}

export type Shape<T> = { readonly [K in keyof T]: FieldType<T[K]> };

/** A JSON object with these fields. A field that is absent has its zero. */
export function struct<T extends object>(shape: Shape<T>): FieldType<T> {
  const fields = new Map<string, keyof T & string>();
  const zero = {} as T;
  for (const name of Object.keys(shape) as (keyof T & string)[]) {
    fields.set(name.toLowerCase(), name);
    zero[name] = shape[name].zero;
  }
  return {
    expected: "object",
    problemOfNames: ({ kind, keys, items }, path) => {
      if (kind !== "object") return undefined;
      for (const [index, item] of items.entries()) {
        const key = keys[index] ?? "";
        const name = fields.get(key) ?? fields.get(key.toLowerCase());
        const field = `${path}.${name ?? clip(key)}`;
        const problem =
          name === undefined
            ? tellAbout(
                fail(
                  "request.malformed",
                  `${field}: unknown member, ${unknownName(key, Object.keys(shape))}`,
                ),
                { field },
              )
            : shape[name].problemOfNames?.(item, field);
        if (problem) return problem;
      }
      return undefined;
    },
    // A copy, because `read` copies the other object often, which would be slow if it were frozen.
    zero: Object.freeze({ ...zero }),
    read: ({ kind, keys, items }, path) => {
      if (kind !== "object") return undefined;
      const value = { ...zero };
      for (let index = 0; index < items.length; index++) {
        const key = keys[index] ?? "";
        const item = items[index];
        const name = fields.get(key) ?? fields.get(key.toLowerCase());
        if (name === undefined || item === undefined || isNull(item)) continue;
        const field = readField(shape[name], item, `${path}.${name}`);
        if (!field.ok) return field;
        value[name] = field.value;
      }
      return succeed(value);
    },
  };
}

/** A field that is undefined if it is absent or null. */
export function optional<T>(type: FieldType<T>): FieldType<T | undefined> {
  return { ...type, zero: undefined };
}

export function arrayOf<T>(type: FieldType<T>): FieldType<readonly T[]> {
  return {
    expected: "array",
    zero: Object.freeze([]),
    problemOfNames: ({ kind, items }, path) => {
      if (kind !== "array" || type.problemOfNames === undefined) return undefined;
      for (const [index, item] of items.entries()) {
        const problem = type.problemOfNames(item, `${path}[${index}]`);
        if (problem) return problem;
      }
      return undefined;
    },
    read: ({ kind, items }, path) => {
      if (kind !== "array") return undefined;
      const values: T[] = [];
      for (const [index, item] of items.entries()) {
        const value = readOrZero(type, item, `${path}[${index}]`);
        if (!value.ok) return value;
        values.push(value.value);
      }
      return succeed(values);
    },
  };
}

const MOST_SHOWN_CHARACTERS = 40;

/** What a message repeats of a token: its beginning, and nothing of a URL, which may have a password. */
function clip(text: string): string {
  const shown = text.slice(0, MOST_SHOWN_CHARACTERS).replace(/:(?:\\?\/){2}.*/s, "://");
  return shown.length < text.length ? `${shown}…` : text;
}

function readField<T>(type: FieldType<T>, value: JsonValue, path: string): Outcome<T> {
  const read = type.read(value, path);
  if (read !== undefined) return read;
  const found = clip(tokenOf(value));
  const failure = fail("request.malformed", `${path}: expected ${type.expected}, got ${found}`);
  return tellAbout(failure, { field: path });
}

function readOrZero<T>(type: FieldType<T>, value: JsonValue | undefined, path: string): Outcome<T> {
  return value === undefined || isNull(value) ? succeed(type.zero) : readField(type, value, path);
}

/**
 * Reads `params`: an array of one object, or with `allowObject` the object itself. With `[]` and
 * `[null]` all fields are zero. Further elements are ignored, and so are unknown members unless
 * `allowObject`.
 * Fails: request.malformed, with the field and its type in the message.
 */
export function readParams<T>(
  type: FieldType<T>,
  name: string,
  params: JsonValue | undefined,
  allowObject: boolean,
): Outcome<T> {
  if (params === undefined) return succeed(type.zero);
  const { kind, items } = params;
  const object = kind === "array" ? items[0] : params;
  // In 1.0 unknown names are ignored, as Go does.
  const problem = allowObject && object ? type.problemOfNames?.(object, name) : undefined;
  if (problem) return problem;
  if (kind === "array") return readOrZero(type, items[0], name);
  if (kind === "object" && allowObject) return readField(type, params, name);
  const expected = allowObject ? "an object or an array of one object" : "an array of one object";
  return fail("request.malformed", `params: expected ${expected}, got ${kind}`);
}

/** Reads a text as one object. With `null` all fields are zero. Fails: request.malformed. */
export function readObject<T>(type: FieldType<T>, name: string, text: string): Outcome<T> {
  const read = readJson(text);
  if ("problem" in read) return fail("request.malformed", `${name}: ${read.problem}`);
  return readOrZero(type, read.value, name);
}
