/** Completion for shells, of the program's own commands and options. */

import { pathOf } from "./man-pages.mjs";

/** @typedef {import("commander").Command} Command */

/** What the value of an option or argument is, by its name in angle brackets. */
const FILES = /<(file|files\.\.\.|dir|folder)>/;

/** A line of sh, zsh and fish that prints the names that a command answers. @param {string} command */
const namesOf = (command) => `${command} --json 2>/dev/null | grep -o '"name":"[^"]*"' | cut -d'"' -f4`;
/** The names of the user's contexts. @param {string} name of the program */
const contextNames = (name) => namesOf(`${name} context list`);
/** The names of the daemon's pools; none if it does not answer. @param {string} name of the program */
const poolNames = (name) => namesOf(`${name} pool status`);

/** The commands whose arguments are contexts. @param {string} name */
const ofContexts = (name) => ["use", "show", "remove"].map((verb) => `${name} context ${verb}`);

/** @param {Command} command @returns {readonly Command[]} itself and all below */
const commandsBelow = (command) => [command, ...command.commands.flatMap(commandsBelow)];

/** @param {Command} command */
function wordsOf(command) {
  const options = command.createHelp().visibleOptions(command);
  const flags = options.flatMap(({ short, long }) => [short, long]).filter((flag) => flag !== undefined);
  return [...command.commands.map((each) => each.name()), ...flags];
}

/** @param {Command} program what the scripts of bash and zsh are made of */
function tableOf(program) {
  const all = commandsBelow(program);
  const valued = all.flatMap((each) => each.options.filter((option) => option.required));
  const flags = valued.flatMap(({ short, long }) => [short, long]).filter((flag) => flag !== undefined);
  return {
    name: program.name(),
    words: all.map((each) => ({ path: pathOf(each), words: wordsOf(each).join(" ") })),
    inner: all.flatMap((each) => each.commands.map((command) => `"${pathOf(command)}"`)).join("|"),
    valued: [...new Set(flags)].join("|"),
  };
}

/** @param {Command} program @param {readonly string[]} methods @returns {string} of bash, for its folder of completions */
export function bashCompletion(program, methods) {
  const { name, words, inner, valued } = tableOf(program);
  return `# bash completion for ${name}; made from its commands
_${name}() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" path=${name} words="" index
  COMPREPLY=()
  for ((index = 1; index < COMP_CWORD; index++)); do
    case "$path \${COMP_WORDS[index]}" in
      ${inner}) path="$path \${COMP_WORDS[index]}" ;;
    esac
  done
  case "$previous" in
    --context) mapfile -t COMPREPLY < <(compgen -W "$(${contextNames(name)})" -- "$current"); return ;;
    --pool) mapfile -t COMPREPLY < <(compgen -W "$(${poolNames(name)})" -- "$current"); return ;;
    ${valued}) compopt -o default; return ;;
  esac
  case "$path" in
${words.map(({ path, words }) => `    "${path}") words="${words}" ;;`).join("\n")}
  esac
  case "$path" in
    ${ofContexts(name)
      .map((path) => `"${path}"`)
      .join("|")}) words="$words $(${contextNames(name)})" ;;
    "${name} call") words="$words ${methods.join(" ")}" ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  ((\${#COMPREPLY[@]} > 0)) || compopt -o default
}
complete -F _${name} ${name}
`;
}

/** @param {Command} program @param {readonly string[]} methods @returns {string} of zsh, for its folder of functions */
export function zshCompletion(program, methods) {
  const { name, words, inner, valued } = tableOf(program);
  return `#compdef ${name}
# zsh completion for ${name}; made from its commands
local place=${name} index
for ((index = 2; index < CURRENT; index++)); do
  case "$place $words[index]" in
    ${inner}) place="$place $words[index]" ;;
  esac
done
case "$words[CURRENT-1]" in
  --context) compadd -- \${(f)"$(${contextNames(name)})"}; return ;;
  --pool) compadd -- \${(f)"$(${poolNames(name)})"}; return ;;
  ${valued}) _files; return ;;
esac
case "$place" in
${words.map(({ path, words }) => `  "${path}") compadd -- ${words} ;;`).join("\n")}
esac
case "$place" in
  ${ofContexts(name)
    .map((path) => `"${path}"`)
    .join("|")}) compadd -- \${(f)"$(${contextNames(name)})"}; return ;;
  "${name} call") compadd -- ${methods.join(" ")}; return ;;
esac
[[ "$words[CURRENT]" == -* ]] || _files
`;
}

/** @param {string} text @returns {string} in single quotes, for fish */
const quoted = (text) => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;

/** @param {Command} program @param {readonly string[]} methods @returns {string} of fish */
export function fishCompletion(program, methods) {
  const name = program.name();
  /** What prints the values of an option. @type {Readonly<Record<string, string>>} */
  const asked = { "--context": contextNames(name), "--pool": poolNames(name) };
  const lines = commandsBelow(program).flatMap((command) => {
    const seen = pathOf(command).split(" ").slice(1);
    const inner = command.commands.map((each) => each.name());
    const conditions = seen.map((word) => `__fish_seen_subcommand_from ${word}`);
    // An inner command may share its name with another one.
    if (seen.length > 0 && command.parent === program)
      for (const other of program.commands) {
        if (other !== command && other.commands.some((each) => each.name() === command.name()))
          conditions.push(`not __fish_seen_subcommand_from ${other.name()}`);
      }
    const all = [
      ...conditions,
      ...(inner.length > 0 ? [`not __fish_seen_subcommand_from ${inner.join(" ")}`] : []),
    ];
    const when = all.length > 0 ? ` -n ${quoted(all.join("; and "))}` : "";
    const help = command.createHelp();
    const path = pathOf(command);
    const offers = path === `${name} call` ? methods.join(" ") : `(${contextNames(name)})`;
    const names = [...ofContexts(name), `${name} call`].includes(path)
      ? [`complete -c ${name} -f${when} -a ${quoted(offers)}`]
      : [];
    return [
      ...names,
      ...command.commands.map(
        (each) => `complete -c ${name} -f${when} -a ${each.name()} -d ${quoted(each.description())}`,
      ),
      ...help.visibleOptions(command).map(({ short, long, required, flags, description }) => {
        const spelled = `${short ? ` -s ${short.slice(1)}` : ""}${long ? ` -l ${long.slice(2)}` : ""}`;
        const values = asked[long ?? ""];
        if (values !== undefined)
          return `complete -c ${name}${when}${spelled} -x -a ${quoted(`(${values})`)} -d ${quoted(description)}`;
        const value = required ? (FILES.test(flags) ? " -r -F" : " -x") : "";
        return `complete -c ${name}${when}${spelled}${value} -d ${quoted(description)}`;
      }),
    ];
  });
  return `# fish completion for ${name}; made from its commands\n${lines.join("\n")}\n`;
}
