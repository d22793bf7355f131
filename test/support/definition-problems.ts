import { Ajv, type ValidateFunction } from "ajv";
import type { MethodDefinition } from "../../src/protocol/api/definition.js";
import type { JsonSchema } from "../../src/protocol/api/json-schema.js";
import { RECORDS } from "../../src/protocol/api/record-schemas.js";

/** Compiles a schema of the definitions, with the records that it refers to. */
export function compileSchema(schema: JsonSchema): ValidateFunction {
  const ajv = new Ajv({ allErrors: true, strict: true, allowUnionTypes: true });
  for (const word of ["x-unit", "components"]) ajv.addKeyword(word);
  ajv.addFormat("date-time", { validate: (text: string) => !Number.isNaN(Date.parse(text)) });
  for (const format of ["uint64", "int64"]) ajv.addFormat(format, true);
  return ajv.compile({ ...schema, components: { schemas: RECORDS } });
}

/** The places in a schema that lack a description; a record that is referred to has its own. */
function undescribed(schema: JsonSchema, path: string): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, member]) => {
    const isDescribed = member.description !== undefined || member.items !== undefined || member.anyOf;
    return [
      ...(isDescribed || member.$ref ? [] : [`${path}.${name}`]),
      ...undescribed(member, `${path}.${name}`),
    ];
  });
}

/** What a definition lacks, in words. Nothing, if it is complete. */
export function problemsOf(definition: Partial<MethodDefinition>): string[] {
  const {
    summary = "",
    description,
    params,
    result,
    effect,
    answeredBy,
    failures,
    since = "",
    examples = [],
  } = definition;
  const problems: string[] = [];
  const expect = (isGood: boolean, problem: string) => {
    if (!isGood) problems.push(problem);
  };
  expect(
    /^[A-Z].{9,}[^.]$/s.test(summary),
    "summary: expected a clause that begins with a capital and has no full stop",
  );
  expect(
    description === undefined || /^[A-Z`].*\.$/s.test(description),
    "description: expected whole sentences",
  );
  expect(params !== undefined, "params: expected an object, {} where there are none");
  for (const [name, { schema }] of Object.entries(params ?? {})) {
    const said = schema.$ref ? "in the record." : (schema.description ?? "");
    expect(/^.{6,}\.$/s.test(said), `params.${name}: expected a description, whole sentences`);
    expect(schema.type !== "integer" || schema["x-unit"] !== undefined, `params.${name}: expected a unit`);
  }
  expect(result !== undefined, "result: expected a schema");
  for (const path of undescribed(result ?? {}, "result")) problems.push(`${path}: expected a description`);
  expect(effect !== undefined, "effect: expected read, repeatable or once");
  expect(answeredBy !== undefined, "answeredBy: expected pool or daemon");
  expect(failures !== undefined, "failures: expected an object, {} where there are none of its own");
  for (const [code, when] of Object.entries(failures ?? {}))
    expect(when !== "", `failures.${code}: expected when`);
  expect(/^\d+\.\d+\.\d+$/.test(since), "since: expected a release");
  expect(examples.length > 0, "examples: expected one or more");
  if (result === undefined || params === undefined) return problems;
  const isResult = compileSchema(result);
  for (const example of examples) {
    expect(isResult(example.result), `example "${example.name}", result: ${JSON.stringify(isResult.errors)}`);
    for (const [name, { schema, isRequired }] of Object.entries(params)) {
      const value = example.params[name];
      const isValue = compileSchema(schema);
      if (value === undefined) expect(!isRequired, `example "${example.name}": ${name} is missing`);
      else expect(isValue(value), `example "${example.name}", ${name}: ${JSON.stringify(isValue.errors)}`);
    }
    const unknown = Object.keys(example.params).filter((name) => !(name in params));
    expect(unknown.length === 0, `example "${example.name}": unknown ${unknown.join(", ")}`);
  }
  return problems;
}
