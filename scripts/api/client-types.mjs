/**
 * The sources of `imagestore/client` that are made from the definitions: the types of parameters and
 * records, and a function for each method.
 *
 * @typedef {import("./page.mjs").Api} Api
 * @typedef {import("./page.mjs").JsonSchema} JsonSchema
 */
import { recordOf } from "./page.mjs";

const HEAD =
  "/** Made from the definitions of the methods by `npm run docs:api`: not to be changed by hand. */\n";

/** `GetImage` and `rpc.discover` as names of functions. @param {string} method */
function functionName(method) {
  const last = method.replace(/^.*\./, "");
  return `${last.slice(0, 1).toLowerCase()}${last.slice(1)}`;
}

/** `GetImage` and `rpc.discover` as beginnings of the names of types. @param {string} method */
const typeName = (method) => method.replace(/(?:^|\.)(.)/g, (_, first) => first.toUpperCase());

/** A schema as a type of TypeScript. @param {JsonSchema} schema @returns {string} */
function typeText(schema) {
  const record = recordOf(schema);
  if (record !== undefined) return record;
  if (schema.anyOf) return schema.anyOf.map(typeText).join(" | ");
  if (schema.enum) return schema.enum.map((word) => JSON.stringify(word)).join(" | ");
  return [schema.type ?? "object"]
    .flat()
    .map((type) => plainType(type, schema))
    .join(" | ");
}

/** @param {string} type @param {JsonSchema} schema @returns {string} */
function plainType(type, { items = {}, maxItems, properties, required = [], format }) {
  if (type === "array")
    return maxItems === 1 ? `readonly [${typeText(items)}]` : `readonly ${inList(items)}[]`;
  if (type === "integer") return format === undefined ? "number" : "number | bigint";
  if (type !== "object") return type;
  if (properties === undefined) return "Readonly<Record<string, string>>";
  const members = Object.entries(properties).map(
    ([name, schema]) => `readonly ${name}${required.includes(name) ? "" : "?"}: ${typeText(schema)};`,
  );
  return `{ ${members.join(" ")} }`;
}

/** @param {JsonSchema} items */
function inList(items) {
  const text = typeText(items);
  return /^\w+$/.test(text) ? text : `(${text})`;
}

/** @param {string} indent @param {string} text */
const comment = (indent, text) => `${indent}/** ${text} */`;

/** What a member is, with its unit. @param {JsonSchema} schema */
function said({ description, "x-unit": unit }) {
  return unit === undefined ? description : `${description} In ${unit}.`;
}

/**
 * @param {string} name @param {string | undefined} description
 * @param {readonly { name: string, schema: JsonSchema, isOptional: boolean }[]} members
 */
function interfaceText(name, description, members) {
  const lines = members.flatMap(({ name: member, schema, isOptional }) => {
    const about = said(schema);
    return [
      ...(about === undefined ? [] : [comment("  ", about)]),
      `  readonly ${member}${isOptional ? "?: " : ": "}${typeText(schema)}${isOptional ? " | undefined" : ""};`,
    ];
  });
  return [
    ...(description === undefined ? [] : [comment("", description)]),
    `export interface ${name} {`,
    ...lines,
    "}\n",
  ].join("\n");
}

/** @param {Api} api */
function defined({ rows, definitions }) {
  return rows.flatMap(({ name }) => {
    const definition = definitions[name];
    return definition ? [{ name, definition }] : [];
  });
}

/** The records, and why a call can fail. @param {Api} api @param {readonly string[]} reasons */
export function recordsSource({ records }, reasons) {
  const interfaces = Object.entries(records).map(
    ([name, { description, properties = {}, required = [] }]) => {
      const members = Object.entries(properties).map(([member, schema]) => ({
        name: member,
        schema,
        isOptional: !required.includes(member),
      }));
      return interfaceText(name, description, members);
    },
  );
  const union = [
    "/** Why a call failed: docs/api.md has the table. */",
    "export type Reason =",
    `${reasons.map((reason) => `  | ${JSON.stringify(reason)}`).join("\n")};\n`,
  ].join("\n");
  return `${HEAD}\n${[...interfaces, union].join("\n")}`;
}

/** @param {string} text @param {readonly string[]} names those that it uses */
function usedIn(text, names) {
  return names.filter((name) => new RegExp(`\\b${name}\\b`).test(text)).sort();
}

/** @param {Api} api */
export function paramsSource(api) {
  const body = defined(api)
    .map(({ name, definition: { params } }) => {
      const members = Object.entries(params).map(([member, { schema, isRequired }]) => ({
        name: member,
        schema,
        isOptional: !isRequired,
      }));
      return interfaceText(`${typeName(name)}Params`, `The parameters of ${name}.`, members);
    })
    .join("\n");
  const used = usedIn(body, Object.keys(api.records));
  return `${HEAD}\nimport type { ${used.join(", ")} } from "./api-records.js";\n\n${body}`;
}

/** A function for each method. @param {Api} api */
export function methodsSource(api) {
  const methods = defined(api);
  const map = methods.map(({ name, definition: { result } }) => {
    return `  ${JSON.stringify(name)}: { params: ${typeName(name)}Params; result: ${typeText(result)} };`;
  });
  const effects = methods.map(
    ({ name, definition }) => `  ${JSON.stringify(name)}: ${JSON.stringify(definition.effect)},`,
  );
  const functions = methods.map(({ name, definition: { summary, description, params } }) => {
    const about = description === undefined ? `${summary}.` : `${summary}. ${description}`;
    const isEmpty = Object.values(params).every(({ isRequired }) => !isRequired);
    const type = `${typeName(name)}Params`;
    const argument = isEmpty ? `params: ${type} = {}` : `params: ${type}`;
    return `${comment("    ", about)}\n    ${functionName(name)}: (${argument}, options?: CallOptions) => call(${JSON.stringify(name)}, params, options),`;
  });
  const body = [
    "/** What each method takes and answers. */\nexport interface Methods {",
    ...map,
    "}\n",
    "/** What each method changes; a repeat of `once` is refused. */",
    'export const EFFECTS: Readonly<Record<keyof Methods, "read" | "repeatable" | "once">> = {',
    ...effects,
    "};\n",
    "/** Calls a method by its name. */",
    'export type Call = <M extends keyof Methods>(method: M, params: Methods[M]["params"], options?: CallOptions) => Promise<Methods[M]["result"]>;\n',
    "/** A function for each method. */",
    "export function methodsOf(call: Call) {",
    "  return {",
    ...functions,
    "  };",
    "}\n",
  ].join("\n");
  const records = usedIn(body, Object.keys(api.records));
  const params = methods.map(({ name }) => `${typeName(name)}Params`).sort();
  return [
    HEAD,
    `import type { ${params.join(", ")} } from "./api-params.js";`,
    `import type { ${records.join(", ")} } from "./api-records.js";`,
    'import type { CallOptions } from "./options.js";',
    "",
    body,
  ].join("\n");
}
