/** Man pages of the program's own commands and options, so that none can be missing. */

/** @typedef {import("commander").Command} Command */
/** @typedef {{ readonly version: string, readonly date: string, readonly examples: Readonly<Record<string, readonly string[]>> }} PageFacts `date` as in 2026-11-28; `examples` by the path of their command */
/** @typedef {{ readonly name: string, readonly section: number, readonly text: string }} ManPage */

/** Commands that anybody runs. The others are for the administrator. */
const FOR_EVERYBODY = new Set(["image"]);

/** @param {string} text @returns {string} as roff prints it: a dash stays one, a line is no request */
const roff = (text) =>
  text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replace(/^([.'])/gm, "\\&$1");

/** @param {Command} command @returns {string} "imagestore image pack" */
export function pathOf(command) {
  return command.parent ? `${pathOf(command.parent)} ${command.name()}` : command.name();
}

/** @param {Command} command @returns {string} a list of its arguments and options */
function optionsOf(command) {
  const help = command.createHelp();
  const entries = [
    ...help
      .visibleArguments(command)
      .map((argument) => [help.argumentTerm(argument), help.argumentDescription(argument)]),
    ...help
      .visibleOptions(command)
      .map((option) => [help.optionTerm(option), help.optionDescription(option)]),
  ];
  return entries.map(([term = "", text = ""]) => `.TP\n.B ${roff(term)}\n${roff(text)}\n`).join("");
}

/** @param {Command} command @returns {string} */
const usageOf = (command) => `.B ${roff(pathOf(command))}\n${roff(command.usage())}\n`;

/** @param {readonly string[]} lines @returns {string} */
const examplesOf = (lines) =>
  lines.length > 0 ? `.SH EXAMPLES\n.nf\n${lines.map((line) => `${roff(line)}\n`).join("")}.fi\n` : "";

/** By the exit status of a command. Of those that ask a daemon; the others end with 0 or 1. */
const EXIT_STATUSES = [
  ["0", "it has done what it should"],
  ["1", "it failed otherwise, was mistyped, or was answered no"],
  ["2", "it was refused: a name, a size or a combination that can't be"],
  ["3", "no daemon answers, or it ended meanwhile"],
  ["4", "no such dataset, snapshot, image or pool"],
  ["5", "something is in the way: it exists, has clones, or newer snapshots"],
  ["6", "there is no room"],
  ["75", "the same may succeed later"],
  ["77", "no token that is known, or one that is not for this"],
  ["130", "it was ended by Ctrl-C"],
];

const exitStatus = () =>
  `.SH EXIT STATUS\n${EXIT_STATUSES.map(([status, text = ""]) => `.TP\n.B ${status}\n${roff(text)}\n`).join("")}`;

/**
 * A page of a command, with those below it unless they have pages of their own.
 * @param {Command} command @param {readonly Command[]} inner @param {readonly ManPage[]} others @param {PageFacts} facts
 * @returns {ManPage}
 */
function pageOf(command, inner, others, { version, date, examples }) {
  const name = pathOf(command).replaceAll(" ", "-");
  const section = FOR_EVERYBODY.has(command.name()) ? 1 : 8;
  const parts = inner.map(
    (each) =>
      `.SH ${roff(pathOf(each).toUpperCase())}\n${roff(each.description())}.\n.PP\n${usageOf(each)}${optionsOf(each)}`,
  );
  const seeAlso = others.map((page) => `.BR ${roff(page.name)} (${page.section})`);
  const text = [
    `.TH ${roff(name.toUpperCase())} ${section} "${date}" "imagestore ${version}"\n`,
    `.SH NAME\n${roff(name)} \\- ${roff(command.description())}\n`,
    `.SH SYNOPSIS\n${inner.length > 0 ? inner.map(usageOf).join(".br\n") : usageOf(command)}`,
    inner.length > 0 && command.parent ? "" : `.SH OPTIONS\n${optionsOf(command)}`,
    ...parts,
    examplesOf(examples[pathOf(command)] ?? []),
    exitStatus(),
    `.SH FILES\n.TP\n.I /etc/imagestore/imagestore.json\nthe configuration of the service\n`,
    `.TP\n.I /usr/share/doc/imagestore\nits settings and limits, how to operate it, the methods\n`,
    seeAlso.length > 0 ? `.SH SEE ALSO\n${seeAlso.join(",\n")}\n` : "",
  ].join("");
  return { name, section, text };
}

/**
 * @param {Command} program @param {PageFacts} facts
 * @returns {readonly ManPage[]} one of the program, and one of each of its commands
 */
export function manPages(program, facts) {
  const pages = program.commands.map((command) => pageOf(command, command.commands, [], facts));
  return [pageOf(program, [], pages, facts), ...pages];
}
