/**
 * The part of JSON Schema (draft 7) that describes parameters and records. `x-unit` is ours: the
 * unit of a number.
 */
export interface JsonSchema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly format?: string;
  readonly enum?: readonly string[];
  readonly description?: string;
  readonly "x-unit"?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | JsonSchema;
}

/** Where the records are in an OpenRPC document. */
const RECORDS_AT = "#/components/schemas/";

export function text(description: string): JsonSchema {
  return { type: "string", description };
}

/** A moment, as RFC 3339 has it. */
export function time(description: string): JsonSchema {
  return { type: "string", format: "date-time", description };
}

/** One of some words. */
export function word(words: readonly string[], description: string): JsonSchema {
  return { type: "string", enum: words, description };
}

export function flag(description: string): JsonSchema {
  return { type: "boolean", description };
}

/** A size on the wire. No volume and no pool has more MiB than a number of JavaScript keeps. */
export function mebibytes(description: string): JsonSchema {
  return { ...count(description), "x-unit": "MiB" };
}

/** An integer from 0 on, which a number of JavaScript keeps. `unit`: in which it counts. */
export function count(description: string, unit?: string): JsonSchema {
  const integer = { type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description };
  return unit === undefined ? integer : { ...integer, "x-unit": unit };
}

/** An integer of which all 64 bits count: a client must not read it as a number of JavaScript. */
export function integer64(format: "uint64" | "int64", description: string): JsonSchema {
  return { type: "integer", format, description, ...(format === "uint64" && { minimum: 0 }) };
}

/** A record by its name in RECORDS. */
export function record(name: string): JsonSchema {
  return { $ref: `${RECORDS_AT}${name}` };
}

export function listOf(items: JsonSchema, description?: string): JsonSchema {
  return { type: "array", items, ...(description !== undefined && { description }) };
}

/** A list of exactly one: how the methods for one thing answer. */
export function oneOf(items: JsonSchema): JsonSchema {
  return { type: "array", items, minItems: 1, maxItems: 1 };
}

export function orNull(schema: JsonSchema): JsonSchema {
  if (typeof schema.type === "string") return { ...schema, type: [schema.type, "null"] };
  return { anyOf: [schema, { type: "null" }] };
}

/** An object with any names, whose values are texts. */
export function texts(description: string): JsonSchema {
  return { type: "object", additionalProperties: { type: "string" }, description };
}

/** An object with these members and no others. `optional`: those that may be left out. */
export function object(
  properties: Readonly<Record<string, JsonSchema>>,
  optional: readonly string[] = [],
  description?: string,
): JsonSchema {
  return {
    type: "object",
    ...(description !== undefined && { description }),
    properties,
    required: Object.keys(properties).filter((name) => !optional.includes(name)),
    additionalProperties: false,
  };
}
