import { Argument, Command, InvalidArgumentError, Option } from "commander";
import { ageText } from "../../diagnosis/text-layout.js";
import { notEmpty } from "../option-parsers.js";
import { type AddressFlags, addressOf, withAddressFlags } from "./address-flags.js";
import { CallFailure, EXIT } from "./call-failure.js";
import type { DownloadOptions } from "./download-snapshot.js";
import { type RecordKind, tableText } from "./record-tables.js";
import type { VerbAnswer } from "./verb-call.js";
import { VERBS, type Verb } from "./verbs.js";

/** What every command of the client can be given. */
interface ClientFlags extends AddressFlags {
  readonly pool?: string;
  readonly json?: boolean;
  readonly bare?: boolean;
  readonly watch?: number;
}

const DEFAULT_WATCH_S = 2;
const MOST_WATCH_S = 3_600;
const CLEAR_SCREEN = "\x1b[H\x1b[2J";
const CLEAR_LINE = "\r\x1b[K";
/** After so long a call is said to be under way, on a terminal. */
const PATIENCE_MS = 1_000;

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (seconds >= 0.1 && seconds <= MOST_WATCH_S) return seconds;
  throw new InvalidArgumentError(`must be seconds from 0.1 to ${MOST_WATCH_S}`);
}

/** Ends the process with a line on stderr, or with a stack if it is a bug. */
function exitWithFailure(error: unknown): never {
  const isCall = error instanceof CallFailure;
  const line = isCall ? error.message : error instanceof Error ? error.stack : String(error);
  process.stderr.write(`imagestore: ${line}\n`);
  process.exit(isCall ? error.exitStatus : EXIT.other);
}

/** Says on a terminal that a call is under way, until it has ended. */
async function shownWhile<T>(what: string, work: Promise<T>): Promise<T> {
  const { stderr } = process;
  if (!stderr.isTTY) return work;
  const startedAt = performance.now();
  const timer = setInterval(
    () => stderr.write(`${CLEAR_LINE}${what}: ${ageText(performance.now() - startedAt)}`),
    PATIENCE_MS,
  );
  return work.finally(() => {
    clearInterval(timer);
    if (performance.now() - startedAt > PATIENCE_MS) stderr.write(CLEAR_LINE);
  });
}

function print(kind: RecordKind, { text, records }: VerbAnswer, { json, bare }: ClientFlags): void {
  process.stdout.write(json ? `${text}\n` : tableText(kind, records, bare === true));
}

async function run(verb: Verb, params: Readonly<Record<string, unknown>>, flags: ClientFlags): Promise<void> {
  // Loaded here: node:http brings much along, which the commands of images run without.
  const { callVerb } = await import("./verb-call.js");
  const address = await addressOf(flags);
  const what = `imagestore ${verb.group} ${verb.name}`;
  for (;;) {
    const answer = await shownWhile(what, callVerb(address, verb, { ...params, pool: flags.pool }));
    if (flags.watch !== undefined && process.stdout.isTTY) process.stdout.write(CLEAR_SCREEN);
    print(verb.records, answer, flags);
    if (flags.watch === undefined) return;
    await new Promise((resolve) => setTimeout(resolve, (flags.watch ?? DEFAULT_WATCH_S) * 1_000));
  }
}

/** Where nobody reads the answer any more, the command ends. */
function endWithReader(): void {
  process.stdout.on("error", () => process.exit(EXIT.other));
}

/** A command without its action, with the options that all have. */
function clientCommand(name: string, summary: string): Command {
  return withAddressFlags(new Command(name))
    .description(summary)
    .hook("preAction", endWithReader)
    .option("--json", "print the answer as JSON");
}

function isReadOnly({ method }: Verb): boolean {
  return /^(List|Get)/.test(method);
}

function verbCommand(verb: Verb): Command {
  const command = clientCommand(verb.name, verb.summary);
  for (const { flags, description, parse } of verb.arguments) {
    command.addArgument(new Argument(flags, description).argParser(parse));
  }
  for (const { flags, description, parse, isRequired } of verb.options) {
    const option = new Option(flags, description).makeOptionMandatory(isRequired === true);
    command.addOption(flags.includes("<") ? option.argParser(parse) : option);
  }
  command.option("-H, --bare", "print no headings, and tabs between the columns");
  if (verb.group !== "pool")
    command.option("--pool <pool>", "the pool (default the daemon's first)", notEmpty);
  if (isReadOnly(verb)) {
    const watch = new Option("--watch [seconds]", "print it again and again").argParser(parseSeconds);
    command.addOption(watch.preset(DEFAULT_WATCH_S));
  }
  return command.action(async (...given: unknown[]) => {
    const flags = command.opts<ClientFlags & Record<string, unknown>>();
    const params = Object.fromEntries([
      ...verb.arguments.map(({ member }, at) => [member, given[at]]),
      ...verb.options.map((parameter) => [
        parameter.member,
        flags[new Option(parameter.flags).attributeName()],
      ]),
    ]);
    await run(verb, params, flags).catch(exitWithFailure);
  });
}

/** Adds the commands of a group, such as `imagestore volume list`. */
export function addVerbs(group: Command): Command {
  for (const verb of VERBS) if (verb.group === group.name()) group.addCommand(verbCommand(verb));
  return group;
}

/** `imagestore snapshot download`: no method, but a stream of bytes. */
export function downloadCommand(): Command {
  return withAddressFlags(new Command("download"))
    .description("download a snapshot as a stream, which zfs receive and image unpack take")
    .hook("preAction", endWithReader)
    .argument("<snapshot>", "such as guests/g1/disk-0@s1", notEmpty)
    .option(
      "-o, --output <file>",
      "where to write it, - for stdout (default its last part and .zfs)",
      notEmpty,
    )
    .option("-f, --force", "replace a file that is there")
    .option("--pool <pool>", "the pool (default the daemon's first)", notEmpty)
    .action(async (id: string, flags: ClientFlags & DownloadOptions) => {
      try {
        const { downloadSnapshot } = await import("./download-snapshot.js");
        await downloadSnapshot(await addressOf(flags), id, flags);
      } catch (error) {
        exitWithFailure(error);
      }
    });
}

/** `imagestore call METHOD [PARAMS]`: any method, with its parameters and its answer as JSON. */
export function callCommand(): Command {
  const parseParams = (text: string): object => {
    try {
      const params: unknown = JSON.parse(text);
      if (typeof params === "object" && params !== null && !Array.isArray(params)) return params;
    } catch {
      // Told below.
    }
    throw new InvalidArgumentError("must be a JSON object");
  };
  return clientCommand("call", "call a method of the daemon, and print its answer as JSON")
    .argument("<method>", "such as GetImage")
    .addArgument(new Argument("[params]", 'a JSON object, such as {"id":"golden"}').argParser(parseParams))
    .action(async (method: string, params: object | undefined, flags: ClientFlags) => {
      try {
        const { callDaemon } = await import("./daemon-client.js");
        const address = await addressOf(flags);
        const { text } = await shownWhile(method, callDaemon(address, method, params ?? {}));
        process.stdout.write(`${text}\n`);
      } catch (error) {
        exitWithFailure(error);
      }
    });
}
