import { resolve } from "node:path";
import { Argument, Command, InvalidArgumentError, Option } from "commander";
import { chooseContext, type IdentityFlags, readIdentity } from "../client/address-flags.js";
import { CallFailure, EXIT, exitWithFailure } from "../client/call-failure.js";
import { parseUrl } from "../client/daemon-address.js";
import { notEmpty } from "../option-parsers.js";
import { type Column, styleFor, tableLines } from "../terminal/fitted-table.js";
import { paintFor } from "../terminal/paint.js";
import {
  type Context,
  type Contexts,
  changeContexts,
  contextNamed,
  contextNameProblem,
  contextsFile,
  readContexts,
} from "./contexts.js";

interface AddFlags extends IdentityFlags {
  readonly url: URL;
  readonly use?: boolean;
  readonly force?: boolean;
}

function parseName(name: string): string {
  const problem = contextNameProblem(name);
  if (problem !== undefined) throw new InvalidArgumentError(problem);
  return name;
}

/** A URL is shown in lists, so it must have no secret. */
function parseOpenUrl(text: string): URL {
  const url = parseUrl(text);
  if (url.password === "" && url.username === "") return url;
  throw new InvalidArgumentError("must have no user and no password: --token-file names a file with a token");
}

const file = () => contextsFile(process.env);

/** As it was given: without the slash that a URL has for its empty path. */
const textOf = (url: URL) => (url.pathname === "/" && url.search === "" ? url.origin : url.href);

const absolute = (path: string | undefined) => (path === undefined ? undefined : resolve(path));

async function add(name: string, { url, use, force, ...files }: AddFlags): Promise<void> {
  // What is wrong with them is told now, and not at the first call.
  readIdentity(files);
  const context: Context = {
    name,
    url: textOf(url),
    tokenFile: absolute(files.tokenFile),
    caFile: absolute(files.caFile),
    certFile: absolute(files.certFile),
    keyFile: absolute(files.keyFile),
  };
  await changeContexts(file(), ({ current, contexts }) => {
    const others = contexts.filter((each) => each.name !== name);
    if (others.length < contexts.length && !force) {
      throw new CallFailure(`context ${name} is there already: --force replaces it`, EXIT.inTheWay);
    }
    return { current: use ? name : current, contexts: [...others, context] };
  });
  const hint = use ? "it is used from now on" : `imagestore context use ${name} makes it the default`;
  if (process.stderr.isTTY) process.stderr.write(`context ${name}: ${hint}\n`);
}

/** A context as a table and `--json` show it. */
interface Shown extends Context {
  readonly current: boolean;
}

const COLUMNS: readonly Column<Shown>[] = [
  { heading: "", cell: ({ current }) => (current ? "*" : ""), look: () => "green" },
  { heading: "NAME", cell: ({ name }) => name },
  { heading: "URL", cell: ({ url }) => url },
  { heading: "TOKEN FILE", cell: ({ tokenFile }) => tokenFile ?? "-", goes: 2 },
  { heading: "CA FILE", cell: ({ caFile }) => caFile ?? "-", goes: 1 },
  { heading: "CERT FILE", cell: ({ certFile }) => certFile ?? "-", goes: 1 },
];

interface ShowFlags {
  readonly json?: boolean;
  readonly bare?: boolean;
}

function print(shown: readonly Shown[], flags: ShowFlags): void {
  const { stdout } = process;
  if (flags.json) {
    stdout.write(`${JSON.stringify({ contexts: shown })}\n`);
    return;
  }
  const lines = tableLines(COLUMNS, shown, styleFor(flags, stdout, paintFor(stdout, process.env)));
  stdout.write(lines.map((line) => `${line}\n`).join(""));
}

const withCurrent = ({ current, contexts }: Contexts): readonly Shown[] =>
  contexts
    .map((context) => ({ ...context, current: context.name === current }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));

function list(flags: ShowFlags): void {
  const shown = withCurrent(readContexts(file()));
  if (shown.length > 0 || flags.json || flags.bare) print(shown, flags);
  else process.stdout.write("no contexts: imagestore context add NAME --url URL makes one\n");
}

function show(name: string | undefined, flags: ShowFlags): void {
  const all = readContexts(file());
  const context = name === undefined ? chooseContext({}, process.env) : contextNamed(all, name);
  if (context) return print([{ ...context, current: context.name === all.current }], flags);
  if (flags.json) return print([], flags);
  const from = process.env.IMAGESTORE_URL ? "IMAGESTORE_URL" : "the configuration of this machine";
  process.stdout.write(`no context is used: ${from} says where the daemon is\n`);
}

async function use(name: string | undefined, { none }: { readonly none?: boolean }): Promise<void> {
  if ((name === undefined) !== (none === true)) {
    throw new CallFailure("give the name of a context, or --none", EXIT.other);
  }
  await changeContexts(file(), (before) => ({
    ...before,
    current: name === undefined ? undefined : contextNamed(before, name).name,
  }));
}

async function remove(names: readonly string[]): Promise<void> {
  await changeContexts(file(), (before) => {
    const gone = names.map((name) => contextNamed(before, name).name);
    const { current, contexts } = before;
    return {
      current: current !== undefined && gone.includes(current) ? undefined : current,
      contexts: contexts.filter(({ name }) => !gone.includes(name)),
    };
  });
}

/** Ends the process with one line where a command fails. */
function guarded<A extends unknown[]>(
  work: (...given: A) => void | Promise<void>,
): (...given: A) => Promise<void> {
  return async (...given) => {
    try {
      await work(...given);
    } catch (error) {
      exitWithFailure(error);
    }
  };
}

function shownCommand(name: string, summary: string): Command {
  return new Command(name)
    .description(summary)
    .option("--json", "print JSON")
    .option("-H, --bare", "print no headings, and tabs between the columns");
}

/** `imagestore context`: names for daemons, in a file of the user's. See docs/operations.md. */
export function contextCommand(): Command {
  const url = new Option("-u, --url <url>", "http://HOST:PORT, https://HOST:PORT or unix:/PATH");
  return new Command("context")
    .description("names for daemons: where each listens, and the token for it")
    .addCommand(
      new Command("add")
        .description("give a daemon a name")
        .addArgument(new Argument("<name>", "letters, digits, and _ . -").argParser(parseName))
        .addOption(url.argParser(parseOpenUrl).makeOptionMandatory())
        .option("--token-file <file>", "a file that holds your token", notEmpty)
        .option("--ca-file <file>", "the CA of a daemon with https, in PEM", notEmpty)
        .option("--cert-file <file>", "your certificate, in PEM", notEmpty)
        .option("--key-file <file>", "its key, in PEM", notEmpty)
        .option("--use", "make it the default too")
        .option("-f, --force", "replace a context with that name")
        .action(guarded(add)),
    )
    .addCommand(shownCommand("list", "list the contexts; * marks the default").action(guarded(list)))
    .addCommand(
      shownCommand("show", "show a context, or the one that commands use now")
        .argument("[name]", "of a context", notEmpty)
        .action(guarded(show)),
    )
    .addCommand(
      new Command("use")
        .description("make a context the default")
        .argument("[name]", "of a context", notEmpty)
        .option("--none", "use none: ask the daemon of this machine")
        .action(guarded(use)),
    )
    .addCommand(
      new Command("remove")
        .description("forget contexts")
        .argument("<name...>", "of contexts")
        .action(guarded(remove)),
    );
}
