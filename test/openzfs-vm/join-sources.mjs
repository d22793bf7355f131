// node join-sources.mjs FOLDER <LISTS
// node join-sources.mjs --undo FOLDER <LISTS
//
// Joins the sources of kernel modules, so that the compiler reads their headers once and not for each: most of
// its time goes there. A line of LISTS is a makefile below FOLDER, the name of a module, and its
// objects, with their paths from the makefile. To each makefile is added that the module has, instead
// of some of these, objects of joined files, which include the sources. --undo takes that away again.
//
// Two sources of one file must not give the same name to different things. Names of functions, variables and types are
// compared here, and whatever escapes that does not compile. A macro would change the sources behind it without a
// word, so its earlier meaning is put back behind each source.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** Of the sources in one file, so that a few files are left for each processor. */
const LIMIT_BYTES = 600_000;
/** What stands before the lines that are added to a makefile. */
const MARK = "\n# Of joined sources.\n";
/** Folders whose sources have flags of their own. None of zstd is joined: its sources read few headers. */
const APART = ["icp", "lua", "zstd"];

/** The text without comments and strings, a line for each directive. @param {string} text */
function bareText(text) {
  return text
    .replace(/\/\*[\s\S]*?\*\//g, " ")
    .replace(/"(?:\\.|[^"\\\n])*"/g, '""')
    .replace(/'(?:\\.|[^'\\\n])+'/g, "0")
    .replace(/\\\n/g, " ");
}

/** What stands where a name could, in a type without one. */
const NO_NAMES = ["", "struct", "union", "enum"];

/** How a declaration begins that defines a type as well. */
const TYPED = /^\s*(typedef |static (?=(?:const )?(?:struct|union|enum)[\w\s]*$))/;

/** What stands outside of all braces, a piece for each declaration. @param {readonly string[]} lines */
function declarationsOf(lines) {
  const pieces = [""];
  let depth = 0;
  for (const sign of lines.join("\n")) {
    // What comes behind the braces of a type is declared too.
    if (sign === "{" && depth++ === 0) pieces.push(TYPED.exec(pieces.at(-1) ?? "")?.[1] ?? "");
    else if (sign === "}") depth--;
    else if (sign === ";" && depth === 0) pieces.push("");
    else if (depth === 0) pieces[pieces.length - 1] += sign;
  }
  return pieces.map((piece) => piece.replace(/\s+/g, " ").trim());
}

/** The names that a declaration keeps to its file. @param {string} text */
function namesOf(text) {
  const names = [];
  const [, type] = /\b(?:struct|union|enum) (\w+)$/.exec(text) ?? [];
  if (type) names.push(type);
  const [, defined] = /^typedef .*?(\w+)\)?(?: ?\(.*)?$/.exec(text) ?? [];
  if (defined) names.push(defined);
  if (!/\bstatic\b/.test(text)) return names;
  const head = text.replace(/=.*/, "").replace(/__\w+ ?\(\(.*?\)\)/g, "");
  const [, called] = /(\w+) ?\(/.exec(head) ?? [];
  if (called) return [...names, called];
  for (const part of head.replace(/\[.*?\]/g, "").split(",")) {
    const [, last] = /(\w+) ?$/.exec(part) ?? [];
    if (last) names.push(last);
  }
  return names;
}

/** @param {string} folder @param {string} path */
function readSource(folder, path) {
  const text = bareText(readFileSync(join(folder, path), "utf8"));
  const lines = text.split("\n");
  const last = lines.findLastIndex((line) => /^\s*#\s*include/.test(line));
  const first = lines.findIndex((line) => /^\s*#\s*(define|undef)/.test(line));
  const macros = lines.flatMap((line) => /^\s*#\s*(?:define|undef)\s+(\w+)/.exec(line)?.[1] ?? []);
  const names = declarationsOf(lines.filter((line) => !/^\s*#/.test(line))).flatMap(namesOf);
  const constants = [...text.matchAll(/\benum\b[^;{(]*\{([^}]*)\}/g)].flatMap(([, list = ""]) =>
    list.split(",").map((item) => /\w+/.exec(item)?.[0] ?? ""),
  );
  return {
    path,
    bytes: text.length,
    macros: [...new Set(macros)],
    names: new Set([...names, ...constants].filter((name) => !NO_NAMES.includes(name))),
    // A macro before a header is there to change what the header says.
    alone: first !== -1 && first < last,
  };
}

/** @typedef {ReturnType<typeof readSource>} Source */

/** @param {readonly Source[]} sources */
function groupsOf(sources) {
  /** @type {{ bytes: number, names: Set<string>, sources: Source[] }[]} */
  const groups = [];
  for (const source of sources) {
    const names = [...source.names];
    let group = groups.find(
      (each) => each.bytes + source.bytes <= LIMIT_BYTES && !names.some((name) => each.names.has(name)),
    );
    if (!group) {
      group = { bytes: 0, names: new Set(), sources: [] };
      groups.push(group);
    }
    group.bytes += source.bytes;
    for (const name of names) group.names.add(name);
    group.sources.push(source);
  }
  return groups.map((group) => group.sources);
}

/** @param {readonly Source[]} sources @param {string} up - to the folder that their paths begin in */
function joinedText(sources, up) {
  const lines = sources.flatMap(({ path, macros }) => [
    ...macros.map((name) => `#pragma push_macro("${name}")`),
    `#include "${up}${path}"`,
    ...macros.map((name) => `#pragma pop_macro("${name}")`),
  ]);
  return `${lines.join("\n")}\n`;
}

/** Of sources whose flags are the same. @param {string} object */
function flagsOf(object) {
  const [first = ""] = object.split("/");
  return APART.includes(first) ? first : "";
}

/** @param {string} makefile - its text @param {string} object - it may have flags of its own there */
function isNamed(makefile, object) {
  const stem = object.replace(/^.*\//, "").replaceAll(".", "\\.");
  return new RegExp(`[_/]${stem} *[:+]?[:=]`).test(makefile);
}

/**
 * Joins the sources of a module.
 * @param {string} folder - of its makefile
 * @param {string} makefile - its text
 * @param {string} module
 * @param {readonly string[]} objects
 * @returns the lines to add to the makefile
 */
function joinModule(folder, makefile, module, objects) {
  const open = objects.filter(
    (object) =>
      flagsOf(object) !== "zstd" &&
      !isNamed(makefile, object) &&
      existsSync(join(folder, object.replace(/\.o$/, ".c"))),
  );
  const made = [];
  const taken = new Set();
  for (const flags of new Set(open.map(flagsOf))) {
    const sources = open
      .filter((object) => flagsOf(object) === flags)
      .map((object) => readSource(folder, object.replace(/\.o$/, ".c")));
    const groups = groupsOf(sources.filter(({ alone }) => !alone)).filter((group) => group.length > 1);
    for (const [index, group] of groups.entries()) {
      const path = join(flags, `joined-${module}-${index + 1}`);
      writeFileSync(join(folder, `${path}.c`), joinedText(group, flags === "" ? "" : "../"));
      made.push(`${path}.o`);
      for (const source of group) taken.add(source.path.replace(/\.c$/, ".o"));
    }
  }
  const rest = objects.filter((object) => !taken.has(object));
  const ofIcp = made.filter((object) => flagsOf(object) === "icp").map((object) => `$(obj)/${object}`);
  return [
    `${module}-objs := ${[...made, ...rest].join(" ")}`,
    `${module}-y :=`,
    ...(ofIcp.length > 0 ? [`${ofIcp.join(" ")} : ccflags-y += -I$(icp_include)`] : []),
  ];
}

const undo = process.argv[2] === "--undo";
const [folder = "."] = process.argv.slice(undo ? 3 : 2);
/** @type {Map<string, string[]>} */
const added = new Map();
for (const line of readFileSync(0, "utf8").split("\n").filter(Boolean)) {
  const [path = "", module = "", ...objects] = line.split(" ").filter(Boolean);
  const file = join(folder, path);
  const [makefile = ""] = readFileSync(file, "utf8").split(MARK);
  added.set(file, [...(added.get(file) ?? []), ...joinModule(dirname(file), makefile, module, objects)]);
}
for (const [file, lines] of added) {
  const [makefile = ""] = readFileSync(file, "utf8").split(MARK);
  writeFileSync(file, undo ? makefile : `${makefile}${MARK}${lines.join("\n")}\n`);
}
