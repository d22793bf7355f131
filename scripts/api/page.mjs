/**
 * The part of docs/api.md that says what each method and each record is, made from their definitions.
 *
 * @typedef {import("../../src/protocol/api/json-schema.js").JsonSchema} JsonSchema
 * @typedef {import("../../src/protocol/api/definition.js").MethodDefinition} MethodDefinition
 * @typedef {{ name: string, aliases: readonly string[], role: string }} Row
 * @typedef {object} Api
 * @property {readonly Row[]} rows
 * @property {Readonly<Record<string, MethodDefinition>>} definitions
 * @property {Readonly<Record<string, JsonSchema>>} records
 * @property {{ ofTheDaemon: readonly string[], readOfAPool: readonly string[], changeOfAPool: readonly string[] }} common
 */

const EFFECTS = {
  read: "changes nothing",
  repeatable: "a repeat answers as the first did",
  once: "a repeat is refused",
};

const MARK = "the methods: made by `npm run docs:api`";
export const BEGIN = `<!-- begin of ${MARK} -->`;
export const END = `<!-- end of ${MARK} -->`;

/** @param {string} name */
const anchor = (name) => `[${name}](#${name.toLowerCase()})`;

/** The name of the record that a schema refers to. @param {JsonSchema} schema */
export function recordOf({ $ref }) {
  return $ref?.replace(/^.*\//, "");
}

/** A type in words, with its unit. @param {JsonSchema} schema @returns {string} */
function typeOf(schema) {
  const record = recordOf(schema);
  if (record !== undefined) return anchor(record);
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(" or ");
  if (schema.enum) return schema.enum.map((word) => `\`${word}\``).join(" or ");
  const types = [schema.type ?? "object"].flat();
  const said = types.map((type) => {
    if (type === "array") return listType(schema);
    if (type === "object") return "object of strings";
    return type === "integer" && schema["x-unit"] ? `integer, ${schema["x-unit"]}` : type;
  });
  return said.join(" or ");
}

/** @param {JsonSchema} schema */
function listType({ items = {}, maxItems }) {
  return maxItems === 1 ? `list of one ${typeOf(items)}` : `list of ${typeOf(items)}`;
}

/** @param {readonly string[]} head @param {readonly (readonly string[])[]} rows */
function table(head, rows) {
  /** @param {readonly string[]} cells */
  const line = (cells) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

/** @param {readonly string[]} codes */
const listed = (codes) => codes.map((code) => `\`${code}\``).join(", ");

/** @param {Pick<MethodDefinition, "effect" | "repeatLoses">} definition */
function effectOf({ effect, repeatLoses }) {
  return repeatLoses === undefined ? EFFECTS[effect] : `${EFFECTS[effect]}, and loses ${repeatLoses}`;
}

/** @param {Row} row @param {MethodDefinition} definition */
function methodSection({ name, aliases, role }, { summary, description, since, ...rest }) {
  const { params, result, failures, examples, mayLast } = rest;
  const about = [
    `${summary}.`,
    ...(description === undefined ? [] : [description]),
    `Role \`${role}\`; ${effectOf(rest)}. Since ${since}.`,
    ...(mayLast ? ["A call of it is a job."] : []),
    ...aliases.map((alias) => `\`${alias}\` is another name of it.`),
  ].join(" ");
  const rows = Object.entries(params).map(([param, { schema, isRequired }]) => [
    `\`${param}\``,
    `${typeOf(schema)}${isRequired ? ", required" : ""}`,
    schema.description ?? "",
  ]);
  const answers = Object.entries(result.properties ?? {}).map(([member, schema]) => {
    const more = schema.description === undefined ? "" : `. ${schema.description}`;
    return `Answer: \`${member}\`, ${typeOf(schema)}${more.replace(/\.$/, "")}.`;
  });
  const own = Object.entries(failures).map(([code, when]) => [`\`${code}\``, when ?? ""]);
  const [example] = examples;
  const texts = [{ method: name, params: example.params }, example.result].map((value) =>
    JSON.stringify(value),
  );
  return [
    `### ${name}`,
    about,
    ...(rows.length > 0 ? [table(["parameter", "type", "what"], rows)] : []),
    ...answers,
    ...(own.length > 0 ? [table(["failure of its own", "when"], own)] : []),
    `\`\`\`json\n${texts.join("\n")}\n\`\`\``,
  ];
}

/** @param {string} name @param {JsonSchema} schema */
function recordSection(name, { description = "", properties = {}, required = [] }) {
  const rows = Object.entries(properties).map(([member, schema]) => [
    `\`${member}\``,
    `${typeOf(schema)}${required.includes(member) ? "" : ", may be missing"}`,
    schema.description ?? "",
  ]);
  return [`### ${name}`, description, table(["member", "type", "what"], rows)];
}

/** The whole part, with its marks. @param {Api} api */
export function apiPart({ rows, definitions, records, common }) {
  const defined = rows.flatMap((row) => {
    const definition = definitions[row.name];
    return definition ? [{ row, definition }] : [];
  });
  const { ofTheDaemon, readOfAPool, changeOfAPool } = common;
  const more = [
    `Besides, every method may answer ${listed(ofTheDaemon)};`,
    `one on a pool ${listed(readOfAPool.filter((code) => !ofTheDaemon.includes(code)))};`,
    `and one that changes a pool ${listed(changeOfAPool.filter((code) => !readOfAPool.includes(code)))}.`,
  ].join("\n");
  const overview = defined.map(({ row, definition }) => [
    [row.name, ...row.aliases].join(", "),
    row.role,
    definition.summary,
  ]);
  return `${[
    BEGIN,
    table(["method", "role", "what it does"], overview),
    more,
    ...defined.flatMap(({ row, definition }) => methodSection(row, definition)),
    "## Records",
    ...Object.entries(records).flatMap(([name, schema]) => recordSection(name, schema)),
    END,
  ].join("\n\n")}\n`;
}

/** A page with the part between its marks replaced. @param {string} page @param {string} part */
export function withPart(page, part) {
  const from = page.indexOf(BEGIN);
  const to = page.indexOf(END);
  if (from < 0 || to < from) throw new Error("the page has no marks");
  return `${page.slice(0, from)}${part}${page.slice(to + END.length + 1)}`;
}
