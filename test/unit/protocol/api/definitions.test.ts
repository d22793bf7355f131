import * as schemaOfSchemas from "@json-schema-tools/meta-schema";
import metaSchema from "@open-rpc/meta-schema";
import { Ajv } from "ajv";
import { describe, expect, test } from "vitest";
import type { MethodDefinition } from "../../../../src/protocol/api/definition.js";
import { DEFINITIONS } from "../../../../src/protocol/api/definitions.js";
import { count, type JsonSchema, object, text } from "../../../../src/protocol/api/json-schema.js";
import { openRpcDocument } from "../../../../src/protocol/api/open-rpc.js";
import { RECORDS } from "../../../../src/protocol/api/record-schemas.js";
import { readJson } from "../../../../src/protocol/json-rpc/json.js";
import type { Method } from "../../../../src/protocol/json-rpc/methods/method.js";
import { createMethodTable } from "../../../../src/protocol/json-rpc/methods/table.js";
import { FAILURES } from "../../../../src/protocol/storage/failures.js";
import type { PoolName } from "../../../../src/protocol/storage/names.js";
import { isChange } from "../../../../src/protocol/storage/operation-kinds.js";
import { compileSchema, problemsOf } from "../../../support/definition-problems.js";

const POOLS = ["tank", "fast"] as PoolName[];
const table = createMethodTable();

function rowOf(name: string): Method {
  const lookup = table.find(name);
  if (!("found" in lookup)) throw new Error(`${name}: ${lookup.missing}`);
  return lookup.found;
}

const rows = table.all;
const defined: [string, MethodDefinition][] = Object.entries(DEFINITIONS);

/** Plans a call of 2.0, which refuses members that the method does not read. */
function plan(name: string, params: object) {
  const read = readJson(JSON.stringify(params));
  if ("problem" in read) throw new Error(read.problem);
  return rowOf(name).plan(read.value, true, POOLS);
}

describe("a definition", () => {
  test("is there for each method, and for nothing else", () => {
    expect(Object.keys(DEFINITIONS).sort()).toEqual([...table.names].sort());
  });

  test.each(defined)("of %s is complete", (_, definition) => {
    expect(problemsOf(definition)).toEqual([]);
  });

  test("that lacks something is seen", () => {
    expect(problemsOf({}).map((problem) => problem.split(":")[0])).toEqual([
      "summary",
      "params",
      "result",
      "effect",
      "answeredBy",
      "failures",
      "since",
      "examples",
    ]);
    const whole: MethodDefinition = {
      summary: "Shows the weather of a pool",
      params: { id: { schema: text("The pool."), isRequired: true } },
      result: object({ degrees: count("How warm.") }),
      effect: "read",
      answeredBy: "pool",
      failures: {},
      since: "0.1.0",
      examples: [{ name: "tank", params: { id: "tank" }, result: { degrees: 20 } }],
    };
    expect(problemsOf(whole)).toEqual([]);
    const broken: [Partial<MethodDefinition>, string][] = [
      [
        { params: { id: { schema: { type: "string" }, isRequired: true } } },
        "params.id: expected a description",
      ],
      [
        { params: { ...whole.params, size: { schema: count("A size."), isRequired: false } } },
        "expected a unit",
      ],
      [{ result: object({ degrees: { type: "integer" } }) }, "result.degrees: expected a description"],
      [{ examples: [{ name: "none", params: {}, result: { degrees: 20 } }] }, "id is missing"],
      [
        { examples: [{ name: "odd", params: { id: "tank" }, result: { degrees: "warm" } }] },
        "must be integer",
      ],
      [{ examples: [{ name: "more", params: { id: "a", by: 1 }, result: { degrees: 1 } }] }, "unknown by"],
    ];
    for (const [part, problem] of broken) {
      expect(problemsOf({ ...whole, ...part })).toEqual([expect.stringContaining(problem)]);
    }
  });

  test.each(rows)("of $name changes nothing exactly if its operation does", ({ name, role }) => {
    const { effect = "", answeredBy } = DEFINITIONS[name] ?? {};
    if (role === "read") expect(effect).toBe("read");
    const planned =
      answeredBy === "pool" ? plan(name, DEFINITIONS[name]?.examples[0].params ?? {}) : undefined;
    if (planned?.ok) expect(effect !== "read").toBe(isChange(planned.value.operation.op));
  });

  test.each(defined.filter(([, { answeredBy }]) => answeredBy === "pool"))(
    "of %s has examples that its row takes",
    (name, { examples }) => {
      for (const { params } of examples) expect(plan(name, params)).toMatchObject({ ok: true });
    },
  );

  /** What the row says it wants where it gets something else. */
  const EXPECTED: Readonly<Record<string, string>> = {
    array: "expected array",
    string: "expected string",
    boolean: "expected boolean",
    integer: "expected unsigned 64-bit integer",
    object: "expected object",
  };

  test.each(defined)(
    "of %s names the parameters that its row reads, and their types",
    (name, { params, examples }) => {
      for (const [param, { schema }] of Object.entries(params)) {
        const type = schema.$ref ? "object" : String(schema.type);
        expect(
          plan(name, { ...examples[0].params, [param]: type === "array" ? {} : [] }),
          param,
        ).toMatchObject({
          failure: {
            code: "request.malformed",
            message: expect.stringContaining(`${param}: ${EXPECTED[type]}`),
          },
        });
      }
      expect(plan(name, { ...examples[0].params, weather: 1 })).toMatchObject({ ok: false });
    },
  );
});

describe("the records", () => {
  /** All names of records that a schema refers to. */
  function references(schema: JsonSchema): string[] {
    const inner = [schema.items, ...(schema.anyOf ?? []), ...Object.values(schema.properties ?? {})];
    const own = schema.$ref ? [schema.$ref.replace(/.*\//, "")] : [];
    return [...own, ...inner.flatMap((each) => (each ? references(each) : []))];
  }

  test("are those that methods and records refer to", () => {
    const used = defined.flatMap(([, { params, result }]) =>
      [result, ...Object.values(params).map(({ schema }) => schema)].flatMap(references),
    );
    const all = new Set([...used, ...Object.values(RECORDS).flatMap(references)]);
    expect([...all].sort()).toEqual(Object.keys(RECORDS).sort());
  });

  test.each(Object.entries(RECORDS))("%s is described, and each of its members", (name, schema) => {
    expect(schema.description).toMatch(/\.$/);
    for (const [member, { description = "" }] of Object.entries(schema.properties ?? {})) {
      expect(description, `${name}.${member}`).toMatch(/\.$/);
    }
    compileSchema(schema);
  });
});

describe("the OpenRPC document", () => {
  const DRAFT_7 = "http://json-schema.org/draft-07/schema#";
  const document = openRpcDocument(rows, "0.1.0");

  test("is valid by the schema of OpenRPC", () => {
    const ajv = new Ajv({ strict: false, validateFormats: false });
    // Its types lack what it exports.
    const { jsonSchema } = schemaOfSchemas as unknown as { readonly jsonSchema: object };
    // It is referred to with the slash and without.
    for (const $id of ["https://meta.json-schema.tools/", "https://meta.json-schema.tools"]) {
      ajv.addSchema({ ...jsonSchema, $schema: DRAFT_7, $id });
    }
    const isValid = ajv.compile({ ...metaSchema, $schema: DRAFT_7 });
    expect([isValid(document), isValid.errors]).toEqual([true, null]);
    expect(isValid({ ...document, methods: [{ name: "GetImage" }] })).toBe(false);
  });

  test("has every method with its role, and every failure", () => {
    expect(document.methods.map((method) => [method.name, method["x-role"]])).toEqual(
      rows.map(({ name, role }) => [name, role]),
    );
    expect(Object.keys(document.components.errors)).toEqual(Object.keys(FAILURES));
    const clone = document.methods.find(({ name }) => name === "CloneImage");
    expect(clone?.errors).toContainEqual({ $ref: "#/components/errors/dataset.exists" });
    expect(clone?.errors).toContainEqual({ $ref: "#/components/errors/pool.read_only" });
  });
});
